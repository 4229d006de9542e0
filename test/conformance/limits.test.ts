/** Conformance: requests at, just below and just above the limits of their size. */

import { expect } from "vitest";
import { PutRequest } from "../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, compare, deleteOp, putOp, rangeOp } from "./words.js";

const putPath = "/etcdserverpb.KV/Put";
const REQUEST_BYTES_MAX = 1_572_864;
const MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + 524_288;

/** A put whose message has exactly this many bytes. */
function putOfBytes(t: Context, size: number): Uint8Array {
  const make = (valueBytes: number) =>
    PutRequest.encode(PutRequest.fromPartial({ key: t.key("k"), value: Buffer.alloc(valueBytes, 0x78) })).finish();
  // The length of the value is itself written in one to four bytes, so the second attempt may miss by one.
  const around = 2 * size - make(size).length;
  const message = [around, around + 1].map(make).find(({ length }) => length === size);
  if (message === undefined) throw new Error(`no value makes a put of ${size} bytes`);
  return message;
}

function tooLarge(size: number, max: number) {
  return {
    code: Code.RESOURCE_EXHAUSTED,
    message: `grpc: received message larger than max (${size} vs. ${max})`,
  };
}

conformance("Request size", (test) => {
  test("a value of 1572824 bytes under a key of 3 bytes is accepted", async (t) => {
    await t.client.put({ key: bytes("abc"), value: Buffer.alloc(1_572_824, 1) });
    expect((await t.client.range({ key: bytes("abc") })).kvs[0]?.value).toHaveLength(1_572_824);
    await t.client.deleteRange({ key: bytes("abc") });
  });

  test("a value of 1572864 bytes is refused as too large", async (t) => {
    await t.rejects(t.client.put({ key: bytes("abc"), value: Buffer.alloc(1_572_864, 1) }), status.RequestTooLarge);
    expect((await t.client.range({ key: bytes("abc") })).count).toBe(0n);
  });

  test("a message of exactly 2 MiB reaches the server, which refuses it as too large", async (t) => {
    const call = t.client.channel.callRaw(putPath, putOfBytes(t, MESSAGE_BYTES_MAX));
    await t.rejects(call, status.RequestTooLarge);
  });

  test("a message of 2 MiB and a byte is refused by gRPC, with both numbers", async (t) => {
    const size = MESSAGE_BYTES_MAX + 1;
    const call = t.client.channel.callRaw(putPath, putOfBytes(t, size));
    await t.rejects(call, tooLarge(size, MESSAGE_BYTES_MAX));
  });

  test("a message of 20 MB is refused and the connection lives", async (t) => {
    const watch = await t.watch();
    const size = 20_000_000;
    const call = t.client.channel.callRaw(putPath, putOfBytes(t, size));
    await t.rejects(call, tooLarge(size, MESSAGE_BYTES_MAX));
    await t.put("a", "v");
    expect(t.eventWords(await watch.events(1))).toEqual(["put a=v @1"]);
  });

  test("the limit is of the whole request: a long key counts like a value", async (t) => {
    const key = Buffer.concat([bytes(t.prefix), Buffer.alloc(REQUEST_BYTES_MAX, 0x6b)]);
    await t.rejects(t.client.put({ key }), status.RequestTooLarge);
    await t.rejects(t.client.deleteRange({ key }), status.RequestTooLarge);
  });

  test("a key of one megabyte is accepted", async (t) => {
    const key = Buffer.concat([bytes(t.prefix), Buffer.alloc(1_000_000, 0x6b)]);
    await t.client.put({ key, value: bytes("v") });
    expect((await t.client.range({ key })).kvs[0]?.key).toHaveLength(key.length);
    expect((await t.client.deleteRange({ key })).deleted).toBe(1n);
  });

  test("a txn is measured as a whole", async (t) => {
    const half = "x".repeat(REQUEST_BYTES_MAX / 2);
    const success = [putOp(t.key("a"), half), putOp(t.key("b"), half)];
    await t.rejects(t.client.txn({ success }), status.RequestTooLarge);
    const failure = [putOp(t.key("c"), half)];
    await t.rejects(t.client.txn({ success: [putOp(t.key("a"), half)], failure }), status.RequestTooLarge);
    const compares = [compare(t.key("a")).value("=", half), compare(t.key("b")).value("=", half)];
    await t.rejects(t.client.txn({ compare: compares, success: [deleteOp(t.key("a"))] }), status.RequestTooLarge);
    expect((await t.list()).count).toBe(0n);
  });

  test("reads are not measured: a range and a read-only txn with long keys", async (t) => {
    const key = Buffer.alloc(REQUEST_BYTES_MAX + 1000, 0x6b);
    expect((await t.client.range({ key })).count).toBe(0n);
    expect((await t.client.txn({ success: [rangeOp(key)] })).responses).toHaveLength(1);
  });

  test("an error of the request itself comes before its size", async (t) => {
    await t.rejects(t.client.put({ value: Buffer.alloc(REQUEST_BYTES_MAX + 100) }), status.EmptyKey);
  });

  test("a large response is no problem: prev_kv of a large value", async (t) => {
    const value = "x".repeat(1_500_000);
    await t.put("a", value);
    expect((await t.put("a", "", { prevKv: true })).prevKv?.value).toHaveLength(1_500_000);
  });

  test("128 ops at nearly the request limit pass", async (t) => {
    const value = "x".repeat(12_000);
    const success = Array.from({ length: 128 }, (_, index) => putOp(t.key(`k${index}`), value));
    expect((await t.client.txn({ success })).responses).toHaveLength(128);
    expect((await t.list({ countOnly: true })).count).toBe(128n);
  });
});

conformance("Request size by flag", (test) => {
  const flags = { fresh: { "max-request-bytes": "10000" } };

  test(
    "max-request-bytes moves the limit of the request",
    async (t) => {
      await t.put("a", "x".repeat(9_900));
      await t.rejects(t.put("a", "x".repeat(10_000)), status.RequestTooLarge);
    },
    flags,
  );

  test(
    "and the limit of the message stays 512 KiB above it",
    async (t) => {
      const max = 10_000 + 524_288;
      const at = t.client.channel.callRaw(putPath, putOfBytes(t, max));
      await t.rejects(at, status.RequestTooLarge);
      const above = t.client.channel.callRaw(putPath, putOfBytes(t, max + 1));
      await t.rejects(above, tooLarge(max + 1, max));
    },
    flags,
  );

  test(
    "a larger limit lets a value of 3 MB in, and watch and range give it back",
    async (t) => {
      const watch = await t.watch();
      await t.put("a", "x".repeat(3_000_000));
      expect((await watch.events(1))[0]?.kv?.value).toHaveLength(3_000_000);
      expect((await t.get("a")).kvs[0]?.value).toHaveLength(3_000_000);
    },
    { fresh: { "max-request-bytes": "4000000" } },
  );
});

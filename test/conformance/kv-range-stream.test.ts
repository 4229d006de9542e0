/** Conformance: RangeStream, which etcd has since 3.7. */

import { expect } from "vitest";
import type { DeepPartial, RangeRequest, RangeResponse, RangeStreamResponse } from "../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";

const SINCE_37 = { oursOnly: "RangeStream came with 3.7" };

async function parts(t: Context, request: DeepPartial<RangeRequest> = {}): Promise<RangeResponse[]> {
  const stream = t.client.rangeStream({ ...t.everything, ...request });
  const { messages, end } = await stream.drain();
  expect(end).toEqual({ code: Code.OK, details: expect.any(String) });
  return messages.map(({ rangeResponse }: RangeStreamResponse) => {
    if (rangeResponse === undefined) throw new Error("a part without a range response");
    return rangeResponse;
  });
}

async function putNumbered(t: Context, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => String(index).padStart(4, "0"));
  await Promise.all(names.map((name) => t.put(name, name)));
  return names;
}

conformance("KV range stream", (test) => {
  test("answers on our level, is UNIMPLEMENTED on 3.5 so that clients fall back", async (t) => {
    if (!t.target.isEtcd35) {
      expect(await parts(t)).toHaveLength(1);
      return;
    }
    const { end } = await t.client.rangeStream(t.everything).drain();
    expect(end).toEqual({
      code: Code.UNIMPLEMENTED,
      details: "unknown method RangeStream for service etcdserverpb.KV",
    });
  });

  test(
    "the parts joined are the unary answer",
    async (t) => {
      const names = await putNumbered(t, 300);
      const messages = await parts(t);
      expect(messages.length).toBeGreaterThan(1);
      expect(messages.flatMap(({ kvs }) => t.names(kvs))).toEqual(names);
      const unary = await t.list();
      expect(messages.flatMap(({ kvs }) => kvs)).toEqual(unary.kvs);
      expect(messages.at(-1)?.count).toBe(unary.count);
    },
    SINCE_37,
  );

  test(
    "header, more and count are on the last part alone",
    async (t) => {
      await putNumbered(t, 100);
      const messages = await parts(t, { limit: 50 });
      for (const message of messages.slice(0, -1)) {
        expect([message.header, message.more, message.count]).toEqual([undefined, false, 0n]);
      }
      const last = messages.at(-1);
      expect([t.since(last?.header?.revision), last?.more, last?.count]).toEqual([100, true, 100n]);
      expect(messages.flatMap(({ kvs }) => kvs)).toHaveLength(50);
    },
    SINCE_37,
  );

  test(
    "the first part holds at most ten keys",
    async (t) => {
      await putNumbered(t, 30);
      const messages = await parts(t);
      expect(messages[0]?.kvs.length).toBeGreaterThan(0);
      expect(messages[0]?.kvs.length).toBeLessThanOrEqual(10);
    },
    SINCE_37,
  );

  test(
    "an empty result is one message with header and count 0",
    async (t) => {
      const messages = await parts(t);
      expect(messages).toHaveLength(1);
      expect(messages[0]).toMatchObject({ kvs: [], more: false, count: 0n });
      expect(messages[0]?.header?.revision).toBe(t.base);
    },
    SINCE_37,
  );

  test(
    "count_only is one message",
    async (t) => {
      await putNumbered(t, 40);
      const messages = await parts(t, { countOnly: true });
      expect(messages).toHaveLength(1);
      expect(messages[0]).toMatchObject({ kvs: [], more: false, count: 40n });
    },
    SINCE_37,
  );

  test(
    "keys_only leaves the values out",
    async (t) => {
      await putNumbered(t, 25);
      const kvs = (await parts(t, { keysOnly: true })).flatMap((message) => message.kvs);
      expect(kvs).toHaveLength(25);
      expect(kvs.every((kv) => kv.value.length === 0)).toBe(true);
    },
    SINCE_37,
  );

  test(
    "an older revision is pinned, the header is today's",
    async (t) => {
      await t.putAll("a", "b", "c");
      const messages = await parts(t, { revision: t.base + 2n });
      expect(messages.flatMap(({ kvs }) => t.names(kvs))).toEqual(["a", "b"]);
      expect(t.since(messages.at(-1)?.header?.revision)).toBe(3);
    },
    SINCE_37,
  );

  test(
    "large values come in several parts",
    async (t) => {
      const value = "x".repeat(500_000);
      for (let index = 0; index < 12; index += 1) await t.put(`k${String(index).padStart(2, "0")}`, value);
      const messages = await parts(t);
      expect(messages.length).toBeGreaterThan(1);
      expect(messages.flatMap(({ kvs }) => kvs)).toHaveLength(12);
    },
    SINCE_37,
  );

  test(
    "key order ascending is allowed, other orders are not",
    async (t) => {
      await t.putAll("b", "a");
      const messages = await parts(t, { sortOrder: 1, sortTarget: 0 });
      expect(messages.flatMap(({ kvs }) => t.names(kvs))).toEqual(["a", "b"]);
      for (const order of [
        { sortOrder: 2, sortTarget: 0 },
        { sortOrder: 1, sortTarget: 3 },
      ] as const) {
        const { end } = await t.client.rangeStream({ ...t.everything, ...order }).drain();
        expect([end.code, end.details]).toEqual([
          status.RangeStreamSortUnsupported.code,
          status.RangeStreamSortUnsupported.message,
        ]);
      }
    },
    SINCE_37,
  );

  test(
    "revision filters are not supported",
    async (t) => {
      const { code, message } = status.RangeStreamFilterUnsupported;
      for (const filter of ["minModRevision", "maxModRevision", "minCreateRevision", "maxCreateRevision"] as const) {
        const { end } = await t.client.rangeStream({ ...t.everything, [filter]: 1 }).drain();
        expect([end.code, end.details]).toEqual([code, message]);
      }
    },
    SINCE_37,
  );

  test(
    "an empty key and a future revision are refused",
    async (t) => {
      const empty = await t.client.rangeStream({}).drain();
      expect([empty.end.code, empty.end.details]).toEqual([status.EmptyKey.code, status.EmptyKey.message]);
      const future = await t.client.rangeStream({ ...t.everything, revision: t.base + 1n }).drain();
      expect([future.end.code, future.end.details]).toEqual([status.FutureRev.code, status.FutureRev.message]);
    },
    SINCE_37,
  );
});

/**
 * The types of the public face, as the compiler sees them: `tsc -p test` checks what stands here, the run only that it
 * can be called.
 */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  type Bytes,
  bytes,
  type Codec,
  type Compare,
  ConflictError,
  cmp,
  createClient,
  type DeleteResult,
  type EtcdClient,
  type EtcdError,
  type EtcdErrorCode,
  type Header,
  isEtcdError,
  json,
  type KeyValue,
  type Kv,
  type Lease,
  type Outcome,
  op,
  type PutResult,
  type RangeResult,
  type Scan,
  type ScanPage,
  type TxnResult,
  utf8,
  type Watch,
  type WatchBatch,
  type WatchEvent,
} from "../../src/client/index.js";
import { StoreTransport } from "../support/store-transport.js";

/** Never called: what is in it is for the compiler. */
function onlyTypes(check: (client: EtcdClient, kv: Kv<{ readonly n: number }>, lease: Lease) => unknown): void {
  expect(check).toBeTypeOf("function");
}

describe("reads and writes", () => {
  it("have bigint for what orders and number for what counts", () => {
    expectTypeOf<KeyValue<string>["modRevision"]>().toEqualTypeOf<bigint>();
    expectTypeOf<KeyValue<string>["lease"]>().toEqualTypeOf<bigint | undefined>();
    expectTypeOf<KeyValue<string>["version"]>().toEqualTypeOf<number>();
    expectTypeOf<KeyValue<string>["keyBytes"]>().toEqualTypeOf<Uint8Array>();
    expectTypeOf<RangeResult<string>["count"]>().toEqualTypeOf<number>();
    expectTypeOf<DeleteResult<string>["deleted"]>().toEqualTypeOf<number>();
    expectTypeOf<Header["revision"]>().toEqualTypeOf<bigint>();
    expectTypeOf<Header["memberId"]>().toEqualTypeOf<bigint>();
    expectTypeOf<ScanPage<string>["revision"]>().toEqualTypeOf<bigint>();
    expectTypeOf<WatchBatch<string>["revision"]>().toEqualTypeOf<bigint>();
    expectTypeOf<Outcome>().toEqualTypeOf<"not-applied" | "unknown" | "applied">();
  });

  it("have the value type of their view", () => {
    onlyTypes((client, kv) => {
      expectTypeOf(client).toExtend<Kv>();
      expectTypeOf(client.get("k")).resolves.toEqualTypeOf<KeyValue<string> | undefined>();
      expectTypeOf(kv.list({ all: true })).resolves.toEqualTypeOf<RangeResult<{ readonly n: number }>>();
      expectTypeOf(kv.first({ prefix: "k" })).resolves.toEqualTypeOf<KeyValue<{ readonly n: number }> | undefined>();
      expectTypeOf(kv.scan({ prefix: "k" })).toEqualTypeOf<Scan<{ readonly n: number }>>();
      expectTypeOf(kv.watch("k")).toEqualTypeOf<Watch<{ readonly n: number }>>();
      expectTypeOf(kv.namespace("ns/")).toEqualTypeOf<Kv<{ readonly n: number }>>();
      expectTypeOf(client.as(bytes)).toEqualTypeOf<Kv<Bytes>>();
      expectTypeOf(client.as(json<number[]>())).toEqualTypeOf<Kv<number[]>>();
      expectTypeOf(client.as(json())).toEqualTypeOf<Kv<unknown>>();
      // @ts-expect-error -- a view of numbers takes no text
      void client.as(json<number>()).put("k", "text");
      // @ts-expect-error -- get reads one key
      void client.get({ prefix: "k" });
      // @ts-expect-error -- a lease id is a bigint: a number would lose bits
      void client.put("k", "v", { lease: 7 });
      // @ts-expect-error -- consistency is a word, and this is none of them
      void client.get("k", { consistency: "eventual" });
      // @ts-expect-error -- results are not the caller's to change
      void client.get("k").then((found) => found && (found.value = "x"));
    });
  });

  it("take the type of a schema's output", () => {
    const schema = {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: (value: unknown) => ({ value: { port: Number(value) } }),
      },
    };
    expectTypeOf(json(schema)).toEqualTypeOf<Codec<{ port: number }>>();
    expect(json(schema).decode(utf8.encode("1"))).toEqual({ port: 1 });
  });
});

describe("transactions", () => {
  it("give each operation its result, in its place, in the branch that ran", () => {
    onlyTypes(async (client, kv) => {
      const done = await client.txn({
        if: [cmp.exists("k")],
        then: [op.get("k"), op.put("k", "v"), op.delete({ prefix: "k" }), op.bind("k", "none")],
        else: [op.txn({ then: [op.put("k", "v")], else: [op.get("k")] })],
      });
      expectTypeOf(done.header).toEqualTypeOf<Header>();
      if (done.succeeded) {
        expectTypeOf(done.results).toEqualTypeOf<
          [RangeResult<string>, PutResult<string>, DeleteResult<string>, PutResult<string>]
        >();
        // @ts-expect-error -- a put has no kvs
        void done.results[1].kvs;
        // @ts-expect-error -- there are four
        expectTypeOf(done.results[4]).toBeUndefined();
      } else {
        const [inner] = done.results;
        if (inner.succeeded) expectTypeOf(inner.results).toEqualTypeOf<[PutResult<string>]>();
        else expectTypeOf(inner.results[0].kvs).toEqualTypeOf<KeyValue<string>[]>();
      }
      // @ts-expect-error -- which branch ran is to be asked first
      void done.results[0].kvs;

      const typed = await kv.txn({ then: [op.get("k")] });
      if (typed.succeeded) expectTypeOf(typed.results[0].kvs[0]?.value.n).toEqualTypeOf<number | undefined>();
      else expectTypeOf(typed.results).toEqualTypeOf<[]>();
    });
  });

  it("keep lists of operations that are made at run time", () => {
    onlyTypes(async (client) => {
      const puts = ["a", "b"].map((key) => op.put(key, ""));
      const done = await client.txn({ then: puts });
      expectTypeOf(done).toEqualTypeOf<TxnResult<ReturnType<typeof op.put>[], []>>();
      if (done.succeeded) expectTypeOf(done.results).toEqualTypeOf<PutResult<string>[]>();
    });
  });

  it("compare numbers with numbers, values with text or bytes, and leases with leases", () => {
    onlyTypes((_client, _kv, lease) => {
      expectTypeOf(cmp.version("k").equal(1)).toEqualTypeOf<Compare>();
      expectTypeOf(cmp.lease({ prefix: "k" }).notEqual(lease)).toEqualTypeOf<Compare>();
      expectTypeOf(cmp.value("k").less(new Uint8Array(1))).toEqualTypeOf<Compare>();
      // @ts-expect-error -- a value is no number
      cmp.value("k").equal(1);
      // @ts-expect-error -- a version is no lease's
      cmp.version("k").equal(true);
      // @ts-expect-error -- a guard on existence is for one key
      cmp.exists({ prefix: "k" });
      // @ts-expect-error -- a transaction's operation has no deadline of its own
      op.get("k", { timeoutMs: 1 });
    });
  });
});

describe("events and errors", () => {
  it("are narrowed by what they say they are", () => {
    onlyTypes((_client) => {
      const event = {} as WatchEvent<string>;
      if (event.type === "put") expectTypeOf(event.kv).toEqualTypeOf<KeyValue<string>>();
      else expectTypeOf(event.modRevision).toEqualTypeOf<bigint>();
      // @ts-expect-error -- a delete has no value
      if (event.type === "delete") void event.kv;
      const error: unknown = undefined;
      if (isEtcdError(error)) expectTypeOf(error).toEqualTypeOf<EtcdError>();
      expectTypeOf<"Compacted" | "NoLeader" | "Decode">().toExtend<EtcdErrorCode>();
      // @ts-expect-error -- codes are a closed list
      isEtcdError(error, "Compactd");
      expectTypeOf<ConflictError["current"]>().toEqualTypeOf<KeyValue<Uint8Array> | undefined>();
    });
  });

  it("stand behind a client that closes itself", async () => {
    await using client = createClient({ endpoints: "store", transport: new StoreTransport() });
    expectTypeOf(client).toExtend<AsyncDisposable>();
    await client.put("k", "v");
    await expect(client.put("k", "v", { ifAbsent: true })).rejects.toBeInstanceOf(ConflictError);
    // @ts-expect-error -- a client needs endpoints
    expect(() => createClient({})).toThrow(TypeError);
  });
});

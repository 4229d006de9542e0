/** Namespaces: a part of the store that cannot be told from a whole one. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytes, cmp, createClient, isEtcdError, type Key, type KeyRange, type Kv, op } from "../../src/client/index.js";
import { keyBytes, rangeInside, wireRange } from "../../src/client/kv/range.js";
import { StoreTransport } from "../support/store-transport.js";

type Store = Kv<Uint8Array>;

/** Few different bytes, among them those at the edges, so that keys and prefixes meet. */
const someBytes = (minLength: number) =>
  fc.array(fc.constantFrom(0, 1, 97, 254, 255), { minLength, maxLength: 4 }).map((all) => Uint8Array.from(all));
const anyKey = someBytes(0);
const anyRange: fc.Arbitrary<KeyRange> = fc.oneof(
  someBytes(1),
  anyKey.map((prefix) => ({ prefix })),
  fc.record({ from: anyKey, to: anyKey }),
  anyKey.map((from) => ({ from })),
  fc.constant({ all: true } as const),
);

/** Whether the range, as the words of the SDK say it, has the key. */
function has(range: KeyRange, key: Uint8Array): boolean {
  const least = (limit: Key): boolean => Buffer.compare(key, keyBytes(limit)) >= 0;
  if (typeof range === "string" || range instanceof Uint8Array) return Buffer.compare(key, keyBytes(range)) === 0;
  if ("all" in range) return true;
  if ("prefix" in range) {
    const prefix = keyBytes(range.prefix);
    return Buffer.compare(key.subarray(0, prefix.length), prefix) === 0;
  }
  return least(range.from) && (range.to === undefined || !least(range.to));
}

function wireHas({ key, rangeEnd }: ReturnType<typeof wireRange>, candidate: Uint8Array): boolean {
  if (rangeEnd.length === 0) return Buffer.compare(candidate, key) === 0;
  const endless = Buffer.compare(rangeEnd, Buffer.of(0)) === 0;
  return Buffer.compare(candidate, key) >= 0 && (endless || Buffer.compare(candidate, rangeEnd) < 0);
}

describe("a range on the wire", () => {
  it("has the keys that its words say", () => {
    fc.assert(
      fc.property(anyRange, someBytes(1), (range, key) => {
        expect(wireHas(wireRange(range), key)).toBe(has(range, key));
      }),
      { numRuns: 2_000 },
    );
  });

  it("has the same keys inside of a namespace, and none outside", () => {
    fc.assert(
      fc.property(anyRange, someBytes(1), someBytes(1), (range, prefix, key) => {
        const inside = rangeInside(prefix, wireRange(range));
        const joined = Buffer.concat([prefix, key]);
        expect(wireHas(inside, joined)).toBe(has(range, key));
        const outside = Buffer.compare(key.subarray(0, prefix.length), prefix) !== 0;
        if (outside) expect(wireHas(inside, key)).toBe(false);
        expect(wireHas(inside, prefix)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is empty if its upper end is below every key, though the wire would read that as all of them", () => {
    for (const to of ["", Uint8Array.of(0), "A", "a"]) {
      expect(wireRange({ from: "a", to })).toEqual({ key: Uint8Array.of(1), rangeEnd: Uint8Array.of(1) });
      expect(wireRange({ from: Uint8Array.of(0), to: Uint8Array.of(0) })).not.toEqual(wireRange({ all: true }));
    }
  });
});

type Step = (store: Store) => Promise<unknown>;

const lists = anyRange.map<Step>((range) => async (store) => {
  const { kvs, count, more } = await store.list(range, { limit: 3 });
  return { kvs, count, more, last: await store.last(range), sum: await store.count(range) };
});
const scans = anyRange.map<Step>((range) => async (store) => {
  const kvs: unknown[] = [];
  for await (const kv of store.scan(range, { pageSize: 2 })) kvs.push(kv);
  return kvs;
});
const puts = fc.tuple(anyKey, someBytes(0)).map<Step>(([key, value]) => async (store) => {
  return (await store.put(key, value, { previous: true })).previous;
});
const creates = anyKey.map<Step>((key) => (store) => store.put(key, key, { ifAbsent: true }));
const deletes = anyRange.map<Step>((range) => async (store) => {
  const { deleted, previous } = await store.delete(range, { previous: true });
  return { deleted, previous };
});
const txns = fc.tuple(anyRange, someBytes(1), anyRange).map<Step>(([range, key, other]) => async (store) => {
  const done = await store.txn({
    if: [cmp.version(range).less(3), cmp.absent(key)],
    then: [op.put(key, "made", { previous: true }), op.txn({ if: [cmp.exists(key)], then: [op.get(range)] })],
    else: [op.delete(other, { previous: true }), op.get({ all: true })],
  });
  return withoutHeaders(done.results);
});
const steps = fc.oneof(lists, scans, puts, creates, deletes, txns);

/** What a step comes to, failures included; headers are the store's own. */
async function outcome(step: Step, store: Store): Promise<unknown> {
  try {
    return await step(store);
  } catch (error) {
    if (!isEtcdError(error)) throw error;
    return { code: error.code, current: "current" in error ? error.current : undefined };
  }
}

function withoutHeaders(results: unknown): unknown {
  return JSON.parse(
    JSON.stringify(results, (name, value: unknown) =>
      name === "header" ? undefined : typeof value === "bigint" ? value.toString() : value,
    ),
  );
}

describe("a namespace", () => {
  it("answers as a whole store of its own does, whatever lies around it", async () => {
    const whole = fc.tuple(someBytes(1), someBytes(1), fc.array(steps, { maxLength: 12 }));
    await fc.assert(
      fc.asyncProperty(whole, async ([outer, inner, script]) => {
        const shared = new StoreTransport();
        const own = new StoreTransport();
        await using client = createClient({ endpoints: "shared", transport: shared, namespace: outer });
        await using model = createClient({ endpoints: "own", transport: own });
        const nested = client.as(bytes).namespace(inner);
        await surround(shared, Buffer.concat([outer, inner]));
        await surround(own, Buffer.alloc(0));
        const before = shared.keys.length - own.keys.length;
        for (const step of script) expect(await outcome(step, nested)).toEqual(await outcome(step, model.as(bytes)));
        const prefix = Buffer.concat([outer, inner]).toString("hex");
        const inside = shared.keys.filter((key) => key.startsWith(prefix) && key !== prefix);
        expect(inside.map((key) => key.slice(prefix.length))).toEqual(own.keys);
        expect(shared.keys.length - own.keys.length).toBe(before);
      }),
      { numRuns: 150 },
    );
  });

  it("refuses the empty key before anything is sent, everywhere but in a watch", async () => {
    const transport = new StoreTransport();
    await using client = createClient({ endpoints: "store", transport, namespace: "ns/" });
    const calls = [
      () => client.get(""),
      () => client.put("", "x"),
      () => client.delete(""),
      () => client.txn({ if: [cmp.absent("")], then: [] }),
      () => client.txn({ then: [op.txn({ then: [op.put("", "x")] })] }),
      () => client.raw.kv.range({ key: new Uint8Array(0) }),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "EmptyKey", outcome: "not-applied" });
    expect(transport.requests).toEqual([]);
  });

  it("of nothing is the whole store", async () => {
    const transport = new StoreTransport();
    await using client = createClient({ endpoints: "store", transport, namespace: "" });
    await client.namespace("").put("k", "v");
    expect((await client.get("k"))?.value).toBe("v");
    expect(transport.keys).toEqual(["6b"]);
  });
});

/** Six writes that leave keys around a prefix and none under it; under no prefix at all they leave nothing. */
async function surround(transport: StoreTransport, prefix: Buffer): Promise<void> {
  await using client = createClient({ endpoints: "store", transport });
  const store = client.as(bytes);
  const text = Uint8Array.of(33);
  if (prefix.length === 0) {
    for (let count = 0; count < 5; count++) await store.put(Uint8Array.of(7), text);
    await store.delete(Uint8Array.of(7));
    return;
  }
  const parent = prefix.subarray(0, -1);
  const wanted = [
    Buffer.concat([parent, Buffer.of(0)]),
    Buffer.of(0),
    Buffer.of(254, 255),
    Buffer.of(255, 255),
    Buffer.of(1),
  ];
  const isInside = (key: Buffer): boolean => key.subarray(0, prefix.length).equals(prefix);
  for (const key of [prefix, ...wanted]) await store.put(key.length === 0 || isInside(key) ? prefix : key, text);
}

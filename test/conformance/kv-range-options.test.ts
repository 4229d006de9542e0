/** Conformance: limit, count_only, keys_only, revision and the revision filters of a range. */

import { expect } from "vitest";
import { status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

/** Keys a to d put at +1 to +4, then b again at +5: created 1,2,3,4 and modified 1,5,3,4. */
async function fiveRevisions(t: Context): Promise<void> {
  await t.putAll("a", "b", "c", "d", "b");
}

conformance("KV range: limit, count and keys", (test) => {
  test("limit cuts the kvs, more says so, count does not care", async (t) => {
    await t.putAll("a", "b", "c");
    const { kvs, more, count } = await t.list({ limit: 2 });
    expect({ names: t.names(kvs), more, count }).toEqual({ names: ["a", "b"], more: true, count: 3n });
  });

  test("a limit of exactly the number of keys leaves more false", async (t) => {
    await t.putAll("a", "b");
    const { kvs, more } = await t.list({ limit: 2 });
    expect({ names: t.names(kvs), more }).toEqual({ names: ["a", "b"], more: false });
  });

  for (const limit of [0, -1, -5]) {
    test(`limit ${limit} is no limit`, async (t) => {
      await t.putAll("a", "b", "c");
      const { kvs, more } = await t.list({ limit });
      expect({ names: t.names(kvs), more }).toEqual({ names: ["a", "b", "c"], more: false });
    });
  }

  test("a limit above the number of keys changes nothing", async (t) => {
    await t.putAll("a", "b");
    const { kvs, more, count } = await t.list({ limit: 1n << 40n });
    expect({ names: t.names(kvs), more, count }).toEqual({ names: ["a", "b"], more: false, count: 2n });
  });

  test("paging by limit and last key + zero byte visits each key once", async (t) => {
    await t.putAll("a", "b", "c", "d", "e");
    const seen: string[] = [];
    let from = t.everything.key;
    for (let more = true; more; ) {
      const page = await t.client.range({ key: from, rangeEnd: t.everything.rangeEnd, limit: 2 });
      seen.push(...t.names(page.kvs));
      from = Buffer.concat([page.kvs.at(-1)?.key ?? Buffer.from([]), Buffer.from([0])]);
      more = page.more;
    }
    expect(seen).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("count_only gives the count and no kvs", async (t) => {
    await t.putAll("a", "b", "c");
    const { kvs, more, count } = await t.list({ countOnly: true });
    expect({ kvs, more, count }).toEqual({ kvs: [], more: false, count: 3n });
  });

  test("count_only ignores the limit", async (t) => {
    await t.putAll("a", "b", "c");
    const { kvs, more, count } = await t.list({ countOnly: true, limit: 1 });
    expect({ kvs, more, count }).toEqual({ kvs: [], more: false, count: 3n });
  });

  test("count_only ignores the revision filters", async (t) => {
    await fiveRevisions(t);
    const { count } = await t.list({ countOnly: true, minModRevision: t.base + 5n });
    expect(count).toBe(4n);
  });

  test("count_only wins over keys_only and sorting", async (t) => {
    await t.putAll("a", "b");
    const { kvs, count } = await t.list({ countOnly: true, keysOnly: true, sortOrder: 2, sortTarget: 3 });
    expect({ kvs, count }).toEqual({ kvs: [], count: 2n });
  });

  test("count_only counts at an older revision", async (t) => {
    await t.putAll("a", "b", "c");
    expect((await t.list({ countOnly: true, revision: t.base + 2n })).count).toBe(2n);
  });

  test("count_only of one key is 1 or 0", async (t) => {
    await t.put("a");
    expect((await t.get("a", { countOnly: true })).count).toBe(1n);
    expect((await t.get("b", { countOnly: true })).count).toBe(0n);
  });

  test("keys_only leaves the values out and everything else in", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    const { kvs, count } = await t.list({ keysOnly: true });
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "", created: 1, modified: 2, version: 2, lease: 0n });
    expect(count).toBe(1n);
  });

  test("keys_only and the lease of a key", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    const { kvs } = await t.list({ keysOnly: true });
    const expected = t.differs({
      etcd35: lease,
      ours: 0n,
      why: "3.7 answers keys_only from the index, which has no lease",
    });
    expect(kvs[0]?.lease).toBe(expected);
  });

  test("keys_only with a limit", async (t) => {
    await t.putAll("a", "b", "c");
    const { kvs, more, count } = await t.list({ keysOnly: true, limit: 1 });
    expect({ names: t.names(kvs), more, count }).toEqual({ names: ["a"], more: true, count: 3n });
    expect(kvs[0]?.value.length).toBe(0);
  });

  test("serializable reads the same on one member", async (t) => {
    await t.putAll("a", "b");
    const plain = await t.list();
    const serializable = await t.list({ serializable: true });
    expect(serializable).toEqual(plain);
  });

  test("a serializable range sees a write that was acknowledged on this member", async (t) => {
    for (let round = 0; round < 50; round += 1) {
      await t.put("a", String(round));
      const { kvs } = await t.get("a", { serializable: true });
      expect(t.facts(kvs[0])?.value).toBe(String(round));
    }
  });
});

conformance("KV range: revision", (test) => {
  test("an older revision shows the store as it was, under today's header revision", async (t) => {
    await fiveRevisions(t);
    const response = await t.list({ revision: t.base + 2n });
    expect(t.names(response.kvs)).toEqual(["a", "b"]);
    expect(response.count).toBe(2n);
    expect(t.since(headerOf(response).revision)).toBe(5);
  });

  test("an older revision shows the older value", async (t) => {
    await t.put("a", "one");
    await t.put("a", "two");
    const { kvs } = await t.get("a", { revision: t.base + 1n });
    expect(t.facts(kvs[0])).toEqual({ key: "a", value: "one", created: 1, modified: 1, version: 1, lease: 0n });
  });

  test("a revision before a delete still shows the key, the revision of the delete does not", async (t) => {
    await t.put("a", "one");
    await t.del("a");
    expect((await t.get("a", { revision: t.base + 1n })).count).toBe(1n);
    expect((await t.get("a", { revision: t.base + 2n })).count).toBe(0n);
  });

  test("both generations of a key are readable", async (t) => {
    await t.put("a", "first");
    await t.del("a");
    await t.put("a", "second");
    expect(t.facts((await t.get("a", { revision: t.base + 1n })).kvs[0])?.created).toBe(1);
    expect(t.facts((await t.get("a")).kvs[0])?.created).toBe(3);
  });

  test("the current revision itself is readable", async (t) => {
    await t.put("a");
    expect((await t.get("a", { revision: t.base + 1n })).count).toBe(1n);
  });

  for (const revision of [-1n, -(2n ** 63n)]) {
    test(`revision ${revision} means the latest`, async (t) => {
      await t.put("a", "v");
      expect((await t.get("a", { revision })).count).toBe(1n);
    });
  }

  test("a future revision is refused", async (t) => {
    const revision = (await t.revision()) + 1n;
    await t.rejects(t.get("a", { revision }), status.FutureRev);
    await t.rejects(t.get("a", { revision, serializable: true }), status.FutureRev);
    await t.rejects(t.get("a", { revision, countOnly: true }), status.FutureRev);
  });

  test("the largest revision is a future revision", async (t) => {
    await t.rejects(t.get("a", { revision: 2n ** 63n - 1n }), status.FutureRev);
  });

  test(
    "revision 1 of a store that was never compacted is empty and no error",
    async (t) => {
      await t.put("a");
      const { kvs, count } = await t.list({ revision: 1n });
      expect({ kvs, count }).toEqual({ kvs: [], count: 0n });
    },
    { fresh: true },
  );

  test("limit, more and count work at an older revision", async (t) => {
    await fiveRevisions(t);
    const { kvs, more, count } = await t.list({ revision: t.base + 3n, limit: 2 });
    expect({ names: t.names(kvs), more, count }).toEqual({ names: ["a", "b"], more: true, count: 3n });
  });
});

conformance("KV range: revision filters", (test) => {
  const filters: readonly [string, (base: bigint) => object, string[]][] = [
    ["min_mod_revision is inclusive", (base) => ({ minModRevision: base + 4n }), ["b", "d"]],
    ["max_mod_revision is inclusive", (base) => ({ maxModRevision: base + 3n }), ["a", "c"]],
    ["min_create_revision is inclusive", (base) => ({ minCreateRevision: base + 2n }), ["b", "c", "d"]],
    ["max_create_revision is inclusive", (base) => ({ maxCreateRevision: base + 2n }), ["a", "b"]],
    ["a mod window", (base) => ({ minModRevision: base + 3n, maxModRevision: base + 4n }), ["c", "d"]],
    ["a create window", (base) => ({ minCreateRevision: base + 2n, maxCreateRevision: base + 3n }), ["b", "c"]],
    ["mod and create together", (base) => ({ minModRevision: base + 4n, maxCreateRevision: base + 2n }), ["b"]],
    ["a window that holds nothing", (base) => ({ minModRevision: base + 6n }), []],
    ["an empty window", (base) => ({ minModRevision: base + 4n, maxModRevision: base + 3n }), []],
  ];
  for (const [name, filter, expected] of filters) {
    test(`${name}; count ignores it`, async (t) => {
      await fiveRevisions(t);
      const { kvs, more, count } = await t.list(filter(t.base));
      expect({ names: t.names(kvs), more, count }).toEqual({ names: expected, more: false, count: 4n });
    });
  }

  test("filters apply before the limit, and more counts what passed them", async (t) => {
    await fiveRevisions(t);
    const first = await t.list({ minModRevision: t.base + 3n, limit: 1 });
    expect({ names: t.names(first.kvs), more: first.more }).toEqual({ names: ["b"], more: true });
    const all = await t.list({ minModRevision: t.base + 3n, limit: 3 });
    expect({ names: t.names(all.kvs), more: all.more }).toEqual({ names: ["b", "c", "d"], more: false });
  });

  test("a filter with a limit that the unfiltered keys exceed, but not the filtered", async (t) => {
    await fiveRevisions(t);
    const { kvs, more, count } = await t.list({ minModRevision: t.base + 5n, limit: 1 });
    expect({ names: t.names(kvs), more, count }).toEqual({ names: ["b"], more: false, count: 4n });
  });

  test("filters look at the state at the requested revision", async (t) => {
    await fiveRevisions(t);
    const { kvs } = await t.list({ revision: t.base + 4n, minModRevision: t.base + 2n, maxModRevision: t.base + 2n });
    expect(t.names(kvs)).toEqual(["b"]);
  });

  test("filters work on a single key", async (t) => {
    await fiveRevisions(t);
    expect(t.names((await t.get("b", { minModRevision: t.base + 5n })).kvs)).toEqual(["b"]);
    const outside = await t.get("b", { maxModRevision: t.base + 4n });
    expect({ kvs: outside.kvs, count: outside.count }).toEqual({ kvs: [], count: 1n });
  });

  test("filters and keys_only", async (t) => {
    await fiveRevisions(t);
    const { kvs } = await t.list({ keysOnly: true, minModRevision: t.base + 4n });
    expect(kvs.map((kv) => t.facts(kv)?.value)).toEqual(["", ""]);
    expect(t.names(kvs)).toEqual(["b", "d"]);
  });

  test("filters and descending order", async (t) => {
    await fiveRevisions(t);
    const { kvs, more } = await t.list({ minModRevision: t.base + 3n, sortOrder: 2, sortTarget: 3, limit: 2 });
    expect({ names: t.names(kvs), more }).toEqual({ names: ["b", "d"], more: true });
  });
});

/** Conformance: the order of a range. */

import { expect } from "vitest";
import { RangeRequest_SortTarget as By, RangeRequest_SortOrder as Order } from "../../proto/gen/etcd/rpc.js";
import { status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";

/**
 * Four keys whose order differs by every target:
 * created a c b d; modified c d b a; version c=1 d=1 b=2 a=3 (no ties but c, d); values d<a<c<b.
 */
async function fourKeys(t: Context): Promise<void> {
  await t.put("a", "-");
  await t.put("a", "-");
  await t.put("c", "3");
  await t.put("b", "-");
  await t.put("d", "1");
  await t.put("b", "4");
  await t.put("a", "2");
}

conformance("KV range: order", (test) => {
  const orders: readonly [keyof typeof By, string, string][] = [
    ["KEY", "abcd", "dcba"],
    ["CREATE", "acbd", "dbca"],
    ["MOD", "cdba", "abdc"],
    ["VALUE", "dacb", "bcad"],
  ];
  for (const [target, ascending, descending] of orders) {
    test(`${target} ascending`, async (t) => {
      await fourKeys(t);
      const { kvs } = await t.list({ sortOrder: Order.ASCEND, sortTarget: By[target] });
      expect(t.names(kvs).join("")).toBe(ascending);
    });
    test(`${target} descending`, async (t) => {
      await fourKeys(t);
      const { kvs } = await t.list({ sortOrder: Order.DESCEND, sortTarget: By[target] });
      expect(t.names(kvs).join("")).toBe(descending);
    });
    test(`${target} ascending takes the limit after sorting`, async (t) => {
      await fourKeys(t);
      const { kvs, more, count } = await t.list({ sortOrder: Order.ASCEND, sortTarget: By[target], limit: 2 });
      expect({ names: t.names(kvs).join(""), more, count }).toEqual({
        names: ascending.slice(0, 2),
        more: true,
        count: 4n,
      });
    });
    test(`${target} descending takes the limit after sorting`, async (t) => {
      await fourKeys(t);
      const { kvs, more } = await t.list({ sortOrder: Order.DESCEND, sortTarget: By[target], limit: 1 });
      expect({ names: t.names(kvs).join(""), more }).toEqual({ names: descending.slice(0, 1), more: true });
    });
  }

  test("VERSION ascending and descending", async (t) => {
    await fourKeys(t);
    const up = await t.list({ sortOrder: Order.ASCEND, sortTarget: By.VERSION });
    const down = await t.list({ sortOrder: Order.DESCEND, sortTarget: By.VERSION });
    expect(up.kvs.map((kv) => kv.version)).toEqual([1n, 1n, 2n, 3n]);
    expect(down.kvs.map((kv) => kv.version)).toEqual([3n, 2n, 1n, 1n]);
    expect(t.names(down.kvs).slice(0, 2)).toEqual(["a", "b"]);
  });

  test("order NONE with target KEY is key order", async (t) => {
    await fourKeys(t);
    expect(t.names((await t.list({ sortOrder: Order.NONE })).kvs).join("")).toBe("abcd");
  });

  test("order NONE with another target sorts ascending", async (t) => {
    await fourKeys(t);
    const { kvs } = await t.list({ sortOrder: Order.NONE, sortTarget: By.MOD });
    expect(t.names(kvs).join("")).toBe("cdba");
  });

  test("order NONE with another target and limit 1 takes the first of the first two keys", async (t) => {
    await t.putAll("z", "a", "b");
    const { kvs, more } = await t.list({ sortOrder: Order.NONE, sortTarget: By.MOD, limit: 1 });
    expect({ names: t.names(kvs), more }).toEqual({ names: ["a"], more: true });
  });

  test("order NONE with another target and limit 2 sorts the first three keys, then cuts", async (t) => {
    await t.putAll("z", "a", "b");
    const { kvs, more } = await t.list({ sortOrder: Order.NONE, sortTarget: By.MOD, limit: 2 });
    expect({ names: t.names(kvs), more }).toEqual({ names: ["z", "a"], more: true });
  });

  test("VALUE order with keys_only sorts by the values it then leaves out", async (t) => {
    await fourKeys(t);
    const { kvs } = await t.list({ sortOrder: Order.ASCEND, sortTarget: By.VALUE, keysOnly: true });
    expect(t.names(kvs).join("")).toBe("dacb");
    expect(kvs.every((kv) => kv.value.length === 0)).toBe(true);
  });

  test("VALUE order compares bytes, a shorter value first", async (t) => {
    await t.put("a", "10");
    await t.put("b", "9");
    await t.put("c", "1");
    await t.put("d", "");
    const { kvs } = await t.list({ sortOrder: Order.ASCEND, sortTarget: By.VALUE });
    expect(t.names(kvs).join("")).toBe("dcab");
  });

  test("sorting looks at the state at the requested revision", async (t) => {
    await t.putAll("a", "b", "a");
    const { kvs } = await t.list({ revision: t.base + 2n, sortOrder: Order.DESCEND, sortTarget: By.MOD });
    expect(t.names(kvs).join("")).toBe("ba");
  });

  test("ties keep key order when ascending", async (t) => {
    await t.putAll("c", "a", "b");
    const { kvs } = await t.list({ sortOrder: Order.ASCEND, sortTarget: By.VERSION });
    expect(t.names(kvs).join("")).toBe("abc");
  });

  test("an unknown sort order", async (t) => {
    await t.putAll("b", "a");
    const call = t.list({ sortOrder: 7 as never });
    if (t.target.isEtcd35)
      expect(t.names((await call).kvs)).toEqual(["a", "b"]); // 3.5 does not check enums
    else await t.rejects(call, status.InvalidSortOption);
  });

  test(
    "an unknown sort target is refused",
    async (t) => {
      await t.put("a");
      await t.rejects(t.list({ sortTarget: 9 as never }), status.InvalidSortOption);
      await t.rejects(t.list({ sortOrder: Order.ASCEND, sortTarget: 9 as never }), status.InvalidSortOption);
      expect((await t.list()).count).toBe(1n);
    },
    { oursOnly: "3.5.30 ends the process" },
  );
});

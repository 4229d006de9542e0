/** Conformance: the compares of a transaction. */

import { expect } from "vitest";
import { Code } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { bytes, type Cmp, compare, FROM_KEY, Result, Target } from "./words.js";

async function holds(t: Context, ...compares: Cmp[]): Promise<boolean> {
  return (await t.client.txn({ compare: compares })).succeeded;
}

/** Key "k": created +1, modified +3, version 3, value "mm", lease 1000. */
async function subject(t: Context): Promise<Uint8Array> {
  const ID = await t.grant(600n, 1000n);
  await t.put("k", "one");
  await t.put("k", "two");
  await t.put("k", "mm", { lease: ID });
  return t.key("k");
}

type Make = (sign: "=" | ">" | "<" | "!=", shift: bigint, base: bigint, key: Uint8Array) => Cmp;

conformance("Txn compare: an existing key", (test) => {
  const targets: readonly [string, Make][] = [
    ["VERSION", (sign, shift, _, key) => compare(key).version(sign, 3n + shift)],
    ["CREATE", (sign, shift, base, key) => compare(key).create(sign, base + 1n + shift)],
    ["MOD", (sign, shift, base, key) => compare(key).mod(sign, base + 3n + shift)],
    ["LEASE", (sign, shift, _, key) => compare(key).lease(sign, 1000n + shift)],
    ["VALUE", (sign, shift, _, key) => compare(key).value(sign, shift === 0n ? "mm" : shift < 0n ? "ma" : "mz")],
  ];
  for (const [name, make] of targets) {
    test(`${name}: equal, greater, less and not equal`, async (t) => {
      const key = await subject(t);
      const table: Record<string, boolean[]> = {};
      for (const sign of ["=", ">", "<", "!="] as const) {
        const row: boolean[] = [];
        for (const shift of [-1n, 0n, 1n]) row.push(await holds(t, make(sign, shift, t.base, key)));
        table[sign] = row;
      }
      // Columns: the operand is below, at, above the stored value; ">" means stored above operand.
      expect(table).toEqual({
        "=": [false, true, false],
        ">": [true, false, false],
        "<": [false, false, true],
        "!=": [true, false, true],
      });
    });
  }

  test("VALUE compares bytes: a longer value with the same start is greater", async (t) => {
    const key = await subject(t);
    expect(await holds(t, compare(key).value(">", "m"))).toBe(true);
    expect(await holds(t, compare(key).value("<", "mma"))).toBe(true);
    expect(await holds(t, compare(key).value("<", "n"))).toBe(true);
    expect(await holds(t, compare(key).value(">", ""))).toBe(true);
  });

  test("an empty value equals an empty operand", async (t) => {
    await t.put("k", "");
    expect(await holds(t, compare(t.key("k")).value("=", ""))).toBe(true);
    expect(await holds(t, compare(t.key("k")).value("!=", ""))).toBe(false);
  });

  test("a key without lease has lease 0", async (t) => {
    await t.put("k");
    expect(await holds(t, compare(t.key("k")).lease("=", 0n))).toBe(true);
  });

  test("all compares must hold", async (t) => {
    const key = await subject(t);
    const [yes, no] = [compare(key).version("=", 3n), compare(key).version("=", 4n)];
    expect(await holds(t, yes, yes)).toBe(true);
    expect(await holds(t, yes, no)).toBe(false);
    expect(await holds(t, no, yes)).toBe(false);
  });

  test("no compare at all holds", async (t) => {
    expect(await holds(t)).toBe(true);
  });

  test("negative operands", async (t) => {
    const key = await subject(t);
    expect(await holds(t, compare(key).version(">", -1n))).toBe(true);
    expect(await holds(t, compare(key).mod("=", -5n))).toBe(false);
  });
});

conformance("Txn compare: a missing key", (test) => {
  type Operand = (key: Uint8Array, sign: "=" | ">" | "<" | "!=", value: bigint) => Cmp;
  const zero: readonly [string, Operand][] = [
    ["VERSION", (key, sign, value) => compare(key).version(sign, value)],
    ["CREATE", (key, sign, value) => compare(key).create(sign, value)],
    ["MOD", (key, sign, value) => compare(key).mod(sign, value)],
    ["LEASE", (key, sign, value) => compare(key).lease(sign, value)],
  ];
  for (const [name, operand] of zero) {
    test(`${name} counts as 0`, async (t) => {
      const key = t.key("missing");
      expect(await holds(t, operand(key, "=", 0n))).toBe(true);
      expect(await holds(t, operand(key, "!=", 0n))).toBe(false);
      expect(await holds(t, operand(key, "<", 1n))).toBe(true);
      expect(await holds(t, operand(key, ">", -1n))).toBe(true);
      expect(await holds(t, operand(key, ">", 0n))).toBe(false);
    });
  }

  test("VALUE never holds, not even NOT_EQUAL", async (t) => {
    const { value } = compare(t.key("missing"));
    for (const sign of ["=", "!=", "<", ">"] as const) {
      expect(await holds(t, value(sign, "x"))).toBe(false);
      expect(await holds(t, value(sign, ""))).toBe(false);
    }
  });

  test("a deleted key is a missing key", async (t) => {
    await t.put("k", "v");
    await t.del("k");
    expect(await holds(t, compare(t.key("k")).create("=", 0n))).toBe(true);
    expect(await holds(t, compare(t.key("k")).value("=", "v"))).toBe(false);
  });

  test("create-if-absent succeeds once", async (t) => {
    const attempt = () => t.client.txn({ compare: [compare(t.key("k")).create("=", 0n)], success: [putNow(t)] });
    const outcomes = await Promise.all([attempt(), attempt(), attempt(), attempt()]);
    expect(outcomes.filter(({ succeeded }) => succeeded)).toHaveLength(1);
    expect(t.facts((await t.get("k")).kvs[0])?.version).toBe(1);
  });
});

function putNow(t: Context) {
  return { request: { $case: "requestPut", value: { key: t.key("k"), value: bytes("v") } } } as const;
}

conformance("Txn compare: intervals", (test) => {
  test("holds only if it holds for every key", async (t) => {
    await t.putAll("a", "b", "c", "b");
    const { key, rangeEnd } = t.everything;
    expect(await holds(t, compare(key, rangeEnd).version(">", 0n))).toBe(true);
    expect(await holds(t, compare(key, rangeEnd).version("=", 1n))).toBe(false);
    expect(await holds(t, compare(t.key("c"), rangeEnd).version("=", 1n))).toBe(true);
  });

  test("VALUE over an interval", async (t) => {
    await t.put("a", "x");
    await t.put("b", "x");
    const { key, rangeEnd } = t.everything;
    expect(await holds(t, compare(key, rangeEnd).value("=", "x"))).toBe(true);
    await t.put("c", "y");
    expect(await holds(t, compare(key, rangeEnd).value("=", "x"))).toBe(false);
    expect(await holds(t, compare(key, rangeEnd).value("!=", "z"))).toBe(true);
  });

  test("an empty interval counts as one missing key", async (t) => {
    const { key, rangeEnd } = t.everything;
    expect(await holds(t, compare(key, rangeEnd).create("=", 0n))).toBe(true);
    expect(await holds(t, compare(key, rangeEnd).create(">", 0n))).toBe(false);
    expect(await holds(t, compare(key, rangeEnd).value("!=", "x"))).toBe(false);
  });

  test("range_end below key is an empty interval", async (t) => {
    await t.putAll("a", "b");
    expect(await holds(t, compare(t.key("b"), t.key("a")).version("=", 0n))).toBe(true);
    expect(await holds(t, compare(t.key("b"), t.key("a")).version("=", 1n))).toBe(false);
  });

  test(
    "range_end of one zero byte reaches to the end",
    async (t) => {
      await t.client.put({ key: bytes("a") });
      await t.client.put({ key: bytes("z") });
      await t.client.put({ key: bytes("z") });
      expect(await holds(t, compare(bytes("a"), FROM_KEY).version("=", 1n))).toBe(false);
      expect(await holds(t, compare(bytes("a"), FROM_KEY).version(">", 0n))).toBe(true);
      expect(await holds(t, compare(bytes("b"), FROM_KEY).version("=", 2n))).toBe(true);
    },
    { fresh: true },
  );
});

conformance("Txn compare: odd messages", (test) => {
  test("a missing operand is 0", async (t) => {
    await t.put("k", "v");
    const key = t.key("k");
    expect(await holds(t, { key, target: Target.VERSION, result: Result.EQUAL })).toBe(false);
    expect(await holds(t, { key, target: Target.VERSION, result: Result.GREATER })).toBe(true);
    expect(await holds(t, { key: t.key("none"), target: Target.VERSION, result: Result.EQUAL })).toBe(true);
  });

  test("a missing VALUE operand is the empty value", async (t) => {
    await t.put("full", "v");
    await t.put("empty", "");
    expect(await holds(t, { key: t.key("full"), target: Target.VALUE, result: Result.EQUAL })).toBe(false);
    expect(await holds(t, { key: t.key("empty"), target: Target.VALUE, result: Result.EQUAL })).toBe(true);
  });

  test("an operand of another target counts as 0", async (t) => {
    await t.put("k", "v");
    const targetUnion = { $case: "modRevision", value: 1n } as const;
    expect(await holds(t, { key: t.key("k"), target: Target.VERSION, result: Result.EQUAL, targetUnion })).toBe(false);
    expect(await holds(t, { key: t.key("k"), target: Target.VERSION, result: Result.GREATER, targetUnion })).toBe(true);
  });

  test("an unknown result", async (t) => {
    await t.put("k", "v");
    const call = t.client.txn({ compare: [{ ...compare(t.key("k")).version("=", 9n), result: 9 as never }] });
    if (t.target.isEtcd35)
      expect((await call).succeeded).toBe(true); // 3.5 takes it for "holds"
    else await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
  });

  test("an unknown target", async (t) => {
    await t.put("k", "v");
    const call = t.client.txn({ compare: [{ ...compare(t.key("k")).version("=", 9n), target: 9 as never }] });
    if (t.target.isEtcd35)
      expect((await call).succeeded).toBe(true); // 3.5 finds no difference
    else await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
  });
});

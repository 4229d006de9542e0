/** `get`: flags and arguments to a RangeRequest; the txn language uses it too (spec/cli.md 8.1). */
import type { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { badArguments, badFeature } from "../exit-code.js";
import { boolean, type FlagTable, type FlagValues, integer, text } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { keyRange } from "./key-range.js";

/** The flags of `get` that shape the request. */
export const getFlags = {
  consistency: text("l for linearizable, s for serializable", { initial: "l" }),
  "count-only": boolean("get only the count; with -w fields"),
  "from-key": boolean("get all keys from this key on"),
  "keys-only": boolean("get the keys without the values"),
  limit: integer("how many pairs at most; 0 is all"),
  "max-create-rev": integer("leave out keys created after this revision"),
  "max-mod-rev": integer("leave out keys changed after this revision"),
  "min-create-rev": integer("leave out keys created before this revision"),
  "min-mod-rev": integer("leave out keys changed before this revision"),
  order: text("ASCEND or DESCEND"),
  prefix: boolean("get all keys that start with this key"),
  "print-value-only": boolean("print the values alone; with -w simple"),
  rev: integer("read at this revision; 0 is the latest"),
  "sort-by": text("CREATE, KEY, MODIFY, VALUE or VERSION"),
  stream: boolean("receive the range as a stream"),
} as const satisfies FlagTable;

type GetFlags = FlagValues<typeof getFlags>;

const orders: ReadonlyMap<string, RangeRequest["sortOrder"]> = new Map([
  ["", 0],
  ["ASCEND", 1],
  ["DESCEND", 2],
]);
const targets: ReadonlyMap<string, RangeRequest["sortTarget"]> = new Map([
  ["", 0],
  ["KEY", 0],
  ["VERSION", 1],
  ["CREATE", 2],
  ["MODIFY", 3],
  ["VALUE", 4],
]);

/** Throws Failure for wrong arguments. A third argument is ignored, as etcdctl ignores it. */
export function getRequest(args: readonly string[], flags: GetFlags): RangeRequest {
  const [key, end] = args;
  if (key === undefined) {
    throw badArguments("get command needs one argument as key and an optional argument as range_end");
  }
  checkRangeFlags(flags);
  if (flags["keys-only"] && flags["count-only"]) {
    throw badArguments("`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  }
  const serializable = isSerializable(flags.consistency, flags.consistency);
  checkSingleKey(end, flags);
  const { sortOrder, sortTarget } = sorting(flags);
  checkRevisionBounds(flags);
  return {
    ...keyRange({ key, end, prefix: flags.prefix, fromKey: flags["from-key"] }),
    limit: flags.limit,
    revision: atLeastZero(flags.rev),
    sortOrder,
    sortTarget,
    serializable,
    keysOnly: flags["keys-only"],
    countOnly: flags["count-only"],
    minModRevision: atLeastZero(flags["min-mod-rev"]),
    maxModRevision: atLeastZero(flags["max-mod-rev"]),
    minCreateRevision: atLeastZero(flags["min-create-rev"]),
    maxCreateRevision: atLeastZero(flags["max-create-rev"]),
  };
}

/** `blamed` is the value that the error names. */
export function isSerializable(consistency: string, blamed: string): boolean {
  if (consistency !== "l" && consistency !== "s") throw badFeature(`unknown consistency flag ${goQuote(blamed)}`);
  return consistency === "s";
}

/** `get` and `del` share this rule. */
export function checkRangeFlags(flags: { readonly prefix: boolean; readonly "from-key": boolean }): void {
  if (flags.prefix && flags["from-key"]) {
    throw badArguments("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
}

/** `get` and `del` share this rule. */
export function checkSingleKey(
  end: string | undefined,
  flags: { readonly prefix: boolean; readonly "from-key": boolean },
): void {
  if (end !== undefined && (flags.prefix || flags["from-key"])) {
    throw badArguments("too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
  }
}

function sorting(flags: GetFlags): Pick<RangeRequest, "sortOrder" | "sortTarget"> {
  const sortOrder = orders.get(flags.order.toUpperCase());
  if (sortOrder === undefined) throw badFeature(`bad sort order ${flags.order}`);
  const sortTarget = targets.get(flags["sort-by"].toUpperCase());
  if (sortTarget === undefined) throw badFeature(`bad sort target ${flags["sort-by"]}`);
  // Keys come in this order anyway; asking for it would make the server fetch the whole range before it cuts.
  return sortTarget === 0 && sortOrder === 1 ? { sortOrder: 0, sortTarget } : { sortOrder, sortTarget };
}

function checkRevisionBounds(flags: GetFlags): void {
  const bounds = [
    ["CreateRev", flags["min-create-rev"], flags["max-create-rev"]],
    ["ModRev", flags["min-mod-rev"], flags["max-mod-rev"]],
  ] as const;
  for (const [name, min, max] of bounds) {
    if (max > 0n && min > max) throw badFeature(`getMin${name}(=${min}) > getMax${name}(=${max})`);
  }
}

function atLeastZero(revision: bigint): bigint {
  return revision > 0n ? revision : 0n;
}

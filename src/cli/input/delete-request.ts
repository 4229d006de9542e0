/** `del`: flags and arguments to a DeleteRangeRequest; the txn language uses it too (spec/cli.md 8.3). */
import type { DeleteRangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { badArguments } from "../exit-code.js";
import { boolean, type FlagTable, type FlagValues } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { checkRangeFlags, checkSingleKey } from "./get-request.js";
import { keyRange } from "./key-range.js";

/** The flags of `del` that shape the request. */
export const deleteFlags = {
  "from-key": boolean("delete all keys from this key on"),
  prefix: boolean("delete all keys that start with this key"),
  "prev-kv": boolean("return the deleted pairs"),
  range: boolean("confirm that a range is to be deleted; skips the pause"),
} as const satisfies FlagTable;

/** How long a range deletion without `--range` can be interrupted, in milliseconds. */
export const pauseMs = 2_000;

export interface Deletion {
  readonly request: DeleteRangeRequest;
  /** What to say before a pause in which the user may interrupt; undefined if nothing needs saying. */
  readonly warning: string | undefined;
}

/** Throws Failure for wrong arguments. */
export function deletion(args: readonly string[], flags: FlagValues<typeof deleteFlags>): Deletion {
  const [key, end] = args;
  if (key === undefined || args.length > 2) {
    throw badArguments("del command needs one argument as key and an optional argument as range_end");
  }
  checkRangeFlags(flags);
  checkSingleKey(end, flags);
  const range = keyRange({ key, end, prefix: flags.prefix, fromKey: flags["from-key"] });
  return { request: { ...range, prevKv: flags["prev-kv"] }, warning: flags.range ? undefined : pause(key, end) };
}

function pause(key: string, end: string | undefined): string | undefined {
  if (end === undefined) return undefined;
  const what = `Keys between ${goQuote(key)} and ${goQuote(end)} will be deleted.`;
  const how = "Please interrupt the command within next 2 seconds to cancel.";
  return `Warning: ${what} ${how} You can provide \`--range\` flag to avoid the delay.`;
}

/** `put`: flags and arguments to a PutRequest; the txn language uses it too (spec/cli.md 8.2). */
import type { PutRequest } from "../../../proto/gen/etcd/rpc.js";
import { badArguments } from "../exit-code.js";
import { boolean, type FlagTable, type FlagValues, text } from "../flags.js";
import { bytesOf } from "./byte-text.js";
import { InputError, parseInteger } from "./go-number.js";

/** The flags of `put`. */
export const putFlags = {
  "ignore-lease": boolean("keep the lease of the key"),
  "ignore-value": boolean("keep the value of the key"),
  lease: text("lease ID (in hexadecimal) to attach to the key", { initial: "0" }),
  "prev-kv": boolean("return the pair that is replaced"),
} as const satisfies FlagTable;

const usage = "put command needs 1 argument and input from stdin or 2 arguments";

/** Throws Failure for wrong arguments. `readValue` gives the value when it is not an argument; empty is an error. */
export async function putRequest(
  args: readonly string[],
  flags: FlagValues<typeof putFlags>,
  readValue: () => Promise<Uint8Array>,
): Promise<PutRequest> {
  const [key, valueArgument] = args;
  if (key === undefined) throw badArguments(usage);
  if (flags["ignore-value"] && args.length > 1) {
    throw badArguments("put command needs only 1 argument when 'ignore-value' is set");
  }
  const value = flags["ignore-value"] ? new Uint8Array() : await valueOf(valueArgument, readValue);
  return {
    key: bytesOf(key),
    value,
    lease: attachedLease(flags.lease),
    prevKv: flags["prev-kv"],
    ignoreValue: flags["ignore-value"],
    ignoreLease: flags["ignore-lease"],
  };
}

async function valueOf(argument: string | undefined, readValue: () => Promise<Uint8Array>): Promise<Uint8Array> {
  if (argument !== undefined) return bytesOf(argument);
  const value = await readValue();
  if (value.length === 0) throw badArguments(usage);
  return value;
}

function attachedLease(hex: string): bigint {
  try {
    return parseInteger(hex, { base: 16, sign: "signed" });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw badArguments(`bad lease ID (${error.message}), expecting ID in Hex`);
  }
}

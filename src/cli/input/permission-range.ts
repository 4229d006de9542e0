/** The keys of a permission as the role commands name them (spec/cli.md 8.19). */
import { badArguments } from "../exit-code.js";
import { boolean, type FlagTable, type FlagValues } from "../flags.js";
import { bytesOf } from "./byte-text.js";
import { keyRange } from "./key-range.js";

/** The flags of `role grant-permission` and `role revoke-permission`. */
export const permissionFlags = {
  "from-key": boolean("all keys from this key on"),
  prefix: boolean("all keys that start with this key"),
} as const satisfies FlagTable;

export type PermissionFlags = FlagValues<typeof permissionFlags>;

/** `[key, end]` with the flags. An empty key without a flag means the key of one zero byte. Throws Failure (128). */
export function permissionRange(args: readonly string[], flags: PermissionFlags) {
  const [key = "", end] = args;
  const { prefix, "from-key": fromKey } = flags;
  if (end !== undefined && key !== "") {
    if (prefix) throw badArguments("unexpected endkey argument with --prefix flag");
    if (fromKey) throw badArguments("unexpected endkey argument with --from-key flag");
    return { key: bytesOf(key), rangeEnd: bytesOf(end) };
  }
  if (prefix && fromKey) throw badArguments("--from-key and --prefix flags are mutually exclusive");
  return keyRange({ key: key === "" ? (prefix || fromKey ? "" : "\0") : key, prefix, fromKey });
}

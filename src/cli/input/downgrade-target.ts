/** The argument of `downgrade validate` and `downgrade enable` (spec/cli.md 8.14). */
import { badArguments } from "../exit-code.js";

/** The version as written; the server judges it. Throws Failure (128). */
export function downgradeTarget(args: readonly string[]): string {
  const [version] = args;
  if (version === undefined) throw badArguments("TARGET_VERSION not provided");
  if (args.length > 1) throw badArguments("too many arguments");
  if (version === "") throw badArguments("target version not provided");
  return version;
}

/** Ids on the command line: hex without a prefix (spec/cli.md 8.6, 8.12). */
import { badArguments } from "../exit-code.js";
import { InputError, parseInteger } from "./go-number.js";

/** Throws Failure (128) with etcdctl's words. */
export function leaseIdArgument(text: string): bigint {
  return hexArgument(text, "signed", (problem) => `bad lease ID arg (${problem}), expecting ID in Hex`);
}

function memberIdArgument(text: string): bigint {
  return hexArgument(text, "unsigned", (problem) => `bad member ID arg (${problem}), expecting ID in Hex`);
}

/** The only argument, a member id. Throws Failure (128) with etcdctl's words. */
export function singleMemberId(args: readonly string[]): bigint {
  const [text] = args;
  if (text === undefined || args.length !== 1) throw badArguments("member ID is not provided");
  return memberIdArgument(text);
}

/** Throws Failure (128) with the parser's bare words. */
export function transfereeArgument(text: string): bigint {
  return hexArgument(text, "unsigned", String);
}

function hexArgument(text: string, sign: "signed" | "unsigned", words: (problem: string) => string): bigint {
  try {
    return parseInteger(text, { base: 16, sign });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw badArguments(words(error.message));
  }
}

/** The target of `utl migrate` (spec/cli.md 9.5). Pure. */
import { badArguments } from "../exit-code.js";
import { goQuote } from "../output/go-quote.js";

const oldest = { major: 3, minor: 5 } as const;

/** X.Y without leading zeros. Throws Failure (128) in etcdutl's words. */
export function targetVersion(text: string): string {
  const parts = text.split(".");
  if (parts.length !== 2) {
    throw badArguments(`wrong target version format, expected "X.Y", got ${goQuote(text)}`);
  }
  if (!parts.every((part) => /^(?:0|[1-9]\d*)$/.test(part))) {
    throw badArguments("failed to parse target version: invalid semantic version");
  }
  const [major = 0, minor = 0] = parts.map(Number);
  if (major < oldest.major || (major === oldest.major && minor < oldest.minor)) {
    throw badArguments(`target version ${goQuote(text)} not supported. Minimal "${oldest.major}.${oldest.minor}"`);
  }
  return text;
}

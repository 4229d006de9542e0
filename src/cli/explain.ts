/**
 * What a person can do about a failure, on stderr after etcdctl's own words. On a terminal it is said plainly; a script that
 * reads stderr finds only the log line that tells what lay behind a deadline, in the form of etcdctl's, which it skips.
 */
import { ExitCode, Failure } from "./exit-code.js";
import { advice, deadlineAdvice, deadlineCause, errorText } from "./output/error-text.js";
import { writeError, writeLog } from "./terminal.js";

/** `path` is the command that failed, in full names. */
export async function explain(error: unknown, path: readonly string[]): Promise<void> {
  const cause = deadlineCause(error instanceof Failure ? error.cause : error);
  if (!isReadByPerson()) {
    const facts = { error: cause ?? "", hint: deadlineAdvice };
    if (cause !== undefined) await writeLog("warn", "the request was not answered in time", facts);
    return;
  }
  const hint = cause === undefined ? hintFor(error, path) : `${cause}\n${deadlineAdvice}`;
  if (hint !== undefined) await writeError(hint.replace(/^/gm, "  "));
}

/** A terminal that calls itself dumb is mostly a program that waits for etcdctl's words, such as expect. */
function isReadByPerson(): boolean {
  return process.stderr.isTTY && process.env["TERM"] !== "dumb";
}

function hintFor(error: unknown, path: readonly string[]): string | undefined {
  const known = advice(errorText(error));
  if (known !== undefined) return known;
  const isUsage = error instanceof Failure && error.exitCode === ExitCode.BadArguments;
  return isUsage ? `'litectl ${["help", ...path].join(" ")}' shows what the command takes.` : undefined;
}

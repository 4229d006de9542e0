/** Peer URLs as `member add` and `member update` check them before they ask the server (spec/cli.md 8.12). */
import { badArguments, ExitCode, Failure } from "../exit-code.js";

/** The URLs of `--peer-urls`. Throws Failure: 128 for none, 1 for one that is no peer URL. */
export function peerUrls(flag: string): string[] {
  if (flag === "") throw badArguments("member peer urls not provided");
  return flag.split(",").map((item) => {
    const url = item.trim();
    const problem = problemOf(url);
    if (problem !== undefined) throw new Failure(ExitCode.Error, problem);
    return item;
  });
}

function problemOf(url: string): string | undefined {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    const [firstSegment = ""] = url.split("/");
    return firstSegment.includes(":")
      ? `parse "${url}": first path segment in URL cannot contain colon`
      : `URL scheme must be http, https, unix, or unixs: ${url}`;
  }
  if (scheme === "unix" || scheme === "unixs") return undefined;
  if (scheme !== "http" && scheme !== "https") return `URL scheme must be http, https, unix, or unixs: ${url}`;
  const [, authority = "", path = ""] = /^[^:]+:(?:\/\/)?([^/?#]*)([^?#]*)/.exec(url) ?? [];
  if (!/^(?:\[[^\]]*\]|[^:[\]]*):\d*$/.test(authority)) return `URL address does not have the form "host:port": ${url}`;
  return path === "" ? undefined : `URL must not contain a path: ${url}`;
}

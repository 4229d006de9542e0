/** Peer URLs as `member add` and `member update` check them before they ask the server (spec/cli.md 8.12). */
import { badArguments, ExitCode, Failure } from "../exit-code.js";
import { goQuote } from "../output/go-quote.js";

/** The URLs of `--peer-urls`. Throws Failure: 128 for none, 1 for one that is no peer URL. */
export function peerUrls(flag: string): string[] {
  if (flag === "") throw badArguments("member peer urls not provided");
  const urls = flag.split(",");
  for (const url of urls) {
    const problem = peerUrlProblem(url.trim());
    if (problem !== undefined) throw new Failure(ExitCode.Error, problem);
  }
  return urls;
}

/** What Go's URL parser, or etcd after it, has against a URL. */
export function peerUrlProblem(url: string): string | undefined {
  const syntax = syntaxProblem(url);
  if (syntax !== undefined) return `parse ${goQuote(url)}: ${syntax}`;
  const { scheme, host, path } = partsOf(url);
  if (scheme === "unix" || scheme === "unixs") return undefined;
  if (scheme !== "http" && scheme !== "https") return `URL scheme must be http, https, unix, or unixs: ${url}`;
  if (!/^(?:\[[^\]]*\]|[^:[\]]*):\d*$/.test(host)) return `URL address does not have the form "host:port": ${url}`;
  return path === "" ? undefined : `URL must not contain a path: ${url}`;
}

function syntaxProblem(url: string): string | undefined {
  if (/\p{Cc}/u.test(url)) return "net/url: invalid control character in URL";
  if (url.startsWith(":")) return "missing protocol scheme";
  const { scheme, rest, host } = partsOf(url);
  if (scheme === "" && rest.split("/")[0]?.includes(":")) return "first path segment in URL cannot contain colon";
  const escape = /%(?![0-9a-fA-F]{2}).{0,2}/su.exec(rest)?.[0];
  if (escape !== undefined) return `invalid URL escape ${goQuote(escape)}`;
  const character = /[ "<>\\^`{|}]/.exec(host)?.[0];
  if (character !== undefined) return `invalid character ${goQuote(character)} in host name`;
  const port = /^(?:\[.*\]|[^[]*?)(:.*)?$/su.exec(host)?.[1] ?? "";
  const lastPort = host.startsWith("[") ? port : port.slice(Math.max(0, port.lastIndexOf(":")));
  return /^(?::\d*)?$/.test(lastPort) ? undefined : `invalid port ${goQuote(lastPort)} after host`;
}

/** Scheme in lower case, what follows it, and host and path if an authority follows. */
function partsOf(url: string): { scheme: string; rest: string; host: string; path: string } {
  const [, scheme = "", rest = ""] = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?([^?#]*)/s.exec(url) ?? [];
  const [, authority = "", path = ""] = /^\/\/([^/]*)(.*)$/s.exec(rest) ?? [];
  return { scheme: scheme.toLowerCase(), rest, host: authority.slice(authority.lastIndexOf("@") + 1), path };
}

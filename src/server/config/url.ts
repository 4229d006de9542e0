/** URLs as etcd's flags take them: a scheme, a host with its port, and nothing else. Source: spec/server.md 6.1, 13.3. */

import { BadValue } from "./bad-value.js";

const schemes = ["http", "https", "unix", "unixs"];

/** URLs with commas between them, each once, in the order given. Nothing gives none. Throws {@link BadValue}. */
export function parseUrls(text: string): readonly string[] {
  if (text === "") return [];
  return [...new Set(text.split(",").map((word) => parseUrl(word.trim())))];
}

/** One URL, checked and returned as it was written. Throws {@link BadValue}. */
export function parseUrl(word: string): string {
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(word) ?? [];
  if (scheme === undefined) throw new BadValue(`holds ${quote(word)}, which is no URL`);
  if (!schemes.includes(scheme)) {
    throw new BadValue(`holds ${quote(word)}, whose scheme is none of http, https, unix, unixs`);
  }
  if (scheme.startsWith("unix")) {
    if (rest === "") throw new BadValue(`holds ${quote(word)}, which names no socket`);
    return word;
  }
  if (/[/?#]/.test(rest)) throw new BadValue(`holds ${quote(word)}, which has a path`);
  if (!hasPort(rest)) throw new BadValue(`holds ${quote(word)}, which is not scheme://host:port`);
  return word;
}

/** Where a URL of {@link parseUrl} points, without brackets around an IPv6 host. Undefined for sockets in the file system. */
export function hostOf(url: string): string | undefined {
  if (/^unixs?:/.test(url)) return undefined;
  return /^\w+:\/\/(?:[^@/]*@)?(\[([^\]]*)\]|[^:]*):\d+$/
    .exec(url)
    ?.slice(1)
    .findLast((part) => part !== undefined);
}

function hasPort(hostPort: string): boolean {
  const port = /^(?:\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(hostPort)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

function quote(word: string): string {
  return JSON.stringify(word);
}

/** Which peer URLs a member may have (spec/server.md 6.1). Whatever else reached the log would be a lasting outage. */
import { status, WireError } from "../../../proto/status.js";

const hostAndPort = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s\p{Cc}/:@?#[\]%]*):(\d{1,5})$/u;

/** Trims the URLs and throws MemberBadURLs unless there is at least one and each is fit to be dialed. */
export function validPeerUrls(urls: readonly string[]): readonly string[] {
  const trimmed = urls.map((url) => url.trim());
  if (trimmed.length === 0 || !trimmed.every(isPeerUrl)) throw new WireError(status.MemberBadURLs);
  return trimmed;
}

function isPeerUrl(url: string): boolean {
  const [, scheme, rest = ""] = /^(https?|unixs?):\/\/(.*)$/s.exec(url) ?? [];
  if (scheme === undefined) return false;
  if (scheme.startsWith("unix")) return /^\S+$/.test(rest);
  const port = hostAndPort.exec(rest)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

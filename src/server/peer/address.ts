/** Peer URLs, taken apart for those who listen on them and those who dial them. */

/** A URL that is none of `http://host:port`, `https://host:port`, `unix://path`, `unixs://path`. */
export class PeerUrlError extends Error {
  override readonly name = "PeerUrlError";
}

export interface PeerEndpoint {
  readonly secure: boolean;
  /** As node:net takes it. A host without brackets. */
  readonly place: { readonly host: string; readonly port: number } | { readonly path: string };
  /** The host as the URL says it, for which its certificate must be; of a socket in the file system the path. */
  readonly name: string;
}

/** Throws {@link PeerUrlError}. */
export function parsePeerUrl(url: string): PeerEndpoint {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.+)$/.exec(url) ?? [];
  switch (scheme) {
    case "unix":
    case "unixs":
      return { secure: scheme === "unixs", place: { path: rest }, name: rest };
    case "http":
    case "https":
      return { secure: scheme === "https", ...hostAndPort(url, rest) };
  }
  throw new PeerUrlError(`${url} is no peer URL: its scheme is none of http, https, unix, unixs`);
}

function hostAndPort(url: string, rest: string): Pick<PeerEndpoint, "place" | "name"> {
  const [, ipv6, name, port] = /^(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})\/?$/.exec(rest) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || port === undefined || Number(port) > 65_535) {
    throw new PeerUrlError(`${url} is no peer URL: it is not scheme://host:port`);
  }
  // Members that dial "localhost" or 127.0.0.1 must find us, so the name means the one address that both know.
  return { place: { host: host === "localhost" ? "127.0.0.1" : host, port: Number(port) }, name: host };
}

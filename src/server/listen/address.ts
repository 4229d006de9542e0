/** Listen URLs as node takes them, and back. */

import type { ListenOptions, Server } from "node:net";

/** A URL that cannot be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** Whether a URL asks for TLS. */
export function isSecure(url: string): boolean {
  return /^(https|unixs):/.test(url);
}

/** Where a URL (`http://host:port` or `unix://path`, with TLS or without) says to listen. Throws {@link ListenError}. */
export function listenOptionsOf(url: string): ListenOptions {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/.exec(url) ?? [];
  switch (scheme) {
    case "unix":
    case "unixs":
      return { path: rest };
    case "http":
    case "https":
      return hostAndPort(url, rest);
    default:
      throw new ListenError(`cannot listen on ${url}: its scheme is none of http, https, unix, unixs`);
  }
}

function hostAndPort(url: string, rest: string): ListenOptions {
  const [, ipv6, name, port] = /^(?:\[([^\]]+)\]|([^:/]+)):(\d+)$/.exec(rest) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || port === undefined)
    throw new ListenError(`cannot listen on ${url}: it is not scheme://host:port`);
  // Clients that dial "localhost" or 127.0.0.1 must find us, so the name means the one address that both know.
  return { host: host === "localhost" ? "127.0.0.1" : host, port: Number(port) };
}

/** The URL with the port that the system chose, if it was asked to choose one. */
export function boundUrl(url: string, server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") return url;
  return url.replace(/:0$/, `:${address.port}`);
}

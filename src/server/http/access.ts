/** Who may ask over plain HTTP: by the host name of the request, and browsers by their origin. Spec: server.md 12.2. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { errorReply, type Reply } from "./reply.js";

export interface AccessRules {
  /** Origins that browsers may call from; none or `*` is every one. */
  readonly corsOrigins: readonly string[];
  /** Host names that requests may use; none or `*` is every one. Keeps web pages from reaching us by DNS tricks. */
  readonly hostWhitelist: readonly string[];
}

function isOpen(list: readonly string[]): boolean {
  return list.length === 0 || list.includes("*");
}

/** An answer that ends the request here (wrong host, a browser's question), or undefined. Sets the CORS headers. */
export function control(rules: AccessRules, request: IncomingMessage, response: ServerResponse): Reply | undefined {
  const host = hostname(request.headers.host ?? "");
  if (!isEncrypted(request) && !isOpen(rules.hostWhitelist) && !rules.hostWhitelist.includes(host)) {
    const why = `requests for the host ${JSON.stringify(host)} are not served in clear`;
    return errorReply(421, `${why}: use https, or name the host with --host-whitelist`);
  }
  const origin = allowedOrigin(rules.corsOrigins, request.headers.origin);
  if (origin !== undefined) {
    response.setHeader("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Access-Control-Allow-Headers", "accept, content-type, authorization");
  }
  return request.method === "OPTIONS" ? { httpStatus: 200, body: "" } : undefined;
}

/** A browser that was tricked does not get through a handshake with a name that the certificate is not for. */
function isEncrypted({ socket }: IncomingMessage): boolean {
  return "encrypted" in socket && socket.encrypted === true;
}

function allowedOrigin(origins: readonly string[], asked: string | undefined): string | undefined {
  if (isOpen(origins)) return "*";
  return asked !== undefined && origins.includes(asked) ? asked : undefined;
}

/** The host of a Host header, without its port and without the brackets of an IPv6 address. */
function hostname(host: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d+$/, "");
}

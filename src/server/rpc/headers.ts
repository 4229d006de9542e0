/** gRPC's request and response headers over HTTP/2: what arrives as text and what must leave as text. */

import { isUtf8 } from "node:buffer";
import { Code, type WireStatus } from "../../../proto/status.js";
import { percentEncode } from "../../../proto/status-text.js";

/** Headers of the protocol itself, which are no metadata. */
const reserved: ReadonlySet<string> = new Set([
  "content-type",
  "te",
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
]);

/** Metadata by lower-case key, in order, from alternating names and values. */
export function metadataOf(rawHeaders: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const metadata = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = [rawHeaders[at]?.toLowerCase(), rawHeaders[at + 1]];
    if (name.startsWith(":") || reserved.has(name)) continue;
    const values = metadata.get(name);
    if (values === undefined) metadata.set(name, [value]);
    else values.push(value);
  }
  return metadata;
}

/** Header values come as one character a byte; some must be real text. */
export function isText(value: string): boolean {
  return isUtf8(Buffer.from(value, "latin1"));
}

/** Whether a content type means gRPC: `application/grpc`, alone or with a format after `+` or `;`. */
export function isGrpcContentType(contentType: string): boolean {
  return /^application\/grpc(?:$|[+;])/i.test(contentType);
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout`; undefined when it is malformed. */
export function timeoutMsOf(header: string): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return digits === undefined ? undefined : Number(digits) * (unitMs[unit] ?? NaN);
}

/** What ends a response. */
export function statusHeaders({ code, message }: WireStatus): Readonly<Record<string, string>> {
  return { "grpc-status": String(code), "grpc-message": percentEncode(message) };
}

export const okStatus: WireStatus = { code: Code.OK, message: "" };

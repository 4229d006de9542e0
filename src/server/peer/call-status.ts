/** How a gRPC call begins and ends, as headers over HTTP/2 say it. */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code } from "../../../proto/status.js";
import { percentDecode, percentEncode } from "../../../proto/status-text.js";

/** The end of a call. */
export interface CallStatus {
  readonly code: number;
  /** For people. */
  readonly details: string;
  /** More that travels with it. */
  readonly headers: Readonly<Record<string, string>>;
}

export const okStatus: CallStatus = { code: Code.OK, details: "", headers: {} };

export function failedStatus(code: number, details: string): CallStatus {
  return { code, details, headers: {} };
}

/** What the first headers of a request hold besides what the caller says of itself. */
export function requestHeaders(path: string, headers: Readonly<Record<string, string>>): OutgoingHttpHeaders {
  return { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers };
}

export const responseHeaders = { ":status": 200, "content-type": "application/grpc" } as const;

export function statusHeaders({ code, details, headers }: CallStatus): Readonly<Record<string, string>> {
  return { "grpc-status": String(code), "grpc-message": percentEncode(details), ...headers };
}

/** The status that headers or trailers hold; undefined if they hold none. */
export function statusIn(headers: IncomingHttpHeaders): CallStatus | undefined {
  const code = headerText(headers, "grpc-status");
  if (code === undefined) return undefined;
  const others = Object.entries(headers).flatMap(([name, value]) =>
    typeof value === "string" && !name.startsWith(":") && !name.startsWith("grpc-") ? [[name, value] as const] : [],
  );
  const details = percentDecode(headerText(headers, "grpc-message") ?? "");
  return {
    code: /^\d{1,3}$/.test(code) ? Number(code) : Code.UNKNOWN,
    details,
    headers: Object.fromEntries(others),
  };
}

/** The value of a header, if it has exactly one that is text. */
export function headerText(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** The same handlers for HTTP/2: behind TLS a browser and curl choose it, for the port speaks it. Spec: server.md 12.1. */

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Http2ServerRequest, Http2ServerResponse, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";

/** A request as node:http2 hands it over. */
export interface Http2Arrival {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

/** Answers one request. Node makes it look like one of HTTP/1, as far as a handler here looks. */
export function serveOverHttp2(handler: RequestListener, { stream, headers, rawHeaders }: Http2Arrival): void {
  // The caller may leave before it has the answer.
  stream.on("error", () => undefined);
  const request = new Http2ServerRequest(stream, headers, {}, rawHeaders);
  const response = new Http2ServerResponse(stream);
  handler(request as unknown as IncomingMessage, response as unknown as ServerResponse & { req: IncomingMessage });
}

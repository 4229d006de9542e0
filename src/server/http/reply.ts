/** Answers of the HTTP handlers: a status, a body, headers; written in one place. */

import type { ServerResponse } from "node:http";

export interface Reply {
  readonly httpStatus: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const plainText = "text/plain; charset=utf-8";

/** Text as Go's http.Error sends it: with a newline, and browsers told not to guess. */
export function errorReply(httpStatus: number, text: string, headers: Readonly<Record<string, string>> = {}): Reply {
  const always = { "Content-Type": plainText, "X-Content-Type-Options": "nosniff" };
  return { httpStatus, body: `${text}\n`, headers: { ...headers, ...always } };
}

export function textReply(body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { httpStatus: 200, body, headers: { "Content-Type": plainText, ...headers } };
}

export function jsonReply(httpStatus: number, value: unknown): Reply {
  return { httpStatus, body: JSON.stringify(value), headers: { "Content-Type": "application/json" } };
}

export const notFound: Reply = errorReply(404, "404 page not found");
export const methodNotAllowed: Reply = errorReply(405, "Method Not Allowed", { Allow: "GET" });

/** Writes a whole answer. Node leaves the body out where the method (HEAD) wants none. */
export function send(response: ServerResponse, reply: Reply): void {
  const length = { "Content-Length": String(Buffer.byteLength(reply.body)) };
  response.writeHead(reply.httpStatus, { ...reply.headers, ...length });
  response.end(reply.body);
}

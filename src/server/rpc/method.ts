/** A method as gRPC sees it: a path, two codecs, a handler, and which sides stream. */

import type { Duplex, ServerStream, Unary } from "../api/types.js";
import type { Codec } from "./codec.js";

interface Shape<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

export interface UnaryMethod<Request = unknown, Response = unknown> extends Shape<Request, Response> {
  readonly kind: "unary";
  readonly handler: Unary<Request, Response>;
}

export interface ServerStreamMethod<Request = unknown, Response = unknown> extends Shape<Request, Response> {
  readonly kind: "serverStream";
  readonly handler: ServerStream<Request, Response>;
}

export interface DuplexMethod<Request = unknown, Response = unknown> extends Shape<Request, Response> {
  readonly kind: "duplex";
  readonly handler: Duplex<Request, Response>;
}

export type Method = UnaryMethod | ServerStreamMethod | DuplexMethod;

/** Two codecs in the order request, response. */
export type Codecs<Request, Response> = readonly [Codec<Request>, Codec<Response>];

/*
 * Each of these checks that codecs and handler agree, and then forgets the types: the table holds methods of all
 * kinds, and what a codec decoded is given to no other handler than its own.
 */

export function unary<Req, Res>(path: string, [request, response]: Codecs<Req, Res>, handler: Unary<Req, Res>): Method {
  return { kind: "unary", path, request, response, handler } as UnaryMethod<Req, Res> as unknown as UnaryMethod;
}

export function serverStream<Req, Res>(
  path: string,
  [request, response]: Codecs<Req, Res>,
  handler: ServerStream<Req, Res>,
): Method {
  const method: ServerStreamMethod<Req, Res> = { kind: "serverStream", path, request, response, handler };
  return method as unknown as ServerStreamMethod;
}

export function duplex<Req, Res>(
  path: string,
  [request, response]: Codecs<Req, Res>,
  handler: Duplex<Req, Res>,
): Method {
  const method: DuplexMethod<Req, Res> = { kind: "duplex", path, request, response, handler };
  return method as unknown as DuplexMethod;
}

/** `/etcdserverpb.KV/Put` -> service `etcdserverpb.KV`, method `Put`; undefined when the path has not this form. */
export function splitPath(path: string): { readonly service: string; readonly name: string } | undefined {
  const slash = path.lastIndexOf("/");
  if (!path.startsWith("/") || slash < 1) return undefined;
  return { service: path.slice(1, slash), name: path.slice(slash + 1) };
}

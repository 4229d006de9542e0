/** The words of OpenTelemetry's conventions for RPC, from what the client says of a call. */
import type { Attributes } from "@opentelemetry/api";
import { type CallFacts, isEtcdError } from "../index.js";

/** What every span and measurement of a call has. */
export function callAttributes({ path }: CallFacts): Attributes {
  const [, service = "", method = ""] = path.split("/");
  return { "rpc.system": "grpc", "rpc.service": service, "rpc.method": method };
}

/** `endpoint` as the user wrote it: a URL, `host:port`, or a path of a socket. */
export function serverAttributes(endpoint: string | undefined): Attributes {
  if (endpoint === undefined) return {};
  const socket = /^unixs?:(?:\/\/)?(.*)$/.exec(endpoint)?.[1];
  if (socket !== undefined) return { "server.address": socket };
  const authority = endpoint.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/\/.*$/, "");
  const [, host = authority, port] = /^(.*):(\d+)$/.exec(authority) ?? [];
  const address = host.replace(/^\[(.*)\]$/, "$1");
  return { "server.address": address, ...(port === undefined ? {} : { "server.port": Number(port) }) };
}

/** gRPC's status of the call, and what kind of error it was. */
export function resultAttributes(error: Error | undefined): Attributes {
  if (error === undefined) return { "rpc.grpc.status_code": 0 };
  if (!isEtcdError(error)) return { "error.type": error.name };
  return { "rpc.grpc.status_code": error.grpcStatus, "error.type": error.code };
}

/** A gRPC server over handlers that a test writes, on a port of its own, and a client that shows every header. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";
import { createServer, type Socket } from "node:net";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { PutRequest, PutResponse } from "../../../proto/gen/etcd/rpc.js";
import type { Services } from "../../../src/server/api/types.js";
import { createRpcServer, type RpcServer, type RpcServerOptions } from "../../../src/server/rpc/server.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import { createMetrics, type Metrics } from "../../../src/server/runtime/metrics.js";

/** Handlers by service; those that a test leaves out do not exist. */
export type SomeServices = { readonly [Service in keyof Services]?: Partial<Services[Service]> };

export interface Harness extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly metrics: Metrics;
  readonly rpc: RpcServer;
  /** Errors that would have ended the process. */
  readonly fatal: unknown[];
}

/** `names` are those of the certificates of its first connections, in their order. */
export async function startRpc(
  services: SomeServices,
  options: Partial<RpcServerOptions> = {},
  names: readonly (string | undefined)[] = [],
): Promise<Harness> {
  const namesLeft = [...names];
  const metrics = createMetrics();
  const fatal: unknown[] = [];
  const rpc = createRpcServer({
    services: withHoles(services),
    metrics,
    metricsLevel: "basic",
    logger: silentLogger,
    clock: systemClock,
    limits: {
      requestBytesMax: 1_572_864,
      concurrentStreamsMax: 4_294_967_295,
      keepalive: { clientMinTimeMs: 5000, intervalMs: 7_200_000, timeoutMs: 20_000 },
    },
    electionTimeoutMs: 1000,
    hasLeader: () => true,
    isLearner: () => false,
    onFatal: (error) => fatal.push(error),
    ...options,
  });
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    rpc.accept(socket, namesLeft.shift());
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as { port: number };
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  };
  return { port, url: `http://127.0.0.1:${port}`, metrics, rpc, fatal, [Symbol.asyncDispose]: close };
}

const serviceNames = ["kv", "watch", "lease", "cluster", "maintenance", "auth", "lock", "election", "health"];

function withHoles(services: SomeServices): Services {
  // A test calls only what it brings.
  return { ...Object.fromEntries(serviceNames.map((name) => [name, {}])), ...services } as unknown as Services;
}

/** A gRPC frame around a message. */
export function frame(message: Uint8Array, flag = 0): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(flag, 0);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

export function putBytes(value: Uint8Array = Buffer.from("v")): Uint8Array {
  return PutRequest.encode({ ...PutRequest.fromPartial({}), key: Buffer.from("k"), value }).finish();
}

export const putPath = "/etcdserverpb.KV/Put";

export interface RawRequest {
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Written one after the other; one good put by default. */
  readonly body?: readonly Uint8Array[];
  /** Whether the request side is closed after the body. */
  readonly end?: boolean;
}

/** What came back, from wherever it came: headers of the response or its trailers. */
export interface RawAnswer {
  readonly httpStatus: number | undefined;
  readonly contentType: string | undefined;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string | undefined;
  readonly body: Buffer;
  readonly rstCode: number;
}

/** Sends one request on a connection of its own. Resolves when the stream has closed. */
export async function ask(url: string, request: RawRequest = {}): Promise<RawAnswer> {
  const session = connect(url);
  session.on("error", () => undefined); // the stream tells
  try {
    return await askOn(session, request);
  } finally {
    session.destroy();
  }
}

export async function askOn(session: ClientHttp2Session, request: RawRequest): Promise<RawAnswer> {
  const { path = putPath, headers = {}, body = [frame(putBytes())], end = true } = request;
  const stream = session.request(
    { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers },
    { endStream: false },
  );
  let answered: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
  const chunks: Buffer[] = [];
  stream.on("response", (first) => (answered = { ...answered, ...first }));
  stream.on("trailers", (last: IncomingHttpHeaders) => (answered = { ...answered, ...last }));
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", () => undefined); // "close" follows, with the code
  const closed = once(stream, "close");
  for (const part of body) if (part.length > 0) stream.write(part);
  if (end) stream.end();
  await closed;
  return {
    httpStatus: answered[":status"],
    contentType: answered["content-type"],
    grpcStatus: answered["grpc-status"] as string | undefined,
    grpcMessage: answered["grpc-message"] as string | undefined,
    body: Buffer.concat(chunks),
    rstCode: stream.rstCode,
  };
}

/** An answer in one line: code and message. */
export function statusOf(answer: RawAnswer): string {
  return `${answer.grpcStatus} ${answer.grpcMessage}`.trim();
}

export function putResponseOf(answer: RawAnswer): PutResponse {
  return PutResponse.decode(new BinaryReader(answer.body.subarray(5)));
}

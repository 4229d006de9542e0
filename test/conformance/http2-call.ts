/** One HTTP/2 request spelled out by hand, for what no gRPC library would send. */

import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";

export interface RawReply {
  readonly httpStatus: number | undefined;
  readonly headers: IncomingHttpHeaders;
  /** `grpc-status` of the trailers, or of the headers when the reply is trailers alone. */
  readonly code: number | undefined;
  readonly message: string;
  readonly body: Buffer;
}

const REPLY_MS = 5000;

/** The five bytes in front of a gRPC message, and the message. */
export function frame(message: Uint8Array, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Sends headers and body as they are. Rejects if the stream breaks or no reply is complete within five seconds. */
export async function http2Call(endpoint: string, headers: OutgoingHttpHeaders, body: Buffer): Promise<RawReply> {
  const session = connect(`http://${endpoint}`);
  try {
    return await exchange(session, headers, body);
  } finally {
    session.destroy();
  }
}

/** A gRPC call of `path` with `message` framed, or `body` as it is. */
export function grpcCall(
  endpoint: string,
  path: string,
  {
    message = Buffer.alloc(0),
    body = frame(message),
    headers = {},
  }: {
    message?: Uint8Array;
    body?: Buffer;
    headers?: OutgoingHttpHeaders;
  },
): Promise<RawReply> {
  const all = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers };
  return http2Call(endpoint, all, body);
}

function exchange(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body: Buffer): Promise<RawReply> {
  // A GET ends with its headers; a POST ends with a frame of data, even an empty one.
  const isBare = headers[":method"] === "GET";
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: isBare });
    const timer = setTimeout(() => reject(new Error(`no reply within ${REPLY_MS} ms`)), REPLY_MS);
    session.once("error", reject);
    const chunks: Buffer[] = [];
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    stream.once("response", (received) => {
      head = received;
    });
    stream.once("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("error", reject);
    stream.once("close", () => {
      clearTimeout(timer);
      const code = trailers["grpc-status"] ?? head["grpc-status"];
      const message = trailers["grpc-message"] ?? head["grpc-message"] ?? "";
      resolve({
        httpStatus: head[":status"] === undefined ? undefined : Number(head[":status"]),
        headers: head,
        code: code === undefined ? undefined : Number(code),
        message: decodeURIComponent(String(message)),
        body: Buffer.concat(chunks),
      });
    });
    if (!isBare) stream.end(body);
  });
}

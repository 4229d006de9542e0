/** Tells TLS, HTTP/2 and HTTP/1 apart by the first bytes of a connection, and gives them back unread. */

import type { Socket } from "node:net";

/** Every HTTP/2 client begins with these; no HTTP/1 method does. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n");

/** A TLS record that holds a handshake begins with this byte; no HTTP method does. */
const handshakeByte = 0x16;

export type Protocol = "tls" | "http1" | "http2";

/**
 * Calls back once, as soon as the bytes decide; the socket is then as if nothing had been read. A connection that
 * ends, fails or stays silent for `timeoutMs` is destroyed without a call.
 */
export function detectProtocol(socket: Socket, timeoutMs: number, decided: (protocol: Protocol) => void): void {
  let received: Buffer = Buffer.alloc(0);
  const giveUp = (): void => void socket.destroy();
  const look = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    }
    const protocol = protocolOf(received);
    if (protocol === undefined) return;
    socket.setTimeout(0);
    socket.off("readable", look).off("end", giveUp).off("error", giveUp).off("timeout", giveUp);
    socket.unshift(received);
    decided(protocol);
  };
  // An error before the first request has nobody to be told: the client went away.
  socket.on("readable", look).on("end", giveUp).on("error", giveUp).on("timeout", giveUp);
  socket.setTimeout(timeoutMs);
}

/** Undefined while the bytes so far could become either. */
export function protocolOf(bytes: Uint8Array): Protocol | undefined {
  if (bytes[0] === handshakeByte) return "tls";
  const length = Math.min(bytes.length, preface.length);
  if (preface.compare(bytes, 0, length, 0, length) !== 0) return "http1";
  return length === preface.length ? "http2" : undefined;
}

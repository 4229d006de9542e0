/** Questions to another member: asked once, and answered or not. */

import { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Code, WireError } from "../../../proto/status.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import type { TlsDialer } from "../tls/dialer.js";
import { parsePeerUrl } from "./address.js";
import { type Connection, methods, openConnection } from "./connection.js";
import { prefixed } from "./grpc-message.js";
import { helloHeaders } from "./handshake.js";
import { OutgoingCall } from "./outgoing-call.js";

/** The question may not have been heard, or its answer was lost. */
export function peerUnreachable(cause?: unknown): WireError {
  return new WireError({ code: Code.UNAVAILABLE, message: "peer unreachable" }, { cause });
}

export interface AskRoute {
  readonly connection: Connection;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Pick<Clock, "after">;
  readonly timeoutMs: number;
}

/** A list of all members of the largest cluster is far below. */
const answerBytesMax = 4 * 1024 * 1024;

/** Rejects with WireError Unavailable. */
export async function askOnce(
  question: Question,
  { connection, headers, clock, timeoutMs }: AskRoute,
): Promise<Answer> {
  let answer: Buffer | undefined;
  const call = new OutgoingCall({
    connection,
    path: methods.ask.path,
    headers: { "grpc-timeout": `${Math.max(1, Math.ceil(timeoutMs))}m`, ...headers },
    bytesMax: answerBytesMax,
    onMessage: (bytes) => {
      answer = bytes;
    },
  });
  call.write(prefixed(Question.encode(question).finish()), () => undefined);
  call.end();
  const cancel = clock.after(timeoutMs, () => call.cancel("no answer in time"));
  const status = await call.ended;
  cancel();
  if (status.code !== Code.OK || answer === undefined) throw peerUnreachable(status);
  try {
    return Answer.decode(answer);
  } catch (error) {
    throw peerUnreachable(error);
  }
}

/**
 * Asks whoever listens at a peer URL, without being a member: only the cluster view is answered.
 * Rejects with WireError Unavailable or a PeerUrlError.
 */
export async function askStranger(
  url: string,
  question: Question,
  { timeoutMs, dialer }: { readonly timeoutMs: number; readonly dialer: TlsDialer },
): Promise<Answer> {
  const connection = openConnection(parsePeerUrl(url), dialer);
  try {
    return await askOnce(question, { connection, headers: helloHeaders(), clock: systemClock, timeoutMs });
  } finally {
    connection.close();
  }
}

/** {@link askStranger} for those who know nothing of certificates. */
export function strangerAsker(dialer: TlsDialer) {
  return (url: string, question: Question, { timeoutMs }: { readonly timeoutMs: number }): Promise<Answer> =>
    askStranger(url, question, { timeoutMs, dialer });
}

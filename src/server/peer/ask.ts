/** Questions to another member: asked once, and answered or not. */

import type { SecureContext } from "node:tls";
import type { Client, Metadata } from "@grpc/grpc-js";
import { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Code, WireError } from "../../../proto/status.js";
import { parsePeerUrl } from "./address.js";
import { asBuffer, methods, openChannel, sameBytes, secureContextOf } from "./channel.js";
import { helloMetadata } from "./handshake.js";
import type { PeerClientTls } from "./types.js";

/** The question may not have been heard, or its answer was lost. */
export function peerUnreachable(cause?: unknown): WireError {
  return new WireError({ code: Code.UNAVAILABLE, message: "peer unreachable" }, { cause });
}

export interface AskRoute {
  readonly client: Client;
  readonly metadata: Metadata;
  /** Milliseconds since 1970. */
  readonly deadlineWallMs: number;
}

/** Rejects with WireError Unavailable. */
export function askOnce(question: Question, { client, metadata, deadlineWallMs }: AskRoute): Promise<Answer> {
  const request = asBuffer(Question.encode(question).finish());
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      methods.ask.path,
      sameBytes,
      (bytes) => Answer.decode(bytes),
      request,
      metadata,
      { deadline: deadlineWallMs },
      (error, answer) => {
        if (error === null && answer !== undefined) resolve(answer);
        else reject(peerUnreachable(error ?? undefined));
      },
    );
  });
}

/**
 * Asks whoever listens at a peer URL, without being a member: only the cluster view is answered.
 * Rejects with WireError Unavailable or a PeerUrlError.
 */
export async function askStranger(
  url: string,
  question: Question,
  options: { readonly timeoutMs: number; readonly tls?: PeerClientTls },
): Promise<Answer> {
  const context: SecureContext | undefined = options.tls === undefined ? undefined : secureContextOf(options.tls);
  const channel = openChannel(parsePeerUrl(url), context);
  try {
    const deadlineWallMs = Date.now() + options.timeoutMs;
    return await askOnce(question, { client: channel.client, metadata: helloMetadata(), deadlineWallMs });
  } finally {
    channel.close();
  }
}

/** The inside of a worker thread: takes one request after the other and answers each, until it is closed or fails. */
import { parentPort, type Transferable } from "node:worker_threads";
import { invariant } from "../../invariant.js";
import { packError } from "./failures.js";
import type { Reply, Request, WorkTable } from "./link.js";

/** An answer, and the buffers in it that are handed over. */
export interface Served<Answer> {
  readonly answer: Answer;
  readonly transfer?: readonly ArrayBuffer[];
}

export type Servants<Work extends WorkTable<Work>> = {
  readonly [Kind in keyof Work]: (request: Work[Kind]["request"]) => Served<Work[Kind]["answer"]>;
};

/** Serves the thread's owner. `close` lets go of what the thread holds; it is not called after a failure. */
export function serve<Work extends WorkTable<Work>>(servants: Servants<Work>, close: () => void): void {
  const port = parentPort;
  invariant(port !== null, "this file runs in a worker thread only");
  let failed = false;
  const post = (reply: Reply, transfer: readonly Transferable[] = []): void => port.postMessage(reply, transfer);
  port.on("message", ({ kind, request }: Request) => {
    // The outcome of what failed is unknown, so that nothing after it may be done, let alone reported.
    if (failed) return;
    try {
      if (kind === "close") {
        close();
        port.close();
        return;
      }
      invariant(kind in servants, "a thread was asked for what it cannot do", { kind });
      const servant = servants[kind as keyof Work];
      const { answer, transfer } = servant(request);
      post({ kind: "answer", answer }, transfer);
    } catch (error) {
      failed = true;
      post({ kind: "failed", error: packError(error) });
    }
  });
}

/** What a thread holds once it was asked to open it. */
export function opened<T>(held: T | undefined): T {
  invariant(held !== undefined, "a thread was asked for work before it was told what to open");
  return held;
}

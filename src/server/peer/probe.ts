/** Asks the host of a peer, without a word of gRPC, whether anybody listens. */

import { connect } from "node:net";
import type { Clock } from "../runtime/clock.js";
import type { PeerEndpoint } from "./address.js";

/** "refused": the host is alive and the process is not there. "unreachable": nothing is known. */
export type ProbeResult = "open" | "refused" | "unreachable";

export interface ProbeOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Gives up: "unreachable". */
  readonly signal: AbortSignal;
}

export function probe(endpoint: PeerEndpoint, { clock, timeoutMs, signal }: ProbeOptions): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect(endpoint.place);
    const settle = (result: ProbeResult): void => {
      cancel();
      signal.removeEventListener("abort", giveUp);
      socket.destroy();
      resolve(result);
    };
    const giveUp = (): void => settle("unreachable");
    const cancel = clock.after(timeoutMs, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("connect", () => settle("open"));
    // Stays on: a destroyed socket may still report how it ended.
    socket.on("error", (error: NodeJS.ErrnoException) => settle(isRefusal(error) ? "refused" : "unreachable"));
  });
}

/** A socket file that is gone says the same as a port that nobody listens on. */
function isRefusal(error: NodeJS.ErrnoException): boolean {
  return error.code === "ECONNREFUSED" || (error.code === "ENOENT" && error.syscall === "connect");
}

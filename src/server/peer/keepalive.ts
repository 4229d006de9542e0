/** Lets go of connections whose other end is gone without a word, as HTTP/2 pings find out. */

import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "../runtime/clock.js";

/** Pings wait behind what is being sent, so that this is no measure of a slow link. */
const pingMs = 5_000;
/** Counted in pings and not in time: while this process stood still, nobody was silent. */
const unansweredMax = 3;

/** Watches the connections that it is told of, until it is closed. */
export class Keepalive {
  private readonly clock: Pick<Clock, "after">;
  /** Pings that each connection has not answered. */
  private readonly unanswered = new Map<ServerHttp2Session, number>();
  private cancel: (() => void) | undefined;
  private closed = false;

  constructor(clock: Pick<Clock, "after">) {
    this.clock = clock;
    this.schedule();
  }

  watch(session: ServerHttp2Session): void {
    if (this.closed) {
      session.destroy();
      return;
    }
    this.unanswered.set(session, 0);
    session.once("close", () => this.unanswered.delete(session));
  }

  /** Cuts all connections. */
  close(): void {
    this.closed = true;
    this.cancel?.();
    for (const session of this.unanswered.keys()) session.destroy();
  }

  private schedule(): void {
    this.cancel = this.clock.after(pingMs, () => {
      for (const [session, count] of this.unanswered) this.ping(session, count);
      if (!this.closed) this.schedule();
    });
  }

  private ping(session: ServerHttp2Session, count: number): void {
    if (session.closed || session.destroyed) return;
    if (count >= unansweredMax) {
      session.destroy();
      return;
    }
    this.unanswered.set(session, count + 1);
    session.ping(() => {
      if (this.unanswered.has(session)) this.unanswered.set(session, 0);
    });
  }
}

/** Keepalive from the client's side: how often it may ping. Source: spec/server.md 1.2 (the rules of grpc-go). */

/** Pings above the allowed rate that are forgiven. */
const strikesMax = 2;
/** Pings without a call are worth this much time at least. */
const idleMinTimeMs = 2 * 3_600_000;

export class PingGuard {
  private readonly minTimeMs: number;
  private lastPingMs = -Infinity;
  private strikes = 0;
  private sent = false;

  constructor(minTimeMs: number) {
    this.minTimeMs = minTimeMs;
  }

  /** The server has sent headers or data: the client may well ask whether it is still there. */
  serverSent(): void {
    this.sent = true;
  }

  /** Judges a ping. "too many" means that the connection is to be closed. */
  ping(nowMs: number, activeCalls: number): "fine" | "too many" {
    const sinceMs = nowMs - this.lastPingMs;
    this.lastPingMs = nowMs;
    if (this.sent) {
      this.sent = false;
      this.strikes = 0;
      return "fine";
    }
    if (sinceMs < (activeCalls === 0 ? idleMinTimeMs : this.minTimeMs)) this.strikes += 1;
    return this.strikes > strikesMax ? "too many" : "fine";
  }
}

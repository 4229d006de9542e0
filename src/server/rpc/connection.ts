/** One HTTP/2 connection: its calls, its pings in both directions, its end. */

import { constants, type ServerHttp2Session } from "node:http2";
import { status } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Call } from "./call.js";
import type { CallMetrics } from "./call-metrics.js";
import type { Host } from "./host.js";
import type { LeaderWatch } from "./leader-watch.js";
import { PingGuard } from "./ping-guard.js";

export interface KeepaliveLimits {
  /** A client that pings more often is sent away. */
  readonly clientMinTimeMs: number;
  /** Silence after which the server pings; 0 never. */
  readonly intervalMs: number;
  /** How long its ping may stay unanswered. */
  readonly timeoutMs: number;
}

/** What all connections of a server have in common. */
export interface ConnectionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CallMetrics;
  readonly messageBytesMax: number;
  readonly keepalive: KeepaliveLimits;
  readonly leaderWatch: LeaderWatch;
  readonly onFatal: (error: unknown) => void;
}

/** Received at a time, for one call and for the whole connection. HTTP/2's 64 KiB would throttle large values. */
const streamWindowBytes = 1 << 20;
const connectionWindowBytes = 4 << 20;

/** Timers cannot count further. */
const timerMsMax = 2 ** 31 - 1;

/** Settings that every connection begins with. */
export function connectionSettings(concurrentStreamsMax: number) {
  return { initialWindowSize: streamWindowBytes, maxConcurrentStreams: concurrentStreamsMax };
}

export class Connection implements Host {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CallMetrics;
  readonly messageBytesMax: number;
  readonly remote: string;
  readonly certificateName: string | undefined;
  readonly onFatal: (error: unknown) => void;
  private readonly session: ServerHttp2Session;
  private readonly options: ConnectionOptions;
  private readonly pings: PingGuard;
  private readonly calls = new Set<Call>();
  private cancelKeepalive: (() => void) | undefined;
  private silentSinceMs: number;

  constructor(session: ServerHttp2Session, options: ConnectionOptions, certificateName: string | undefined) {
    this.session = session;
    this.certificateName = certificateName;
    this.options = options;
    this.clock = options.clock;
    this.logger = options.logger;
    this.metrics = options.metrics;
    this.messageBytesMax = options.messageBytesMax;
    this.onFatal = options.onFatal;
    const { remoteAddress, remotePort } = session.socket;
    this.remote = remoteAddress === undefined ? "unix" : `${remoteAddress}:${remotePort}`;
    this.pings = new PingGuard(options.keepalive.clientMinTimeMs);
    this.silentSinceMs = this.clock.monotonicMs();
    session.setLocalWindowSize(connectionWindowBytes);
    session.on("ping", () => this.pinged());
    // What ends a connection early ends its calls; "close" follows and is all there is to do.
    session.on("error", (error) => this.logger.debug("a client connection broke", { remote: this.remote, error }));
    session.on("close", () => this.cancelKeepalive?.());
    this.scheduleKeepalive(options.keepalive.intervalMs);
  }

  get encrypted(): boolean {
    return this.session.encrypted === true;
  }

  callStarted(call: Call): void {
    this.calls.add(call);
    this.silentSinceMs = this.clock.monotonicMs();
  }

  callEnded(call: Call): void {
    this.calls.delete(call);
    this.pings.serverSent();
    this.options.leaderWatch.remove(call);
  }

  messageSent(): void {
    this.pings.serverSent();
  }

  /** No new calls; streams end now, since they never would by themselves. Other calls may finish. */
  drain(): void {
    if (!this.session.closed) this.session.close();
    for (const call of this.calls) if (call.streaming) call.abort(status.Stopped);
  }

  destroy(): void {
    this.session.destroy();
  }

  private pinged(): void {
    if (this.pings.ping(this.clock.monotonicMs(), this.calls.size) === "fine") return;
    this.logger.warn("a client pings too often and is sent away", { remote: this.remote });
    this.session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from("too_many_pings"));
    this.session.destroy();
  }

  private scheduleKeepalive(afterMs: number): void {
    if (afterMs <= 0 || this.session.destroyed) return;
    this.cancelKeepalive = this.clock.after(Math.min(afterMs, timerMsMax), () => {
      const { intervalMs } = this.options.keepalive;
      const silentMs = this.clock.monotonicMs() - this.silentSinceMs;
      if (silentMs < intervalMs) this.scheduleKeepalive(intervalMs - silentMs);
      else this.sendPing();
    });
  }

  private sendPing(): void {
    const { timeoutMs, intervalMs } = this.options.keepalive;
    if (this.session.destroyed) return;
    this.cancelKeepalive =
      timeoutMs <= 0 ? undefined : this.clock.after(Math.min(timeoutMs, timerMsMax), () => this.session.destroy());
    this.session.ping((error) => {
      if (error !== null) return; // the connection is going down by itself
      this.cancelKeepalive?.();
      this.silentSinceMs = this.clock.monotonicMs();
      this.scheduleKeepalive(intervalMs);
    });
  }
}

/**
 * One lane of a link: dials until a stream stands, feeds it from a bounded queue, and dials again when it breaks.
 * Messages that come while no stream stands are dropped: Raft repairs what is lost, and old news help nobody.
 */

import type { MemberId, Message } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Random } from "../runtime/random.js";
import type { TlsDialer } from "../tls/dialer.js";
import type { PeerEndpoint } from "./address.js";
import { encodeFrame } from "./codec.js";
import { type Connection, openConnection } from "./connection.js";
import { prefixBytes, writePrefix } from "./grpc-message.js";
import type { Refusal } from "./handshake.js";
import { probe } from "./probe.js";
import { RaftStream, type StreamEnd } from "./raft-stream.js";
import { type QueueLimits, SendQueue } from "./send-queue.js";

export interface LaneOptions {
  readonly to: MemberId;
  /** Tried in turn. */
  /** Where the peer is at the next attempt. */
  readonly endpoints: () => readonly PeerEndpoint[];
  readonly headers: () => Readonly<Record<string, string>>;
  readonly dialer: TlsDialer;
  readonly limits: QueueLimits;
  /** A ping may stay unanswered for so long. */
  readonly silenceMsMax: number;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: LaneEvents;
}

export interface LaneEvents {
  up(): void;
  /** The stream broke, with all that was on its way; `unsent` had not left. */
  down(end: StreamEnd, unsent: readonly Message[]): void;
  /** A round of attempts brought no stream. */
  failed(reason: string): void;
  /** After a stream had stood: all hosts answer, and nobody listens there. */
  refused(): void;
  turnedAway(refusal: Refusal): void;
  sent(bytes: number): void;
  receipt(roundTripMs: number): void;
}

const backoffMs = { first: 50, max: 1_000 };
/** So many times longer an attempt may take after failed ones: where processors are scarce, haste would never get there. */
const patienceMax = 3;
/** A stream that breaks sooner counts as a failed attempt, or two members could wear each other out. */
const steadyMs = 100;
/** Largest frame that is made of several messages. */
const frameBytesMax = 512 * 1024;
/** Bytes handed to the stream and not yet to the system. Two large frames, so that one is encoded while one leaves. */
const inflightBytesMax = 1024 * 1024;
/** Less than this waits until the frame before it has left, and goes with what comes meanwhile. */
const batchBytesMin = 64 * 1024;

export class Lane {
  private readonly options: LaneOptions;
  private readonly queue: SendQueue;
  private readonly end = new AbortController();
  private readonly running: Promise<void>;
  private stream: RaftStream | undefined;
  private inflightBytes = 0;
  private pingDue = false;
  /** When the oldest ping became due that has no receipt yet. */
  private unansweredSinceMs: number | undefined;
  private wasUp = false;
  /** Ends the pause between two attempts. */
  private wake: () => void = () => undefined;

  constructor(options: LaneOptions) {
    this.options = options;
    this.queue = new SendQueue(options.limits);
    this.running = this.run();
  }

  /** The connection of the stream that stands. */
  get connection(): Connection | undefined {
    return this.stream?.connection;
  }

  /** Where the stream that stands goes to. */
  get endpoint(): PeerEndpoint | undefined {
    return this.stream?.endpoint;
  }

  push(message: Message): "queued" | "dropped" {
    return this.stream === undefined ? "dropped" : this.queue.push(message);
  }

  /** Sends what is queued, as far as the stream takes it now. */
  flush(): void {
    while (this.stream !== undefined && !this.queue.isEmpty && this.mayWrite()) {
      this.write(this.stream, this.queue.take(frameBytesMax));
    }
  }

  /** Asks for a receipt, and cuts a stream that has not answered for too long. */
  ping(nowMs: number): void {
    if (this.stream === undefined) return;
    this.unansweredSinceMs ??= nowMs;
    if (nowMs - this.unansweredSinceMs > this.options.silenceMsMax) {
      this.stream.close(`silent for ${Math.round(nowMs - this.unansweredSinceMs)} ms`);
      return;
    }
    this.pingDue = true;
    if (this.inflightBytes === 0) this.write(this.stream, this.queue.take(frameBytesMax));
  }

  /** This process stood still, so silence proves nothing. */
  forgive(nowMs: number): void {
    if (this.unansweredSinceMs !== undefined) this.unansweredSinceMs = nowMs;
  }

  cut(reason: string): void {
    this.stream?.close(reason);
  }

  /** The peer is alive: dials now instead of after the pause. */
  nudge(): void {
    this.wake();
  }

  async close(): Promise<void> {
    this.end.abort();
    this.wake();
    await this.running;
  }

  private mayWrite(): boolean {
    if (this.inflightBytes === 0) return true;
    return this.inflightBytes < inflightBytesMax && this.queue.bytes >= batchBytesMin;
  }

  private write(stream: RaftStream, messages: readonly Message[]): void {
    const pingMs = this.pingDue ? this.options.clock.monotonicMs() : 0;
    this.pingDue = false;
    const frame = writePrefix(encodeFrame({ to: this.options.to, messages, pingMs }, prefixBytes));
    this.inflightBytes += frame.length;
    this.options.events.sent(frame.length);
    stream.write(frame, () => {
      if (stream !== this.stream) return;
      this.inflightBytes -= frame.length;
      this.flush();
    });
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.end.signal.aborted) {
      const stream = await this.dial(failures);
      const upSinceMs = this.options.clock.monotonicMs();
      if (stream !== undefined) await this.serve(stream);
      const stoodMs = this.options.clock.monotonicMs() - upSinceMs;
      // After a break the first look is at once: a process that is gone is to be noticed within milliseconds.
      failures = stream !== undefined && stoodMs >= steadyMs ? 0 : failures + 1;
      if (failures > 0) await this.pause(failures);
    }
  }

  private async serve(stream: RaftStream): Promise<void> {
    this.stream = stream;
    this.inflightBytes = 0;
    this.wasUp = true;
    this.options.events.up();
    const end = await stream.ended;
    this.stream = undefined;
    const unsent = this.queue.drain();
    this.pingDue = false;
    this.unansweredSinceMs = undefined;
    this.options.events.down(end, unsent);
    if (end.refusal !== undefined) this.options.events.turnedAway(end.refusal);
  }

  /** One attempt at each URL, in turn. */
  private async dial(failures: number): Promise<RaftStream | undefined> {
    const { events, clock, connectTimeoutMs } = this.options;
    const endpoints = this.options.endpoints();
    const openTimeoutMs = connectTimeoutMs * Math.min(1 + failures, patienceMax);
    const { signal } = this.end;
    let refusedCount = 0;
    let reason = "it has no peer URL";
    for (const endpoint of endpoints) {
      const found = await probe(endpoint, { clock, timeoutMs: connectTimeoutMs, signal });
      if (signal.aborted) return undefined;
      if (found === "refused") refusedCount += 1;
      if (found !== "open") {
        reason = found === "refused" ? "connection refused" : "no connection";
        continue;
      }
      const stream = this.open(endpoint, openTimeoutMs);
      const opened = await stream.opened;
      if (opened === "open") return stream;
      reason = opened.reason;
      if (opened.refusal !== undefined) events.turnedAway(opened.refusal);
    }
    if (signal.aborted) return undefined;
    events.failed(reason);
    if (this.wasUp && refusedCount === endpoints.length) events.refused();
    return undefined;
  }

  private open(endpoint: PeerEndpoint, openTimeoutMs: number): RaftStream {
    const { clock, events, headers, dialer } = this.options;
    return new RaftStream({
      connection: openConnection(endpoint, dialer),
      endpoint,
      headers: headers(),
      clock,
      openTimeoutMs,
      signal: this.end.signal,
      onReceipt: ({ pingMs }) => {
        this.unansweredSinceMs = undefined;
        events.receipt(Math.max(0, clock.monotonicMs() - pingMs));
      },
    });
  }

  private async pause(failures: number): Promise<void> {
    const { clock, random } = this.options;
    const longestMs = Math.min(backoffMs.first * 2 ** Math.min(failures - 1, 10), backoffMs.max);
    // Half fixed, half drawn, so that members that lost each other at once do not all come back at once.
    const delayMs = longestMs / 2 + random.below(longestMs / 2 + 1);
    if (this.end.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(delayMs, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
    this.wake = () => undefined;
  }
}

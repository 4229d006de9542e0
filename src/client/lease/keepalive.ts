/**
 * The renewal of all leases of a client on one stream. A lease has one renewal in flight at most, due at a third of its
 * TTL; a stream that does not answer is left for another endpoint. What a missing answer means for a lease is for the
 * lease to say.
 */
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../../../proto/gen/etcd/rpc.js";
import { linkSignals } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { Effort } from "../calls/effort.js";
import { streamMethods } from "../calls/methods.js";
import { CallScope } from "../calls/scope.js";
import type { Duplex } from "../connection/transport.js";
import { sizeOf } from "../kv/convert.js";

/** A server is given this long to answer a renewal, less for short leases. */
const answerMs = { max: 3_000, min: 500 };
/** After a refusal that another attempt would not mend by itself, such as a lost permission. */
const pauseAfterRefusalMs = 1_000;

export interface RenewalListener {
  /** `sentAtMs` is when the request was sent: the server cannot have counted the TTL from earlier. */
  onAnswer(response: LeaseKeepAliveResponse, sentAtMs: number): void;
  /** A failure that stopped the stream; renewing goes on. */
  onFailure(error: unknown): void;
}

type KeepAliveDuplex = Duplex<LeaseKeepAliveRequest, LeaseKeepAliveResponse>;

/** One lease on the stream. */
interface Renewal {
  readonly id: bigint;
  readonly listener: RenewalListener;
  ttlMs: number;
  inFlight: { readonly sentAtMs: number; readonly stream: KeepAliveDuplex } | undefined;
  due: boolean;
  timer: NodeJS.Timeout | undefined;
}

export interface RenewalHandle {
  /** Renews as soon as possible instead of when due. */
  now(): void;
  stop(): void;
}

export class Renewals {
  private readonly calls: Calls;
  private readonly renewals = new Set<Renewal>();
  private stream: KeepAliveDuplex | undefined;
  /** Set while there is a stream or an attempt at one. Aborted when the last lease leaves. */
  private session: { readonly idle: AbortController; readonly running: Promise<void> } | undefined;

  constructor(calls: Calls) {
    this.calls = calls;
  }

  /** Renews `id` now and then every third of its TTL, until stopped. */
  add(id: bigint, listener: RenewalListener): RenewalHandle {
    return this.enter({ id, listener, ttlMs: answerMs.max, inFlight: undefined, due: true, timer: undefined });
  }

  /** As `add`, but the first renewal comes a third of the TTL after `sentAtMs`. */
  addGranted(id: bigint, granted: { ttlMs: number; sentAtMs: number }, listener: RenewalListener): RenewalHandle {
    const renewal: Renewal = {
      id,
      listener,
      ttlMs: granted.ttlMs,
      inFlight: undefined,
      due: false,
      timer: undefined,
    };
    const handle = this.enter(renewal);
    this.schedule(renewal, granted.sentAtMs);
    return handle;
  }

  async close(): Promise<void> {
    for (const renewal of this.renewals) this.leave(renewal);
    await this.session?.running;
  }

  private enter(renewal: Renewal): RenewalHandle {
    this.renewals.add(renewal);
    if (this.session === undefined) {
      const idle = new AbortController();
      this.session = { idle, running: this.run(idle) };
    }
    const now = (): void => {
      if (this.renewals.has(renewal) && renewal.inFlight === undefined) this.send(renewal);
    };
    if (renewal.due) now();
    return { now, stop: () => this.leave(renewal) };
  }

  private leave(renewal: Renewal): void {
    clearTimeout(renewal.timer);
    this.renewals.delete(renewal);
    if (this.renewals.size > 0) return;
    this.session?.idle.abort();
    this.session = undefined;
    this.stream = undefined;
  }

  private async run(idle: AbortController): Promise<void> {
    const { closing, settings } = this.calls.wiring;
    const patience = { timeoutMs: Number.POSITIVE_INFINITY, endless: true };
    const link = linkSignals(closing, idle.signal);
    const scope = new CallScope(settings.clock, patience, { closing, caller: idle.signal });
    try {
      while (!link.signal.aborted) {
        try {
          await this.renewUntilRefused(scope);
        } catch (error) {
          if (link.signal.aborted) return;
          for (const { listener } of this.renewals) listener.onFailure(error);
          await scope.sleep(pauseAfterRefusalMs);
        }
      }
    } finally {
      scope.dispose();
      link.dispose();
    }
  }

  /** Stream after stream; throws what no further attempt would mend. */
  private async renewUntilRefused(scope: CallScope): Promise<never> {
    const method = streamMethods.leaseKeepAlive;
    const begin = (): Effort => new Effort(this.calls.wiring, method, { retry: "idempotent" }, scope);
    let effort = begin();
    for (;;) {
      const endpoint = await effort.choose();
      try {
        const stream = await this.calls.duplex(method, effort, endpoint);
        this.attached(stream);
        try {
          for await (const response of stream) {
            effort.succeeded(endpoint, response);
            this.answered(response, stream);
            effort = begin();
          }
        } finally {
          this.detached(stream);
        }
      } catch (error) {
        await effort.recover(endpoint, error);
      }
    }
  }

  private attached(stream: KeepAliveDuplex): void {
    this.stream = stream;
    for (const renewal of this.renewals) if (renewal.due) this.send(renewal);
  }

  /** What was in flight is due again, on the next stream. */
  private detached(stream: KeepAliveDuplex): void {
    if (this.stream === stream) this.stream = undefined;
    stream.cancel();
    for (const renewal of this.renewals) {
      if (renewal.inFlight?.stream !== stream) continue;
      renewal.inFlight = undefined;
      this.send(renewal);
    }
  }

  private send(renewal: Renewal): void {
    clearTimeout(renewal.timer);
    const { stream } = this;
    renewal.due = stream === undefined;
    if (stream === undefined) return;
    renewal.inFlight = { sentAtMs: this.calls.wiring.settings.clock.now(), stream };
    stream.write({ ID: renewal.id });
    const waitMs = Math.max(answerMs.min, Math.min(answerMs.max, renewal.ttlMs / 3));
    renewal.timer = setTimeout(() => stream.cancel(), waitMs);
  }

  /** Answers come in the order of the requests, so of two renewals of one lease the older is meant. */
  private answered(response: LeaseKeepAliveResponse, stream: KeepAliveDuplex): void {
    let asked: Renewal | undefined;
    for (const renewal of this.renewals) {
      if (renewal.id !== response.ID || renewal.inFlight?.stream !== stream) continue;
      if (asked?.inFlight === undefined || renewal.inFlight.sentAtMs < asked.inFlight.sentAtMs) asked = renewal;
    }
    if (asked?.inFlight === undefined) return;
    const { sentAtMs } = asked.inFlight;
    asked.inFlight = undefined;
    asked.ttlMs = sizeOf(response.TTL) * 1000;
    this.schedule(asked, sentAtMs);
    asked.listener.onAnswer(response, sentAtMs);
  }

  private schedule(renewal: Renewal, sentAtMs: number): void {
    clearTimeout(renewal.timer);
    const waitMs = sentAtMs + renewal.ttlMs / 3 - this.calls.wiring.settings.clock.now();
    renewal.timer = setTimeout(() => this.send(renewal), Math.max(0, waitMs));
  }
}

/**
 * The renewal of all leases of a client on one stream. A lease has one renewal in flight at most, due at a third of its
 * TTL; a stream that does not answer is left for another endpoint. It runs on the leader where that is known, because
 * followers pass renewals on one by one, but never waits for one. What a missing answer means is for the lease to say.
 */
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { Effort } from "../calls/effort.js";
import { streamMethods } from "../calls/methods.js";
import { CallScope } from "../calls/scope.js";
import type { Endpoint } from "../connection/endpoints.js";
import { type Duplex, TransportError } from "../connection/transport.js";
import { EtcdError } from "../errors.js";
import { sizeOf } from "../kv/convert.js";

/** A server is given this long to answer a renewal, less for short leases. */
const answerMs = { max: 3_000, min: 500 };
/** After a refusal that another attempt would not mend by itself, such as a lost permission. */
const pauseAfterRefusalMs = 1_000;
/** `setTimeout` counts no further; leases of months are renewed more often than they need. */
const timerMsMax = 2 ** 31 - 1;

export interface RenewalListener {
  /** `sentAtMs` is when the request was sent: the server cannot have counted the TTL from earlier. */
  onAnswer(response: LeaseKeepAliveResponse, sentAtMs: number): void;
  /** A failure that stopped the stream, an EtcdError that says where; renewing goes on. */
  onFailure(error: unknown): void;
  /** The renewal comes later than it is due, by more than a third of the TTL: this process was suspended. */
  onLate?(): void;
}

type KeepAliveDuplex = Duplex<LeaseKeepAliveRequest, LeaseKeepAliveResponse>;

/** A stream, and what was asked on it: by lease id, in the order of asking, which is the order of the answers. */
interface Line {
  readonly stream: KeepAliveDuplex;
  readonly asked: Map<bigint, { readonly renewal: Renewal; readonly sentAtMs: number }[]>;
  /** Why it was left, if it did not just break. */
  leftFor: TransportError | undefined;
}

/** One holder's renewals of one lease. */
interface Renewal {
  readonly id: bigint;
  readonly listener: RenewalListener;
  ttlMs: number;
  inFlight: boolean;
  /** Waits for a stream. */
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
  private line: Line | undefined;
  /** Aborted when the last lease leaves. */
  private idle: AbortController | undefined;
  private readonly sessions = new Set<Promise<void>>();

  constructor(calls: Calls) {
    this.calls = calls;
  }

  /** Renews `id` now and then every third of its TTL, until stopped. */
  add(id: bigint, listener: RenewalListener): RenewalHandle {
    const renewal = newRenewal(id, answerMs.max, listener);
    const handle = this.enter(renewal);
    handle.now();
    return handle;
  }

  /** As `add`, but the first renewal comes a third of the TTL after `sentAtMs`. */
  addGranted(id: bigint, granted: { ttlMs: number; sentAtMs: number }, listener: RenewalListener): RenewalHandle {
    const renewal = newRenewal(id, granted.ttlMs, listener);
    const handle = this.enter(renewal);
    this.schedule(renewal, granted.sentAtMs);
    return handle;
  }

  async close(): Promise<void> {
    for (const renewal of this.renewals) this.leave(renewal);
    await Promise.all(this.sessions);
  }

  private enter(renewal: Renewal): RenewalHandle {
    this.renewals.add(renewal);
    if (this.idle === undefined) {
      this.idle = new AbortController();
      const session: Promise<void> = this.run(this.idle.signal).finally(() => this.sessions.delete(session));
      this.sessions.add(session);
    }
    const now = (): void => {
      if (this.renewals.has(renewal) && !renewal.inFlight) this.send(renewal);
    };
    return { now, stop: () => this.leave(renewal) };
  }

  private leave(renewal: Renewal): void {
    clearTimeout(renewal.timer);
    this.renewals.delete(renewal);
    if (this.renewals.size > 0) return;
    this.idle?.abort();
    this.idle = undefined;
    this.line?.stream.cancel();
    this.line = undefined;
  }

  private async run(idle: AbortSignal): Promise<void> {
    const { closing, settings } = this.calls.wiring;
    const patience = { timeoutMs: Number.POSITIVE_INFINITY, endless: true };
    const scope = new CallScope(settings.clock, patience, { closing, caller: idle });
    try {
      while (!scope.signal.aborted) {
        try {
          await this.renewUntilRefused(scope);
        } catch (error) {
          if (scope.signal.aborted) return;
          this.tell(error);
          await scope.sleep(pauseAfterRefusalMs);
        }
      }
    } finally {
      scope.dispose();
    }
  }

  /** Stream after stream; throws what no further attempt would mend. */
  private async renewUntilRefused(scope: CallScope): Promise<never> {
    let effort = this.begin(scope);
    for (;;) {
      const endpoint = await effort.choose("known-only");
      try {
        const stream = await this.calls.duplex(streamMethods.leaseKeepAlive, effort, endpoint);
        const outcome = await this.serve(stream, endpoint, {
          signal: scope.signal,
          onAnswer: (response) => {
            effort.succeeded(endpoint, response);
            effort = this.begin(scope);
          },
        });
        if (outcome === "broken") throw unavailable("the server ended the keepalive stream");
      } catch (error) {
        // What another attempt may mend is the cause, should none mend it in time.
        if (error instanceof TransportError && !scope.signal.aborted) this.tell(passingFailure(endpoint, error));
        await effort.recover(endpoint, error);
      }
    }
  }

  private tell(failure: unknown): void {
    for (const { listener } of this.renewals) listener.onFailure(failure);
  }

  private begin(scope: CallScope): Effort {
    return new Effort(this.calls.wiring, streamMethods.leaseKeepAlive, { retry: "idempotent" }, scope);
  }

  /** One stream, from its first renewal until it ends, or until it is better to ask the leader itself. */
  private async serve(
    stream: KeepAliveDuplex,
    endpoint: Endpoint,
    { signal, onAnswer }: { signal: AbortSignal; onAnswer: (response: LeaseKeepAliveResponse) => void },
  ): Promise<"broken" | "leader elsewhere"> {
    const line: Line = { stream, asked: new Map(), leftFor: undefined };
    try {
      // The last lease may have left while the stream was made: another session may be running by now.
      if (!signal.aborted) this.attached(line);
      for await (const response of stream) {
        onAnswer(response);
        this.answered(response, line);
        if (line.asked.size === 0 && this.leaderElsewhere(endpoint)) return "leader elsewhere";
      }
      return "broken";
    } catch (error) {
      throw line.leftFor ?? error;
    } finally {
      this.detached(line);
    }
  }

  /** True if the leader is known and reached on another endpoint that is not known to fail. */
  private leaderElsewhere(endpoint: Endpoint): boolean {
    const { wiring } = this.calls;
    const leader = wiring.leaderFor("any", streamMethods.leaseKeepAlive);
    if (leader === undefined || leader === endpoint.memberId) return false;
    return wiring.endpoints.all().some(({ memberId, failure }) => memberId === leader && failure === undefined);
  }

  private attached(line: Line): void {
    this.line = line;
    for (const renewal of this.renewals) if (renewal.due) this.send(renewal);
  }

  /** What was in flight is due again, on the next stream. */
  private detached(line: Line): void {
    if (this.line === line) this.line = undefined;
    line.stream.cancel();
    for (const { renewal } of [...line.asked.values()].flat()) {
      renewal.inFlight = false;
      if (this.renewals.has(renewal)) this.send(renewal);
    }
  }

  private send(renewal: Renewal): void {
    clearTimeout(renewal.timer);
    const { line } = this;
    renewal.due = line === undefined;
    if (line === undefined) return;
    renewal.inFlight = true;
    const { id } = renewal;
    const asked = { renewal, sentAtMs: this.calls.wiring.settings.clock.now() };
    const others = line.asked.get(id);
    if (others === undefined) line.asked.set(id, [asked]);
    else others.push(asked);
    line.stream.write({ ID: id });
    const waitMs = Math.max(answerMs.min, Math.min(answerMs.max, renewal.ttlMs / 3));
    renewal.timer = setTimeout(() => {
      line.leftFor ??= unavailable(`no answer to a renewal within ${Math.round(waitMs)} ms`);
      line.stream.cancel();
    }, waitMs);
  }

  private answered(response: LeaseKeepAliveResponse, line: Line): void {
    const asked = line.asked.get(response.ID);
    const first = asked?.shift();
    if (asked?.length === 0) line.asked.delete(response.ID);
    if (first === undefined || !this.renewals.has(first.renewal)) return;
    const { renewal, sentAtMs } = first;
    renewal.inFlight = false;
    clearTimeout(renewal.timer);
    renewal.ttlMs = sizeOf(response.TTL) * 1000;
    // Without a TTL there is no lease to renew.
    if (renewal.ttlMs > 0) this.schedule(renewal, sentAtMs);
    renewal.listener.onAnswer(response, sentAtMs);
  }

  private schedule(renewal: Renewal, sentAtMs: number): void {
    clearTimeout(renewal.timer);
    const { clock } = this.calls.wiring.settings;
    const thirdMs = renewal.ttlMs / 3;
    const dueMs = sentAtMs + thirdMs;
    const onDue = (): void => {
      if (clock.now() - dueMs > thirdMs) renewal.listener.onLate?.();
      this.send(renewal);
    };
    renewal.timer = setTimeout(onDue, Math.min(Math.max(0, dueMs - clock.now()), timerMsMax));
  }
}

function newRenewal(id: bigint, ttlMs: number, listener: RenewalListener): Renewal {
  return { id, listener, ttlMs, inFlight: false, due: false, timer: undefined };
}

function unavailable(message: string): TransportError {
  return new TransportError(message, { grpcStatus: Code.UNAVAILABLE, sent: true });
}

function passingFailure({ name }: Endpoint, cause: TransportError): EtcdError {
  return new EtcdError(`${name}: ${cause.message}`, {
    code: cause.sent ? "ConnectionLost" : "ConnectFailed",
    grpcStatus: cause.grpcStatus,
    outcome: cause.sent ? "unknown" : "not-applied",
    endpoint: name,
    attempts: 1,
    retryable: true,
    cause,
  });
}

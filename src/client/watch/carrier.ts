/**
 * One gRPC stream that carries watchers, and is opened again whenever it breaks: each watcher then starts from where it
 * stands. A stream that carries one watcher waits for its reader, so that HTTP/2 holds the server back. On a shared one
 * nobody waits; whoever is too slow for it has to leave.
 */
import type { ResponseHeader, WatchRequest, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { Effort } from "../calls/effort.js";
import { streamMethods } from "../calls/methods.js";
import { CallScope } from "../calls/scope.js";
import type { Endpoint } from "../connection/endpoints.js";
import { type Duplex, TransportError } from "../connection/transport.js";
import type { ReadRange, Rider, StreamOptions } from "./rider.js";
import { Seats } from "./seats.js";
import { Silence } from "./silence.js";
import type { WatchTimings } from "./timings.js";

export interface CarrierParts {
  readonly calls: Calls;
  readonly options: StreamOptions;
  /** "own": for one watcher alone. */
  readonly kind: "shared" | "own";
  readonly timings: WatchTimings;
  /** The store's revision now; undefined for who may not read the range. Rejects if nobody can say it. */
  readonly now: (range: ReadRange, signal: AbortSignal) => Promise<ResponseHeader | undefined>;
}

export class Carrier {
  private readonly parts: CarrierParts;
  private readonly closer = new AbortController();
  private readonly seats: Seats;
  private readonly silence: Silence;
  private duplex: Duplex<WatchRequest, WatchResponse> | undefined;
  private effort: Effort | undefined;
  private kind: "shared" | "own";
  /** The endpoint of the stream at hand, or of the last one. */
  private where: Endpoint | undefined;
  private tokenRefused = false;
  /** True while the one reader is waited for: what has come and was not taken says nothing. */
  private paused = false;
  private looking = false;
  /** Why the stream at hand is being left, if it did not just break. */
  private leaving: TransportError | undefined;

  constructor(parts: CarrierParts) {
    this.parts = parts;
    this.kind = parts.kind;
    this.silence = new Silence(parts.timings, parts.calls.wiring.settings.clock);
    this.seats = new Seats(parts.kind === "own" ? "theirs" : "ours", (request) => {
      if (request.requestUnion?.$case === "createRequest") this.silence.created();
      this.duplex?.write(request);
    });
    // It ends when the last rider leaves, and tells its failures to the riders: there is nothing to wait for.
    void this.run();
  }

  get endpoint(): string | undefined {
    return this.where?.name;
  }

  get size(): number {
    return this.seats.size;
  }

  /** Whether another watcher may come aboard. With a token that was refused, none would be let in. */
  get admits(): boolean {
    return this.kind === "shared" && !this.tokenRefused && !this.closer.signal.aborted;
  }

  enter(rider: Rider): void {
    this.seats.enter(rider);
  }

  /** The others stay; a stream that nobody is left on ends. */
  leave(rider: Rider): void {
    this.seats.leave(rider);
    this.endIfEmpty();
  }

  /** Keeps everyone else away, if the rider is alone here; returns whether it is. */
  reserve(rider: Rider): boolean {
    const alone = this.seats.size === 1 && this.seats.all().includes(rider);
    if (alone) this.kind = "own";
    return alone;
  }

  /** True if, for the sake of others here, the server may leave this watcher's progress requests unanswered. */
  delaysProgressOf(rider: Rider): boolean {
    return this.seats.isMuted(rider) || this.seats.isBusy(rider);
  }

  /** At once, if there is a stream. */
  requestProgress(): void {
    if (this.duplex === undefined) return;
    this.silence.asked();
    this.seats.requestProgress();
  }

  /** Whoever was refused goes on another stream, which is opened with another token. */
  dropToken(): void {
    this.effort?.dropToken();
    this.tokenRefused = true;
  }

  private async run(): Promise<void> {
    const { calls, timings } = this.parts;
    const { closing, settings } = calls.wiring;
    const patience = { timeoutMs: Number.POSITIVE_INFINITY, endless: true };
    const scope = new CallScope(settings.clock, patience, { closing, caller: this.closer.signal });
    const timer = setInterval(() => this.tick(), timings.tickMs);
    timer.unref();
    try {
      await this.reopenForEver(scope);
    } catch (error) {
      this.closer.abort();
      for (const rider of this.seats.all()) rider.failed(error);
    } finally {
      clearInterval(timer);
      scope.dispose();
    }
  }

  private async reopenForEver(scope: CallScope): Promise<void> {
    const fresh = (): Effort => new Effort(this.parts.calls.wiring, streamMethods.watch, this.parts.options, scope);
    let effort = fresh();
    for (;;) {
      const endpoint = await effort.choose();
      this.where = endpoint;
      this.leaving = undefined;
      let answered = false;
      const onAnswer = (): void => {
        answered = true;
      };
      try {
        await this.carry(effort, endpoint, onAnswer);
      } catch (error) {
        // A stream that was left on purpose only says that it was cancelled.
        const cause: unknown = this.leaving ?? error;
        for (const rider of this.seats.all()) rider.detached(cause);
        // A server that answered ends the row of failures that the back-off counts.
        if (answered) effort = fresh();
        await effort.recover(endpoint, cause);
      }
    }
  }

  /** One gRPC stream from its opening to its end, which is always an error. */
  private async carry(effort: Effort, endpoint: Endpoint, onAnswer: () => void): Promise<void> {
    const duplex = await this.parts.calls.duplex(streamMethods.watch, effort, endpoint);
    this.duplex = duplex;
    this.effort = effort;
    this.tokenRefused = false;
    this.silence.began();
    let first = true;
    let term: bigint | undefined;
    try {
      this.seats.open();
      for await (const response of duplex) {
        if (first) onAnswer();
        first = false;
        // Who leads is news only when the term is.
        if (response.header !== undefined && response.header.raftTerm !== term) effort.succeeded(endpoint, response);
        term = response.header?.raftTerm ?? term ?? 0n;
        this.take(response);
        if (this.kind === "own") await this.waitForReader();
      }
    } finally {
      this.duplex = undefined;
      this.seats.close();
      duplex.cancel();
    }
    throw new TransportError("the server ended the watch stream", { grpcStatus: Code.UNAVAILABLE, sent: true });
  }

  private take(response: WatchResponse): void {
    this.silence.heard(response.created ? "created" : "news");
    this.seats.take(response);
    this.endIfEmpty();
  }

  private async waitForReader(): Promise<void> {
    const [rider] = this.seats.all();
    const room = rider?.room();
    if (room === undefined) return;
    this.paused = true;
    await room;
    this.paused = false;
    this.silence.began();
  }

  private endIfEmpty(): void {
    if (this.seats.size === 0) this.closer.abort();
  }

  /** Leaves the stream at hand for another one. */
  private abandon(cause: TransportError): void {
    this.leaving ??= cause;
    this.duplex?.cancel();
  }

  private tick(): void {
    if (this.duplex === undefined || this.paused) return;
    if (this.seats.expectant) {
      if (this.silence.unconfirmed) this.abandon(silent("left a watch unanswered"));
      return;
    }
    if (this.silence.isDeath) return this.giveUp();
    const { tickMs, mutedAskMs, idleProgressMs } = this.parts.timings;
    const muted = this.seats.isMuted();
    const pauseMs = !this.seats.wantProgress ? idleProgressMs : muted ? mutedAskMs : tickMs / 2;
    if (!this.silence.isDueAfter(pauseMs)) return;
    // While the store stands where a watcher starts after it, the server owes no answer; another call tells if it moved.
    if (muted) void this.lookElsewhere();
    else this.requestProgress();
  }

  private giveUp(): void {
    this.silence.gaveUp();
    for (const rider of this.seats.all()) rider.stale();
    this.abandon(silent("has fallen silent"));
  }

  /** Asks for the store's revision by a read. If that fails, the next look may do better. */
  private async lookElsewhere(): Promise<void> {
    const [rider] = this.seats.all();
    if (this.looking || rider === undefined) return;
    this.looking = true;
    this.silence.askedElsewhere();
    try {
      const header = await this.parts.now(rider.range, this.closer.signal);
      for (const each of this.seats.all()) each.heardOf(header?.revision ?? 0n);
      if (!this.seats.isMuted()) this.requestProgress();
    } catch (error) {
      const { log } = this.parts.calls.wiring.settings;
      if (!this.closer.signal.aborted) log({ level: "debug", message: "no revision for an idle watch", cause: error });
    } finally {
      this.looking = false;
    }
  }
}

function silent(what: string): TransportError {
  return new TransportError(`the server ${what}`, { grpcStatus: Code.UNAVAILABLE, sent: true });
}

/**
 * One watcher that survives its streams. It resumes after the last event it passed on, drops what it has passed on
 * before, joins fragments, and turns "now" into a revision before it starts, so that nothing is lost, repeated or
 * split. Each watcher has a gRPC stream of its own: HTTP/2 then holds back the one whose reader is slow, and no other.
 */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import { linkSignals, onAbort } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { Effort } from "../calls/effort.js";
import { kvMethods, streamMethods } from "../calls/methods.js";
import { CallScope } from "../calls/scope.js";
import type { Endpoint } from "../connection/endpoints.js";
import { type Duplex, TransportError } from "../connection/transport.js";
import { EtcdError, isEtcdError } from "../errors.js";
import type { CallOptions } from "../options.js";
import { Inbox } from "./inbox.js";
import type { WatchState } from "./types.js";
import { Bookmark, joinFragments, progressMessage, refusedForToken } from "./watch-order.js";

type WatchDuplex = Duplex<rpc.WatchRequest, rpc.WatchResponse>;

export interface SessionOptions extends CallOptions {
  readonly maxDisconnectedMs?: number | undefined;
  /** Events held before the reader must catch up. */
  readonly highWaterMark?: number | undefined;
  readonly overflow?: "pause" | "error" | undefined;
  /** Ask the server now and then how far the watch has come. */
  readonly askProgress?: boolean | undefined;
}

const highWaterMarkDefault = 4_096;
/** How often a watch that catches up, or that reports progress, asks for it. */
const askProgressMs = 1_000;
/** A server that does not confirm a watch in this time is left for another. */
const confirmMs = 5_000;

export class WatchSession {
  /** What the server said, made whole: the first `created`, events, progress, and `canceled` as the last. */
  readonly inbox: Inbox<rpc.WatchResponse>;
  /** Resolves with the first revision the watch covers once a server confirmed it. */
  readonly started: Promise<bigint>;
  state: WatchState = "starting";
  private readonly calls: Calls;
  private readonly create: rpc.WatchCreateRequest;
  private readonly options: SessionOptions;
  private readonly closer = new AbortController();
  private readonly running: Promise<void>;
  private readonly progressWaiters = new Set<(revision: bigint | undefined) => void>();
  private bookmark: Bookmark | undefined;
  private stream: WatchDuplex | undefined;
  private confirmed = false;
  private tokenRefused = false;
  private progressWanted = false;
  private answering: Promise<void> | undefined;
  private disconnectedAtMs: number;
  private settleStarted: { resolve(revision: bigint): void; reject(error: unknown): void } = noSettler;

  constructor(calls: Calls, create: rpc.WatchCreateRequest, options: SessionOptions) {
    this.calls = calls;
    this.create = create;
    this.options = options;
    this.disconnectedAtMs = this.nowMs();
    this.inbox = new Inbox(options.highWaterMark ?? highWaterMarkDefault);
    this.started = new Promise((resolve, reject) => {
      this.settleStarted = { resolve, reject };
    });
    // Whoever reads the inbox learns of a failure too; `started` is for those who ask.
    this.started.catch(() => {});
    this.running = this.run();
  }

  /** The first revision the watch covers; 0n until "now" is known. */
  get firstRevision(): bigint {
    return this.bookmark?.first ?? this.create.startRevision;
  }

  /** The next revision this session would take from a server. */
  get nextRevision(): bigint {
    return this.bookmark?.resume ?? this.create.startRevision;
  }

  /** Asks for a progress message; while disconnected, as soon as a server is back. */
  requestProgress(): void {
    this.progressWanted = true;
    this.sendProgressRequest();
    if (this.bookmark?.serverMayBeSilent === true) this.answering ??= this.answerProgress();
  }

  /** The next progress revision; undefined if none came in time or the session ended. */
  progress(withinMs: number): Promise<bigint | undefined> {
    return new Promise((resolve) => {
      const done = (revision: bigint | undefined): void => {
        clearTimeout(timer);
        this.progressWaiters.delete(done);
        resolve(revision);
      };
      const timer = setTimeout(() => done(undefined), withinMs);
      this.progressWaiters.add(done);
    });
  }

  async close(): Promise<void> {
    this.closer.abort();
    await this.running;
    await this.answering;
  }

  private async run(): Promise<void> {
    const { signal } = this.options;
    const link = linkSignals(this.closer.signal, signal);
    const patience = { timeoutMs: Number.POSITIVE_INFINITY, endless: true };
    const { closing, settings } = this.calls.wiring;
    const scope = new CallScope(settings.clock, patience, { closing, caller: link.signal });
    const timer = setInterval(() => this.onTimer(), askProgressMs);
    timer.unref();
    const unwake = onAbort(scope.signal, () => this.inbox.wakeWriters());
    try {
      await this.resolveNow(scope);
      await this.attachForEver(scope);
      this.finish(undefined);
    } catch (error) {
      const quiet = closing.aborted || this.closer.signal.aborted;
      this.finish(quiet ? undefined : error, error);
    } finally {
      clearInterval(timer);
      unwake();
      scope.dispose();
      link.dispose();
    }
  }

  /** Ends the inbox, with an error unless the watch was closed or told the reader why it ends. */
  private finish(failure: unknown, reason: unknown = new Error("the watch has ended")): void {
    this.state = "closed";
    this.closer.abort();
    this.settleStarted.reject(reason);
    for (const waiter of this.progressWaiters) waiter(undefined);
    if (failure === undefined) this.inbox.end();
    else this.inbox.fail(failure);
  }

  /** The store's revision now, by a linearizable read. */
  private async currentRevision(options: CallOptions): Promise<rpc.ResponseHeader | undefined> {
    const { key, rangeEnd } = this.create;
    return (await this.calls.unary(kvMethods.range, { key, rangeEnd, countOnly: true }, options)).header;
  }

  /**
   * A server says nothing while its store has not reached the start of the watch; a read tells as much. If the read
   * fails or the watch is closed under it, there is no answer: the watch's own stream reports what is wrong.
   */
  private async answerProgress(): Promise<void> {
    const header = await this.currentRevision({ signal: this.closer.signal }).catch(() => undefined);
    this.answering = undefined;
    if (header === undefined || this.bookmark === undefined || header.revision >= this.bookmark.resume) return;
    this.inbox.push(progressMessage(header), 0);
    this.onProgress(header.revision);
  }

  /** "Now" as a revision: the first one after all that was committed when the watch was asked for. */
  private async resolveNow(scope: CallScope): Promise<void> {
    if (this.create.startRevision !== 0n) {
      this.bookmark = new Bookmark(this.create.startRevision);
      return;
    }
    const { target, requireLeader, metadata } = this.options;
    const options = {
      signal: scope.signal,
      timeoutMs: this.options.timeoutMs ?? this.options.maxDisconnectedMs ?? Number.POSITIVE_INFINITY,
      ...(target === undefined ? {} : { target }),
      ...(requireLeader === undefined ? {} : { requireLeader }),
      ...(metadata === undefined ? {} : { metadata }),
    };
    const header = await this.currentRevision(options).catch(serverRefusal);
    // A range that may not be read may not be watched either; the watch itself then says so in its own words.
    const start = header === undefined ? 0n : header.revision + 1n;
    this.bookmark = new Bookmark(start, start > 0n && this.create.progressNotify ? "early" : "exactly");
  }

  private async attachForEver(scope: CallScope): Promise<void> {
    let effort = new Effort(this.calls.wiring, streamMethods.watch, this.options, scope);
    for (;;) {
      const endpoint = await effort.choose();
      try {
        const healthy = effort;
        const onAnswer = (response: rpc.WatchResponse): void => {
          healthy.succeeded(endpoint, response);
          effort = new Effort(this.calls.wiring, streamMethods.watch, this.options, scope);
        };
        if ((await this.attach(effort, endpoint, onAnswer)) === "over") return;
      } catch (error) {
        this.disconnected();
        await effort.recover(endpoint, error);
        this.checkPatience(error);
      }
    }
  }

  /** One stream, from create to its end. */
  private async attach(
    effort: Effort,
    endpoint: Endpoint,
    onAnswer: (response: rpc.WatchResponse) => void,
  ): Promise<"over" | "again"> {
    const stream = await this.calls.duplex(streamMethods.watch, effort, endpoint);
    const bookmark = this.bookmark ?? new Bookmark(0n);
    const startRevision = bookmark.beginStream();
    stream.write({
      requestUnion: { $case: "createRequest", value: { ...this.create, startRevision, fragment: true } },
    });
    const watchdog = setTimeout(() => stream.cancel(), confirmMs);
    try {
      for await (const response of joinFragments(stream)) {
        clearTimeout(watchdog);
        onAnswer(response);
        if (bookmark.forgives(response)) return "again";
        if (response.canceled) return this.tokenRefusedBy(response) ? this.renewToken(effort) : this.over(response);
        this.accept(response, bookmark, stream);
        if (this.options.overflow !== "error") await this.inbox.room(effort.signal);
      }
    } finally {
      clearTimeout(watchdog);
      this.stream = undefined;
      stream.cancel();
    }
    throw new TransportError("the server ended the watch stream", { grpcStatus: Code.UNAVAILABLE, sent: true });
  }

  /** Passes on what is new. */
  private accept(response: rpc.WatchResponse, bookmark: Bookmark, stream: WatchDuplex): void {
    if (response.created) return this.onCreated(response, bookmark, stream);
    const fresh = bookmark.pass(response);
    if (response.events.length === 0) this.onProgress(response.header?.revision ?? 0n);
    if (bookmark.caughtUpWith(response)) this.state = "live";
    if (fresh === undefined) return;
    if (this.inbox.full && this.options.overflow === "error") throw bookmark.slowConsumer(fresh);
    this.inbox.push(fresh, fresh.events.length);
  }

  private onCreated(response: rpc.WatchResponse, bookmark: Bookmark, stream: WatchDuplex): void {
    const revision = response.header?.revision ?? 0n;
    bookmark.created(revision);
    this.stream = stream;
    this.tokenRefused = false;
    this.state = bookmark.resume > revision ? "live" : "catching-up";
    if (!this.confirmed) {
      this.confirmed = true;
      this.settleStarted.resolve(bookmark.resume);
      this.inbox.push(response, 0);
    }
    if (this.progressWanted) this.sendProgressRequest();
  }

  private over(response: rpc.WatchResponse): "over" {
    this.state = "closed";
    this.inbox.push(response, 0);
    return "over";
  }

  private tokenRefusedBy(response: rpc.WatchResponse): boolean {
    return refusedForToken(response) && this.calls.wiring.credentials.canRefresh && !this.tokenRefused;
  }

  /** Once; a second refusal in a row is the answer. */
  private renewToken(effort: Effort): "again" {
    this.tokenRefused = true;
    effort.dropToken();
    return "again";
  }

  private onProgress(revision: bigint): void {
    this.progressWanted = false;
    for (const waiter of this.progressWaiters) waiter(revision);
  }

  private disconnected(): void {
    if (this.state !== "disconnected" && this.state !== "starting") {
      this.state = "disconnected";
      this.disconnectedAtMs = this.nowMs();
    }
  }

  /** Throws the last failure when the outage has lasted longer than the caller wants to bear. */
  private checkPatience(error: unknown): void {
    const limit = this.confirmed
      ? this.options.maxDisconnectedMs
      : (this.options.timeoutMs ?? this.options.maxDisconnectedMs);
    if (limit === undefined || this.nowMs() - this.disconnectedAtMs < limit) return;
    throw new EtcdError(`no server could serve the watch for ${limit} ms`, {
      code: "TimedOut",
      grpcStatus: Code.DEADLINE_EXCEEDED,
      outcome: "not-applied",
      retryable: true,
      cause: error,
    });
  }

  private onTimer(): void {
    if (this.state === "catching-up" || this.progressWanted || this.options.askProgress === true) {
      this.sendProgressRequest();
    }
  }

  private sendProgressRequest(): void {
    if (this.state === "disconnected") return;
    this.stream?.write({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  private nowMs(): number {
    return this.calls.wiring.settings.clock.now();
  }
}

const noSettler = { resolve: (): void => {}, reject: (): void => {} };

/** Passes over a refusal by the server; anything else means that there is no server to speak of. */
function serverRefusal(error: unknown): undefined {
  if (isEtcdError(error) && error.serverMessage !== "" && !error.retryable) return undefined;
  throw error;
}

/**
 * Where the store is compacted, learned from a watch that starts before it; 0n if that does not tell. Reads that are
 * refused for compaction do not say it themselves.
 */
export async function compactRevisionAt(
  calls: Calls,
  request: Pick<rpc.RangeRequest, "key" | "rangeEnd" | "revision">,
  options: CallOptions,
): Promise<bigint> {
  const { key, rangeEnd, revision: startRevision } = request;
  const create = rpc.WatchCreateRequest.fromPartial({ key, rangeEnd, startRevision });
  const session = new WatchSession(calls, create, { ...options, maxDisconnectedMs: confirmMs });
  const timer = setTimeout(() => session.inbox.end(), confirmMs);
  try {
    for await (const response of session.inbox) {
      if (response.canceled) return response.compactRevision;
      if (!response.created) return 0n;
    }
    return 0n;
  } catch (error) {
    if (isEtcdError(error)) return 0n;
    throw error;
  } finally {
    clearTimeout(timer);
    await session.close();
  }
}

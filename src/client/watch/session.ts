/**
 * One watcher that survives its streams. It resumes after the last event it passed on, drops what it has passed on
 * before, and turns "now" into a revision before it starts, so that nothing is lost, repeated or split.
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import { onAbort } from "../calls/abort.js";
import type { Calls } from "../calls/call.js";
import { EtcdError, isEtcdError, type SlowConsumerError } from "../errors.js";
import { Outage } from "../observe/outage.js";
import type { CallOptions } from "../options.js";
import type { Carrier } from "./carrier.js";
import { Patience } from "./patience.js";
import { poolOf, type WatchPool } from "./pool.js";
import { ProgressDesk } from "./progress-desk.js";
import { cancellation, refusedForToken } from "./refusal.js";
import type { ReadRange, Rider, StreamOptions } from "./rider.js";
import type { WatchState } from "./types.js";
import { WatchInbox } from "./watch-inbox.js";
import { Bookmark, broadcastId, type Coverage, progressMessage } from "./watch-order.js";

export interface SessionOptions extends CallOptions {
  readonly maxDisconnectedMs?: number | undefined;
  /** Events held before the reader must catch up. */
  readonly highWaterMark?: number | undefined;
  readonly overflow?: "pause" | "error" | undefined;
  /** Ask the server now and then how far the watch has come, and pass on what it says. */
  readonly askProgress?: boolean | undefined;
  /** "own": a stream for this watcher alone, with the ids that the server gives, as etcd's own tools have it. */
  readonly stream?: "shared" | "own" | undefined;
  /**
   * "everything": the first `created`, answers about progress, and `canceled` as the last message. "news": events, and
   * progress if that is asked for; a cancellation is an error.
   */
  readonly deliver: "everything" | "news";
}

const highWaterMarkDefault = 4_096;
const inboxBytesMax = 4 * 1024 * 1024;

export class WatchSession implements Rider {
  /** What the server said, made whole. */
  readonly inbox: WatchInbox;
  /** Resolves with the first revision the watch covers once a server confirmed it. */
  readonly started: Promise<bigint>;
  state: WatchState = "starting";
  private readonly calls: Calls;
  private readonly pool: WatchPool;
  /** As the wire has it, outside of every namespace. */
  private readonly create: rpc.WatchCreateRequest;
  private readonly options: SessionOptions;
  private readonly streamOptions: StreamOptions;
  private readonly patience = new Patience((error) => this.finish(error));
  private readonly desk = new ProgressDesk();
  private readonly outage = new Outage();
  private readonly closer = new AbortController();
  private readonly running: Promise<void>;
  private readonly unlisten: (() => void)[] = [];
  private bookmark: Bookmark | undefined;
  /** The first revision that a reader was too slow for. */
  private droppedRevision: bigint | undefined;
  private carrier: Carrier | undefined;
  private stream: "shared" | "own";
  private confirmedOnce = false;
  private tokenRefused = false;
  private answering: Promise<void> | undefined;
  private settleStarted: { resolve(revision: bigint): void; reject(error: unknown): void } = noSettler;

  constructor(calls: Calls, create: rpc.WatchCreateRequest, options: SessionOptions) {
    this.calls = calls;
    this.pool = poolOf(calls);
    this.create = calls.watchOutwards(create);
    this.options = options;
    this.streamOptions = streamOptionsOf(options);
    this.stream = options.stream ?? "shared";
    this.inbox = new WatchInbox({ eventsMax: options.highWaterMark ?? highWaterMarkDefault, bytesMax: inboxBytesMax });
    this.started = new Promise((resolve, reject) => {
      this.settleStarted = { resolve, reject };
    });
    // Whoever reads the inbox learns of a failure too; `started` is for those who ask.
    this.started.catch(() => {});
    this.patience.begin(options.timeoutMs ?? options.maxDisconnectedMs);
    const { signal } = options;
    if (signal !== undefined) this.endWith(signal, () => this.finish(aborted(signal.reason)));
    this.endWith(calls.wiring.closing, () => this.finish(undefined));
    this.running = this.start();
  }

  /** The first revision the watch covers; 0n until "now" is known. */
  get firstRevision(): bigint {
    return this.bookmark?.first ?? this.create.startRevision;
  }

  /** Where a new watch would go on with what the reader has not been given. */
  get unreadRevision(): bigint {
    return this.inbox.oldestRevision ?? this.droppedRevision ?? this.bookmark?.resume ?? this.create.startRevision;
  }

  get range(): ReadRange {
    return this.create;
  }

  get wantsProgress(): boolean {
    return this.isCatchingUp || this.desk.isWaitedAt || this.options.askProgress === true;
  }

  get isCatchingUp(): boolean {
    return this.state === "catching-up";
  }

  get serverMayBeSilent(): boolean {
    return this.bookmark?.serverMayBeSilent === true;
  }

  /** Asks for a progress message; while disconnected, as soon as a server is back. */
  requestProgress(): void {
    this.desk.ask();
    // On a stream of its own nobody else keeps the server from answering.
    if (this.stream === "shared" && this.carrier?.delaysProgressOf(this) === true) this.isolate();
    else this.carrier?.requestProgress();
    if (this.serverMayBeSilent) this.answering ??= this.answerByRead();
  }

  /** The next progress revision; undefined if none came in time or the session ended. */
  progress(withinMs: number): Promise<bigint | undefined> {
    return this.desk.next(withinMs);
  }

  async close(): Promise<void> {
    this.finish(undefined);
    await this.running;
    await this.answering;
  }

  begin(): rpc.WatchCreateRequest {
    const startRevision = this.bookmark?.beginStream() ?? this.create.startRevision;
    return { ...this.create, startRevision };
  }

  confirmed(response: rpc.WatchResponse): void {
    const { bookmark } = this;
    if (bookmark === undefined) return;
    const revision = response.header?.revision ?? 0n;
    bookmark.created(revision);
    this.patience.end();
    this.outage.end(bookmark.resume);
    this.tokenRefused = false;
    this.state = bookmark.resume > revision ? "live" : "catching-up";
    if (!this.confirmedOnce) {
      this.confirmedOnce = true;
      this.settleStarted.resolve(bookmark.first);
      if (this.options.deliver === "everything") this.inbox.push(response);
    }
    // One that waits for the future would keep the others of its stream from learning how far they have come.
    if (this.startsInFuture(revision)) this.isolate();
    else if (this.desk.isWaitedAt) this.carrier?.requestProgress();
  }

  receive(response: rpc.WatchResponse, coverage: Coverage): void {
    const { bookmark, inbox } = this;
    if (bookmark === undefined) return;
    const fresh = bookmark.pass(response, coverage);
    if (response.events.length === 0) return this.onProgress(response, coverage);
    if (this.state !== "live" && bookmark.caughtUpWith(response)) this.state = "live";
    if (fresh === undefined) return;
    if (inbox.full && this.options.overflow === "error") return this.drop(bookmark.slowConsumer(fresh));
    // A reader that has not made room since the last message is too slow for company.
    if (inbox.full) this.isolate();
    this.calls.watchInwards(fresh);
    inbox.push(fresh);
  }

  canceled(response: rpc.WatchResponse): void {
    const { carrier } = this;
    this.carrier = undefined;
    if (this.bookmark?.forgives(response) === true) return this.place();
    // Once; a second refusal in a row is the answer.
    if (refusedForToken(response) && this.calls.wiring.credentials.canRefresh && !this.tokenRefused) {
      this.tokenRefused = true;
      carrier?.dropToken();
      return this.place();
    }
    const resume = this.bookmark?.resume ?? this.create.startRevision;
    const error = cancellation(response, resume, carrier?.endpoint);
    if (this.options.deliver === "news") return this.finish(error);
    this.inbox.push(response);
    this.finish(undefined, error);
  }

  detached(cause: unknown): void {
    if (this.state === "closed") return;
    if (this.state !== "stale") this.state = this.confirmedOnce ? "disconnected" : "starting";
    this.patience.failed(cause, this.carrier?.endpoint);
    if (!this.confirmedOnce) return;
    this.outage.begin();
    this.patience.begin(this.options.maxDisconnectedMs);
  }

  stale(): void {
    this.state = "stale";
  }

  failed(error: unknown): void {
    this.carrier = undefined;
    this.finish(error);
  }

  room(): Promise<void> | undefined {
    return this.inbox.full && this.options.overflow !== "error" ? this.inbox.room() : undefined;
  }

  heardOf(revision: bigint): void {
    this.bookmark?.heardOf(revision);
  }

  /** One that has ended already listens to nothing any more. */
  private endWith(signal: AbortSignal, end: () => void): void {
    if (this.state !== "closed") this.unlisten.push(onAbort(signal, end));
  }

  private async start(): Promise<void> {
    try {
      this.bookmark = await this.firstBookmark();
      if (this.state !== "closed") this.place();
    } catch (error) {
      this.finish(error);
    }
  }

  /** "Now" as a revision: the first one after all that was committed when the watch was asked for. */
  private async firstBookmark(): Promise<Bookmark> {
    const { startRevision, progressNotify } = this.create;
    if (startRevision !== 0n) return new Bookmark(startRevision);
    for (;;) {
      try {
        const header = await this.pool.now(this.create, this.streamOptions, this.closer.signal);
        // A range that may not be read may not be watched either; the watch itself then says so in its own words.
        if (header === undefined) return new Bookmark(0n);
        return new Bookmark(header.revision + 1n, progressNotify ? "early" : "exactly");
      } catch (error) {
        // However long it takes: it is `patience` that ends it.
        if (!isEtcdError(error) || !error.retryable || this.closer.signal.aborted) throw error;
        this.patience.failed(error.cause ?? error, error.endpoint);
      }
    }
  }

  private place(): void {
    this.carrier = this.pool.place(this, this.stream, this.streamOptions);
  }

  /** From here on it shares its stream with nobody. */
  private isolate(): void {
    if (this.stream === "own" || this.state === "closed") return;
    this.stream = "own";
    if (this.carrier?.reserve(this) === true) return;
    this.carrier?.leave(this);
    this.state = "catching-up";
    this.place();
  }

  private drop(error: SlowConsumerError): void {
    this.droppedRevision = error.resumeRevision;
    this.finish(error);
  }

  private startsInFuture(revision: bigint): boolean {
    const { startRevision } = this.create;
    return startRevision > revision + 1n && this.bookmark?.resume === startRevision;
  }

  private onProgress(response: rpc.WatchResponse, coverage: Coverage): void {
    if (coverage === "unclear") return;
    this.state = "live";
    const { deliver, askProgress } = this.options;
    const asked = this.desk.answer(response.header?.revision ?? 0n);
    const wanted = askProgress === true || (deliver === "everything" && (asked || response.watchId !== broadcastId));
    if (!wanted) return;
    if (deliver === "everything") this.inbox.push(response);
    else this.inbox.pushProgress(response);
  }

  /**
   * A server says nothing while its store has not reached the start of the watch; a read tells as much. If the read
   * fails or the watch is closed under it, there is no answer: the watch's own stream reports what is wrong.
   */
  private async answerByRead(): Promise<void> {
    const header = await this.pool.now(this.create, this.streamOptions, this.closer.signal).catch(() => undefined);
    this.answering = undefined;
    if (header === undefined || this.bookmark === undefined || header.revision >= this.bookmark.resume) return;
    this.onProgress(progressMessage(header), "covered");
  }

  /** Ends the inbox, with an error unless the watch was closed or told the reader why it ends. */
  private finish(failure: unknown, reason: unknown = failure ?? new Error("the watch has ended")): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.patience.end();
    for (const each of this.unlisten.splice(0)) each();
    this.closer.abort();
    this.carrier?.leave(this);
    this.carrier = undefined;
    this.settleStarted.reject(reason);
    this.desk.close();
    if (failure === undefined) this.inbox.end();
    else this.inbox.fail(failure);
  }
}

const noSettler = { resolve: (): void => {}, reject: (): void => {} };

function streamOptionsOf({ target, requireLeader, metadata }: CallOptions): StreamOptions {
  return {
    ...(target === undefined ? {} : { target }),
    ...(requireLeader === undefined ? {} : { requireLeader }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

function aborted(cause: unknown): EtcdError {
  return new EtcdError("Watch: given up", {
    code: "Aborted",
    grpcStatus: Code.CANCELLED,
    outcome: "not-applied",
    cause,
  });
}

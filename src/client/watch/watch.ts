/** Watches with typed events, over a session that survives its streams. */

import type * as wire from "../../../proto/gen/etcd/kv.js";
import { Event_EventType } from "../../../proto/gen/etcd/kv.js";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { CallScope } from "../calls/scope.js";
import { CompactedError, EtcdError, statusName } from "../errors.js";
import { utf8 } from "../kv/codec.js";
import { keyValueOf, ownBytes, revisionOf } from "../kv/convert.js";
import { wireRange } from "../kv/range.js";
import type { Codec, KeyRange } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import type { Watch, WatchBatch, WatchEvent, WatchOptions, WatchState } from "./types.js";
import { broadcastId, cancelText } from "./watch-order.js";
import { WatchSession } from "./watch-stream.js";

/** How often an answer to a progress request is waited for before asking again. */
const askAgainMs = 500;

/** The watch runs from now on, whether or not anyone reads it. */
export function startWatch<V>(
  view: { readonly calls: Calls; readonly codec: Codec<V> },
  range: KeyRange,
  options: WatchOptions,
): Watch<V> {
  const { NOPUT, NODELETE } = rpc.WatchCreateRequest_FilterType;
  const filters = { put: [NODELETE], delete: [NOPUT] };
  const create = rpc.WatchCreateRequest.fromPartial({
    ...wireRange(range),
    startRevision: revisionOf(options.from ?? 0n),
    progressNotify: options.progress ?? false,
    prevKv: options.previous ?? false,
    filters: options.only === undefined ? [] : filters[options.only],
  });
  const session = new WatchSession(view.calls, create, { ...options, askProgress: options.progress });
  return new TypedWatch(view, session, options);
}

class TypedWatch<V> implements Watch<V> {
  private readonly calls: Calls;
  private readonly codec: Codec<V>;
  private readonly session: WatchSession;
  private readonly wantsProgress: boolean;
  /** The next revision the reader has not been given. */
  private unread = 0n;
  private unverified: bigint | undefined;

  constructor(
    view: { readonly calls: Calls; readonly codec: Codec<V> },
    session: WatchSession,
    options: Pick<WatchOptions, "progress">,
  ) {
    this.calls = view.calls;
    this.codec = view.codec;
    this.session = session;
    this.wantsProgress = options.progress ?? false;
  }

  get started(): Promise<bigint> {
    return this.session.started;
  }

  get resumeRevision(): bigint {
    return this.unread === 0n ? this.session.firstRevision : this.unread;
  }

  get state(): WatchState {
    return this.session.state;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchBatch<V>> {
    for (;;) {
      const response = await this.session.inbox.take();
      if (response === undefined) return;
      if (response.canceled) throw this.cancellation(response);
      if (response.created) continue;
      const batch = this.batch(response);
      this.advance(response, batch);
      if (!batch.progress || this.wantsProgress) yield batch;
    }
  }

  async *events(): AsyncGenerator<WatchEvent<V>> {
    for await (const batch of this) yield* batch.events;
  }

  async requestProgress(options: CallOptions = {}): Promise<bigint> {
    const { settings, closing } = this.calls.wiring;
    const signals = options.signal === undefined ? { closing } : { closing, caller: options.signal };
    const patience = { timeoutMs: options.timeoutMs ?? settings.timeoutMs, endless: false };
    const scope = new CallScope(settings.clock, patience, signals);
    try {
      // A server that is still catching up drops the question, so it is asked again.
      while (scope.remainingMs() > 0 && !scope.signal.aborted && this.session.state !== "closed") {
        const answer = this.session.progress(askAgainMs);
        this.session.requestProgress();
        const revision = await answer;
        if (revision !== undefined) return revision;
      }
      throw progressFailure(scope);
    } finally {
      scope.dispose();
    }
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private batch(response: rpc.WatchResponse): WatchBatch<V> {
    const events = response.events.map((event) => this.event(event));
    const last = response.events.at(-1)?.kv?.modRevision;
    return { revision: last ?? response.header?.revision ?? 0n, events, progress: last === undefined };
  }

  /** As the session does for its streams: an answer to a progress request counts once the next one has come. */
  private advance({ watchId }: rpc.WatchResponse, { revision, progress }: WatchBatch<V>): void {
    const certain = progress && watchId === broadcastId ? this.unverified : revision;
    if (progress && watchId === broadcastId) this.unverified = revision;
    if (certain !== undefined && certain >= this.unread) this.unread = certain + 1n;
  }

  private event(event: wire.Event): WatchEvent<V> {
    const previous = event.prevKv === undefined ? {} : { previous: keyValueOf(event.prevKv, this.codec) };
    if (event.kv === undefined) throw new TypeError("the server sent an event without a key");
    if (event.type === Event_EventType.PUT) {
      const kv = keyValueOf(event.kv, this.codec);
      return { type: "put", kv, created: kv.createRevision === kv.modRevision, ...previous };
    }
    const keyBytes = ownBytes(event.kv.key);
    const { modRevision } = event.kv;
    return { type: "delete", key: utf8.decode(keyBytes), keyBytes, modRevision, ...previous };
  }

  private cancellation(response: rpc.WatchResponse): EtcdError {
    const { compactRevision } = response;
    const text = cancelText(response.cancelReason);
    if (compactRevision > 0n) {
      return new CompactedError({ compactRevision, resumeRevision: this.session.nextRevision }, {});
    }
    const name = statusName(text);
    return new EtcdError(`the watch was refused: ${text}`, {
      code: name ?? "Other",
      grpcStatus: name === undefined ? Code.CANCELLED : status[name].code,
      outcome: "not-applied",
      serverMessage: text,
    });
  }
}

function progressFailure(scope: CallScope): EtcdError {
  const aborted = scope.signal.aborted;
  const timedOut = !aborted && scope.remainingMs() === 0;
  return new EtcdError(timedOut ? `no progress within ${scope.timeoutMs} ms` : "the watch ended before it progressed", {
    code: aborted ? "Aborted" : timedOut ? "TimedOut" : "ClientClosed",
    grpcStatus: timedOut ? Code.DEADLINE_EXCEEDED : Code.CANCELLED,
    outcome: "not-applied",
    retryable: timedOut,
    cause: aborted ? scope.signal.reason : undefined,
  });
}

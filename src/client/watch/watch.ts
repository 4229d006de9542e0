/** Watches with typed events, over a session that survives its streams. */
import type * as wire from "../../../proto/gen/etcd/kv.js";
import { Event_EventType } from "../../../proto/gen/etcd/kv.js";
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Calls } from "../calls/call.js";
import { CallScope } from "../calls/scope.js";
import { EtcdError } from "../errors.js";
import { utf8 } from "../kv/codec.js";
import { keyValueOf, ownBytes, revisionOf } from "../kv/convert.js";
import { wireRange } from "../kv/range.js";
import type { Codec, KeyRange } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import { WatchSession } from "./session.js";
import type { Watch, WatchBatch, WatchEvent, WatchOptions, WatchState } from "./types.js";

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
  return new TypedWatch(
    view,
    new WatchSession(view.calls, create, { ...options, askProgress: options.progress, deliver: "news" }),
  );
}

class TypedWatch<V> implements Watch<V> {
  private readonly calls: Calls;
  private readonly codec: Codec<V>;
  private readonly session: WatchSession;

  constructor(view: { readonly calls: Calls; readonly codec: Codec<V> }, session: WatchSession) {
    this.calls = view.calls;
    this.codec = view.codec;
    this.session = session;
  }

  get started(): Promise<bigint> {
    return this.session.started;
  }

  get resumeRevision(): bigint {
    return this.session.unreadRevision;
  }

  get state(): WatchState {
    return this.session.state;
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchBatch<V>> {
    return new Reader(() => this.read(), this.session);
  }

  /** One batch is in a loop's hands at a time, so that another loop goes on with the next. */
  events(): AsyncIterable<WatchEvent<V>> {
    const iterator = (): AsyncIterator<WatchEvent<V>> => {
      let events: readonly WatchEvent<V>[] = [];
      let next = 0;
      const read = (): WatchEvent<V> | undefined => {
        while (next >= events.length) {
          const batch = this.read();
          if (batch === undefined) return undefined;
          events = batch.events;
          next = 0;
        }
        return events[next++];
      };
      return new Reader(read, this.session);
    };
    return { [Symbol.asyncIterator]: iterator };
  }

  async requestProgress(options: CallOptions = {}): Promise<bigint> {
    const { settings, closing } = this.calls.wiring;
    const signals = options.signal === undefined ? { closing } : { closing, caller: options.signal };
    const patience = { timeoutMs: options.timeoutMs ?? settings.timeoutMs, endless: false };
    const scope = new CallScope(settings.clock, patience, signals);
    try {
      // A server that is still catching up drops the question, so it is asked again.
      while (scope.remainingMs() > 0 && !scope.signal.aborted && this.session.state !== "closed") {
        const answer = this.session.progress(Math.min(askAgainMs, scope.remainingMs()));
        this.session.requestProgress();
        const revision = await scope.within(answer);
        if (revision !== undefined) return revision;
      }
      throw progressFailure(scope, closing.aborted || !scope.signal.aborted);
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

  /** The next batch if it has arrived. */
  private read(): WatchBatch<V> | undefined {
    const response = this.session.inbox.peek();
    if (response === undefined) return undefined;
    // What cannot be turned into a batch stays unread.
    const batch = this.batch(response);
    this.session.inbox.shift();
    return batch;
  }

  private batch(response: rpc.WatchResponse): WatchBatch<V> {
    const { events, header } = response;
    const last = events.at(-1)?.kv?.modRevision;
    return {
      revision: last ?? header?.revision ?? 0n,
      events: events.map((event) => this.event(event)),
      progress: last === undefined,
    };
  }

  private event(event: wire.Event): WatchEvent<V> {
    const { kv: wireKv, prevKv } = event;
    if (wireKv === undefined) throw new TypeError("the server sent an event without a key");
    if (event.type === Event_EventType.PUT) {
      const kv = keyValueOf(wireKv, this.codec);
      const created = wireKv.createRevision === wireKv.modRevision;
      if (prevKv === undefined) return { type: "put", kv, created };
      return { type: "put", kv, created, previous: keyValueOf(prevKv, this.codec) };
    }
    const keyBytes = ownBytes(wireKv.key);
    const gone = { type: "delete", key: utf8.decode(keyBytes), keyBytes, modRevision: wireKv.modRevision } as const;
    return prevKv === undefined ? gone : { ...gone, previous: keyValueOf(prevKv, this.codec) };
  }
}

/**
 * Iterates over what `read` finds in the session's inbox. Written out instead of a generator: what has arrived is then
 * given without waiting a turn, which a generator does twice for each item.
 */
class Reader<T> implements AsyncIterator<T> {
  private readonly read: () => T | undefined;
  private readonly session: WatchSession;
  private left = false;

  constructor(read: () => T | undefined, session: WatchSession) {
    this.read = read;
    this.session = session;
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      if (this.left) return { value: undefined, done: true };
      const value = this.read();
      if (value !== undefined) return { value, done: false };
      if (!(await this.session.inbox.ready(() => this.left))) return { value: undefined, done: true };
    }
  }

  /** Breaking out of a loop leaves the watch open. */
  return(): Promise<IteratorResult<T>> {
    this.left = true;
    this.session.inbox.wakeReaders();
    return Promise.resolve({ value: undefined, done: true });
  }
}

/** `ended`: by the watch's own end or the client's, if time did not run out, and not by the caller. */
function progressFailure(scope: CallScope, ended: boolean): EtcdError {
  const timedOut = !scope.signal.aborted && scope.remainingMs() === 0;
  return new EtcdError(timedOut ? `no progress within ${scope.timeoutMs} ms` : "the watch ended before it progressed", {
    code: timedOut ? "TimedOut" : ended ? "ClientClosed" : "Aborted",
    grpcStatus: timedOut ? Code.DEADLINE_EXCEEDED : Code.CANCELLED,
    outcome: "not-applied",
    retryable: timedOut,
    cause: ended ? undefined : scope.signal.reason,
  });
}

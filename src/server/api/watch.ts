/** The Watch service: requests in, messages of one hub stream out, in order (spec/server.md 4). */
import { Event } from "../../../proto/gen/etcd/kv.js";
import {
  type WatchCreateRequest,
  WatchCreateRequest_FilterType,
  type WatchRequest,
  WatchResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { Code, status, WireError, watchCancelReason } from "../../../proto/status.js";
import type { Replica } from "../replica/types.js";
import { intervalOf } from "../watch/ranges.js";
import { everyWatcher, type Refusal, type WatchMessage } from "../watch/stream.js";
import type { WatchOptions } from "../watch/watcher.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt } from "./header.js";
import type { CallContext, WatchHandlers } from "./types.js";
import { WatchFeed } from "./watch-feed.js";

/** What a message may exceed the request limit by before it is cut: as much as gRPC lets a request. */
const fragmentSlackBytes = 512 * 1024;

export function createWatch(deps: GuardedDependencies): WatchHandlers {
  return { watch: (requests, context) => watch(deps, requests, context) };
}

async function* watch(
  deps: GuardedDependencies,
  requests: AsyncIterable<WatchRequest>,
  context: CallContext,
): AsyncGenerator<WatchResponse> {
  const { hub, clock, replica } = deps;
  const feed = new WatchFeed({ hub, clock, signal: context.signal, onAbort: status.WatchCanceled });
  // Ends with its requests, which end with the call; a failure comes out of the messages.
  void readRequests(requests, feed, (request) => assertReadable(deps, request, context));
  const fragmentBytes = deps.limits.requestBytesMax + fragmentSlackBytes;
  try {
    for await (const message of feed.messages()) {
      const response = responseOf(replica, message);
      if (message.kind === "events" && message.fragment) yield* fragments(response, message.sizeBytes, fragmentBytes);
      else yield response;
    }
  } finally {
    feed.close();
  }
}

/** The client's end may close early: the watchers live on (spec 4). */
async function readRequests(requests: AsyncIterable<WatchRequest>, feed: WatchFeed, assert: Assert): Promise<void> {
  try {
    for await (const { requestUnion } of requests) {
      await feed.room();
      await obey(feed, requestUnion, assert);
    }
  } catch (error) {
    feed.fail(error);
  }
}

async function obey({ stream }: WatchFeed, request: WatchRequest["requestUnion"], assert: Assert): Promise<void> {
  switch (request?.$case) {
    case "createRequest": {
      const denial = await denialOf(assert(request.value));
      return denial === undefined ? stream.create(optionsOf(request.value)) : stream.deny(denial);
    }
    case "cancelRequest":
      return stream.cancel(request.value.watchId);
    case "progressRequest":
      return stream.requestProgress();
    case undefined:
      return;
  }
}

/** Rejects unless the caller may read what is to be watched. */
type Assert = (request: WatchCreateRequest) => Promise<void>;

/** What is checked is the range as it was asked for; a range made ready for watching has lost the difference of its ends. */
async function assertReadable(
  { replica, guard }: GuardedDependencies,
  request: WatchCreateRequest,
  context: CallContext,
): Promise<void> {
  const caller = await guard.caller(context);
  replica.state.assertAllowed({ caller, right: "read" }, { key: keyOf(request), rangeEnd: request.rangeEnd });
}

/** Codes of denials, as Go names them. */
const goCodeNames = new Map<Code, string>([
  [Code.PERMISSION_DENIED, "PermissionDenied"],
  [Code.UNAUTHENTICATED, "Unauthenticated"],
  [Code.INVALID_ARGUMENT, "InvalidArgument"],
]);

/** Go's text of the error if the check denies the watch, undefined if it does not. Rejects with any other error. */
async function denialOf(check: Promise<void>): Promise<string | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    const name = error instanceof WireError ? goCodeNames.get(error.code) : undefined;
    if (!(error instanceof WireError) || name === undefined) throw error;
    return `rpc error: code = ${name} desc = ${error.message}`;
  }
}

/** An empty key stands for the smallest one. */
function keyOf({ key }: WatchCreateRequest): Uint8Array {
  return key.length === 0 ? Uint8Array.of(0) : key;
}

function optionsOf(request: WatchCreateRequest): WatchOptions {
  const { filters, prevKv, progressNotify, fragment, watchId, startRevision, rangeEnd } = request;
  const key = keyOf(request);
  return {
    interval: intervalOf(key, rangeEnd),
    startRevision: safeRevision(startRevision),
    watchId,
    puts: !filters.includes(WatchCreateRequest_FilterType.NOPUT),
    deletes: !filters.includes(WatchCreateRequest_FilterType.NODELETE),
    previousKv: prevKv,
    progressNotify,
    fragment,
  };
}

/** A revision that no store can reach stays one that no store can reach. */
function safeRevision(revision: bigint): number {
  return revision > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(revision);
}

const refusalReason: Readonly<Record<Refusal, string>> = {
  emptyRange: watchCancelReason.emptyRange,
  duplicateId: watchCancelReason.duplicateId,
  compacted: watchCancelReason.compacted,
};

function responseOf(replica: Replica, message: WatchMessage): WatchResponse {
  switch (message.kind) {
    case "created":
      return { ...blank(replica, message), created: true };
    case "refused":
      return refused(replica, message.revision, refusalReason[message.reason]);
    case "denied":
      return refused(replica, message.revision, message.reason);
    case "canceled":
      return { ...blank(replica, message), canceled: true };
    case "compacted": {
      const head = { watchId: message.watchId, revision: 0 };
      return { ...blank(replica, head), canceled: true, compactRevision: BigInt(message.compactRevision) };
    }
    case "progress":
      return blank(replica, message);
    case "events":
      return { ...blank(replica, message), events: message.events };
  }
}

function refused(replica: Replica, revision: number, cancelReason: string): WatchResponse {
  return { ...blank(replica, { watchId: everyWatcher, revision }), created: true, canceled: true, cancelReason };
}

function blank(replica: Replica, head: { readonly watchId: bigint; readonly revision: number }): WatchResponse {
  return {
    header: headerAt(replica, head.revision),
    watchId: head.watchId,
    created: false,
    canceled: false,
    compactRevision: 0n,
    cancelReason: "",
    fragment: false,
    events: [],
  };
}

/** Cuts a message that is at least `bytesMax` into pieces below it, between events; one event is never cut. */
function* fragments(response: WatchResponse, sizeBytes: number, bytesMax: number): Generator<WatchResponse> {
  if (sizeBytes < bytesMax / 2 || response.events.length < 2) {
    yield response;
    return;
  }
  const emptyBytes = WatchResponse.encode({ ...response, events: [], fragment: true }).finish().length;
  let piece: Event[] = [];
  let bytes = emptyBytes;
  for (const event of response.events) {
    const eventBytes = encodedBytes(event);
    if (piece.length > 0 && bytes + eventBytes >= bytesMax) {
      yield { ...response, events: piece, fragment: true };
      piece = [];
      bytes = emptyBytes;
    }
    piece.push(event);
    bytes += eventBytes;
  }
  yield { ...response, events: piece, fragment: false };
}

/** With its field number and its length, which takes five bytes at most. */
function encodedBytes(event: Event): number {
  return Event.encode(event).finish().length + 6;
}

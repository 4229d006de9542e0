/** The Watch service: requests in, messages of one hub stream out, in order (spec/server.md 4). */
import { Event } from "../../../proto/gen/etcd/kv.js";
import {
  type WatchCreateRequest,
  WatchCreateRequest_FilterType,
  type WatchRequest,
  WatchResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { status, watchCancelReason } from "../../../proto/status.js";
import type { Replica } from "../replica/types.js";
import { intervalOf } from "../watch/ranges.js";
import { everyWatcher, type Refusal, type WatchMessage } from "../watch/stream.js";
import type { WatchOptions } from "../watch/watcher.js";
import type { ApiDependencies } from "./dependencies.js";
import { headerAt } from "./header.js";
import type { CallContext, WatchHandlers } from "./types.js";
import { WatchFeed } from "./watch-feed.js";

/** What a message may exceed the request limit by before it is cut: as much as gRPC lets a request. */
const fragmentSlackBytes = 512 * 1024;

export function createWatch(deps: ApiDependencies): WatchHandlers {
  return { watch: (requests, context) => watch(deps, requests, context) };
}

async function* watch(
  deps: ApiDependencies,
  requests: AsyncIterable<WatchRequest>,
  context: CallContext,
): AsyncGenerator<WatchResponse> {
  const { hub, clock, replica } = deps;
  const feed = new WatchFeed({ hub, clock, signal: context.signal, onAbort: status.WatchCanceled });
  // Ends with its requests, which end with the call; a failure comes out of the messages.
  void readRequests(requests, feed);
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
async function readRequests(requests: AsyncIterable<WatchRequest>, feed: WatchFeed): Promise<void> {
  try {
    for await (const { requestUnion } of requests) {
      await feed.room();
      obey(feed, requestUnion);
    }
  } catch (error) {
    feed.fail(error);
  }
}

function obey({ stream }: WatchFeed, request: WatchRequest["requestUnion"]): void {
  switch (request?.$case) {
    case "createRequest":
      return stream.create(optionsOf(request.value));
    case "cancelRequest":
      return stream.cancel(request.value.watchId);
    case "progressRequest":
      return stream.requestProgress();
    case undefined:
      return;
  }
}

function optionsOf(request: WatchCreateRequest): WatchOptions {
  const { filters, prevKv, progressNotify, fragment, watchId, startRevision, rangeEnd } = request;
  const key = request.key.length === 0 ? Uint8Array.of(0) : request.key;
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
    case "refused": {
      const head = { watchId: everyWatcher, revision: message.revision };
      return { ...blank(replica, head), created: true, canceled: true, cancelReason: refusalReason[message.reason] };
    }
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

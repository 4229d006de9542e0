/**
 * Keys under one prefix as a queue, oldest creation first: what locks and elections are made of. Runs inside the
 * server on the handlers of KV, Lease and Watch, with the rights and the limits of the caller (spec/server.md 9).
 */
import { type Event, Event_EventType, type KeyValue } from "../../../proto/gen/etcd/kv.js";
import {
  Compare,
  Compare_CompareTarget,
  RangeRequest,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RangeResponse,
  type RequestOp,
  type ResponseHeader,
  type TxnResponse,
} from "../../../proto/gen/etcd/rpc.js";
import { Code, status, WireError } from "../../../proto/status.js";
import { invariant } from "../invariant.js";
import { intervalOf, prefixEnd } from "../watch/ranges.js";
import { abortError } from "./abort.js";
import type { GuardedDependencies } from "./dependencies.js";
import type { CallContext, KvHandlers, LeaseHandlers } from "./types.js";
import { WatchFeed } from "./watch-feed.js";

/** What the layered services are built on. */
export interface LayerDependencies extends Pick<GuardedDependencies, "hub" | "clock" | "guard" | "replica"> {
  readonly kv: KvHandlers;
  readonly lease: LeaseHandlers;
}

/** Time to live, in seconds, of the lease that is granted to a caller who brings none. Nobody keeps it alive. */
const ownLeaseSeconds = 60n;

/** The caller's lease, or a new one. */
export async function leaseFor(deps: LayerDependencies, lease: bigint, context: CallContext): Promise<bigint> {
  if (lease !== 0n) return lease;
  return (await deps.lease.leaseGrant({ ID: 0n, TTL: ownLeaseSeconds }, context)).ID;
}

/** The prefix of a queue: its name and a slash. */
export function queuePrefix(name: Uint8Array): Uint8Array {
  return Buffer.concat([name, Buffer.from("/")]);
}

/** The place of a lease in a queue: one each, lowercase hex. */
export function placeKey(name: Uint8Array, lease: bigint): Uint8Array {
  return Buffer.concat([queuePrefix(name), Buffer.from(lease.toString(16))]);
}

export interface Place {
  readonly key: Uint8Array;
  readonly createRevision: bigint;
  readonly header: ResponseHeader;
  /** The pair that was there already; undefined if this call put it. */
  readonly found: KeyValue | undefined;
}

/** Puts the key with its lease unless it is there already. */
export async function takePlace(
  { kv }: LayerDependencies,
  put: { readonly key: Uint8Array; readonly lease: bigint; readonly value: Uint8Array },
  context: CallContext,
): Promise<Place> {
  const response = await kv.txn(
    {
      compare: [createRevisionIs(put.key, 0n)],
      success: [{ request: { $case: "requestPut", value: { ...plainPut, ...put } } }],
      failure: [{ request: { $case: "requestRange", value: RangeRequest.create({ key: put.key }) } }],
    },
    context,
  );
  const header = headerOf(response);
  const found = rangeOf(response)?.kvs[0];
  return { key: put.key, createRevision: found?.createRevision ?? header.revision, header, found };
}

export const plainPut = { prevKv: false, ignoreValue: false, ignoreLease: false };

/** Holds while the key is the very one that was created at this revision. */
export function createRevisionIs(key: Uint8Array, createRevision: bigint): Compare {
  return Compare.create({
    key,
    target: Compare_CompareTarget.CREATE,
    targetUnion: { $case: "createRevision", value: createRevision },
  });
}

/** Runs operations if a place is still the one that was taken. */
export async function whileHeld(
  { kv }: LayerDependencies,
  place: { readonly key: Uint8Array; readonly createRevision: bigint },
  op: RequestOp,
  context: CallContext,
): Promise<{ readonly held: boolean; readonly header: ResponseHeader }> {
  const compare = [createRevisionIs(place.key, place.createRevision)];
  const response = await kv.txn({ compare, success: [op], failure: [] }, context);
  return { held: response.succeeded, header: headerOf(response) };
}

/** The oldest pair under a prefix, or undefined. */
export async function oldest(
  { kv }: LayerDependencies,
  prefix: Uint8Array,
  context: CallContext,
): Promise<{ readonly kv: KeyValue | undefined; readonly header: ResponseHeader }> {
  const response = await kv.range(byCreation(prefix, RangeRequest_SortOrder.ASCEND), context);
  return { kv: response.kvs[0], header: headerOf(response) };
}

/** Resolves when every pair under the prefix that was created before the place is gone. */
export async function waitForTurn(
  deps: LayerDependencies,
  prefix: Uint8Array,
  place: Place,
  context: CallContext,
): Promise<void> {
  for (;;) {
    const maxCreateRevision = place.createRevision - 1n;
    // Nothing was created before revision 2, and a bound of 0 would mean none.
    if (maxCreateRevision < 1n) return;
    const request = { ...byCreation(prefix, RangeRequest_SortOrder.DESCEND), maxCreateRevision };
    const response = await deps.kv.range(request, context);
    const before = response.kvs[0];
    if (before === undefined) return;
    await untilDeleted(deps, before.key, headerOf(response).revision, context);
  }
}

/** Deletes the place for a caller that gave up; runs to its end although the caller is gone. */
export async function leave(deps: LayerDependencies, place: Place, context: CallContext): Promise<void> {
  const request = { key: place.key, rangeEnd: new Uint8Array(), prevKv: false };
  await deps.kv.deleteRange(request, { ...context, signal: new AbortController().signal });
}

export interface Followed {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly startRevision: bigint;
}

/** Events from a revision on. Ends when they are compacted away before they could be read: look again, then. */
export async function* follow(
  { hub, clock, guard, replica }: LayerDependencies,
  followed: Followed,
  context: CallContext,
): AsyncGenerator<Event> {
  const { signal } = context;
  replica.state.assertAllowed({ caller: await guard.caller(context), right: "read" }, followed);
  const feed = new WatchFeed({ hub, clock, signal, onAbort: status.Canceled });
  try {
    feed.stream.create({
      interval: intervalOf(followed.key, followed.rangeEnd),
      startRevision: Number(followed.startRevision),
      watchId: 0n,
      puts: true,
      deletes: true,
      previousKv: false,
      progressNotify: false,
      fragment: false,
    });
    for await (const message of feed.messages()) {
      if (message.kind === "events") yield* message.events;
      if (message.kind === "compacted") return;
    }
  } finally {
    feed.close();
  }
}

/** Runs a layered call: whatever fails inside travels as UNKNOWN with the inner text (spec 9). */
export async function layered<T>(context: CallContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw layeredError(error, context);
  }
}

export function layeredError(error: unknown, { signal }: CallContext): unknown {
  if (signal.aborted) return abortError(signal, status.Canceled);
  return error instanceof WireError
    ? new WireError({ code: Code.UNKNOWN, message: error.message }, { cause: error })
    : error;
}

async function untilDeleted(
  deps: LayerDependencies,
  key: Uint8Array,
  revision: bigint,
  context: CallContext,
): Promise<void> {
  const followed = { key, rangeEnd: new Uint8Array(), startRevision: revision + 1n };
  for await (const event of follow(deps, followed, context)) if (event.type === Event_EventType.DELETE) return;
}

function byCreation(prefix: Uint8Array, sortOrder: RangeRequest_SortOrder): RangeRequest {
  const order = { sortOrder, sortTarget: RangeRequest_SortTarget.CREATE, limit: 1n };
  return { ...RangeRequest.create({ key: prefix, rangeEnd: prefixEnd(prefix) }), ...order };
}

function rangeOf(response: TxnResponse): RangeResponse | undefined {
  const first = response.responses[0]?.response;
  return first?.$case === "responseRange" ? first.value : undefined;
}

function headerOf({ header }: { readonly header: ResponseHeader | undefined }): ResponseHeader {
  invariant(header !== undefined, "every KV response carries a header");
  return header;
}

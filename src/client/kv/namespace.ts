/**
 * A part of the store that looks like a whole one. Calls are bound to a prefix where messages become bytes, so whatever
 * is built on calls (reads, transactions, watches, leases, the raw face) is inside without knowing it, and no answer
 * can show the prefix. Revisions, leases, members, users and their permissions remain the store's own.
 */
import type * as wire from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import { Calls } from "../calls/call.js";
import { electionMethods, kvMethods, leaseMethods, lockMethods, streamMethods } from "../calls/methods.js";
import type { Method } from "../connection/transport.js";
import { EtcdError } from "../errors.js";
import type { Bytes, CallOptions } from "../options.js";
import { concat, keyBytes, rangeInside, startsWith } from "./range.js";
import type { Key } from "./types.js";

/** How the messages of one method change at the border. Answers are fresh from the decoder and changed in place. */
interface Border<Req, Res> {
  readonly enter?: (request: Req, prefix: Bytes) => Req;
  readonly leave?: (response: Res, prefix: Bytes) => void;
}

/** For methods without keys. */
const open: Border<never, never> = {};

/** Calls that see nothing but the keys under a prefix. */
export class NamespacedCalls extends Calls {
  private readonly prefix: Bytes;

  /** Inside of what `outer` sees; all but the prefix is shared with it. */
  constructor(outer: Calls, prefix: Key) {
    super(outer.wiring);
    const own = keyBytes(prefix);
    this.prefix = outer instanceof NamespacedCalls ? concat(outer.prefix, own) : new Uint8Array(own);
  }

  override async unary<Req, Res>(
    method: Method<Req, Res>,
    request: rpc.DeepPartial<Req>,
    options: CallOptions = {},
  ): Promise<Res> {
    const response = await super.unary(this.entering(method), request, options);
    this.leaving(method, response);
    return response;
  }

  override async timed<Req, Res>(
    method: Method<Req, Res>,
    request: rpc.DeepPartial<Req>,
    options: CallOptions = {},
  ): ReturnType<typeof Calls.prototype.timed<Req, Res>> {
    const timed = await super.timed(this.entering(method), request, options);
    this.leaving(method, timed.response);
    return timed;
  }

  override async *serverStream<Req, Res>(
    method: Method<Req, Res>,
    request: rpc.DeepPartial<Req>,
    options: CallOptions = {},
  ): AsyncGenerator<Res> {
    for await (const response of super.serverStream(this.entering(method), request, options)) {
      this.leaving(method, response);
      yield response;
    }
  }

  override watchOutwards(create: rpc.WatchCreateRequest): rpc.WatchCreateRequest {
    return enterWatch(create, this.prefix);
  }

  override watchInwards(response: rpc.WatchResponse): void {
    leaveEvents(response, this.prefix);
  }

  /** The request enters when the call is made, so that what may not enter is refused before anything is sent. */
  private entering<Req, Res>(method: Method<Req, Res>): Method<Req, Res> {
    const { enter } = borderOf(method);
    if (enter === undefined) return method;
    return { ...method, fromPartial: (partial) => enter(method.fromPartial(partial), this.prefix) };
  }

  /** The response leaves when the call is over: what it takes to settle a doubtful one happens outside. */
  private leaving<Req, Res>(method: Method<Req, Res>, response: Res): void {
    borderOf(method).leave?.(response, this.prefix);
  }
}

function borderOf<Req, Res>({ path }: Method<Req, Res>): Border<Req, Res> {
  // The path that leads to a border is the path of the method whose messages it knows.
  return (borders.get(path) ?? open) as unknown as Border<Req, Res>;
}

/** An empty key would name the prefix itself, which no answer could show. */
function refuseEmpty(key: Bytes): void {
  if (key.length > 0) return;
  const { code, message } = status.EmptyKey;
  throw new EtcdError(message, { code: "EmptyKey", grpcStatus: code, outcome: "not-applied" });
}

function enterKey<T extends { readonly key: Bytes }>(request: T, prefix: Bytes): T {
  refuseEmpty(request.key);
  return { ...request, key: concat(prefix, request.key) };
}

function enterName<T extends { readonly name: Bytes }>(request: T, prefix: Bytes): T {
  return { ...request, name: concat(prefix, request.name) };
}

function enterRange<T extends { readonly key: Bytes; readonly rangeEnd: Bytes }>(request: T, prefix: Bytes): T {
  refuseEmpty(request.key);
  return { ...request, ...rangeInside(prefix, request) };
}

function enterTxn({ compare, success, failure }: rpc.TxnRequest, prefix: Bytes): rpc.TxnRequest {
  const enterOp = ({ request }: rpc.RequestOp): rpc.RequestOp => ({ request: enterBranch(request, prefix) });
  return {
    compare: compare.map((each) => enterRange(each, prefix)),
    success: success.map(enterOp),
    failure: failure.map(enterOp),
  };
}

function enterBranch(request: rpc.RequestOp["request"], prefix: Bytes): rpc.RequestOp["request"] {
  if (request === undefined) return undefined;
  switch (request.$case) {
    case "requestRange":
      return { $case: request.$case, value: enterRange(request.value, prefix) };
    case "requestPut":
      return { $case: request.$case, value: enterKey(request.value, prefix) };
    case "requestDeleteRange":
      return { $case: request.$case, value: enterRange(request.value, prefix) };
    case "requestTxn":
      return { $case: request.$case, value: enterTxn(request.value, prefix) };
  }
}

/** Servers read an empty key of a watch as the smallest one there is. */
function enterWatch(create: rpc.WatchCreateRequest, prefix: Bytes): rpc.WatchCreateRequest {
  return enterRange({ ...create, key: create.key.length > 0 ? create.key : Uint8Array.of(0) }, prefix);
}

function enterLeader<T extends { leader?: { name: Bytes; key: Bytes } | undefined }>(request: T, prefix: Bytes): T {
  const { leader } = request;
  if (leader === undefined) return request;
  return { ...request, leader: { ...leader, name: concat(prefix, leader.name), key: concat(prefix, leader.key) } };
}

/** A key on its way out. The server was asked for nothing outside, so anything else is its mistake. */
function leaveBytes(key: Bytes, prefix: Bytes): Bytes {
  if (startsWith(key, prefix)) return key.subarray(prefix.length);
  throw new TypeError("the server answered with a key outside of the namespace");
}

function leaveKv(kv: wire.KeyValue | undefined, prefix: Bytes): void {
  if (kv !== undefined) kv.key = leaveBytes(kv.key, prefix);
}

function leaveKvs(kvs: readonly wire.KeyValue[], prefix: Bytes): void {
  for (const kv of kvs) leaveKv(kv, prefix);
}

function leaveTxn({ responses }: rpc.TxnResponse, prefix: Bytes): void {
  for (const { response } of responses) leaveBranch(response, prefix);
}

function leaveBranch(response: rpc.ResponseOp["response"], prefix: Bytes): void {
  if (response === undefined) return;
  switch (response.$case) {
    case "responseRange":
      return leaveKvs(response.value.kvs, prefix);
    case "responsePut":
      return leaveKv(response.value.prevKv, prefix);
    case "responseDeleteRange":
      return leaveKvs(response.value.prevKvs, prefix);
    case "responseTxn":
      return leaveTxn(response.value, prefix);
  }
}

function leaveEvents({ events }: rpc.WatchResponse, prefix: Bytes): void {
  for (const { kv, prevKv } of events) {
    leaveKv(kv, prefix);
    leaveKv(prevKv, prefix);
  }
}

/** A lease may hold keys of other namespaces: they are not for us to see. */
function leaveLease(response: rpc.LeaseTimeToLiveResponse, prefix: Bytes): void {
  const own = response.keys.filter((key) => startsWith(key, prefix));
  response.keys = own.map((key) => key.subarray(prefix.length));
}

function border<Req, Res>(method: Method<Req, Res>, crossing: Border<Req, Res>): [string, Border<never, never>] {
  // As in `borderOf`.
  return [method.path, crossing as unknown as Border<never, never>];
}

/** Every method whose messages hold keys, but for those about permissions, which are the store's. */
const borders = new Map<string, Border<never, never>>([
  border(kvMethods.range, { enter: enterRange, leave: ({ kvs }, prefix) => leaveKvs(kvs, prefix) }),
  border(kvMethods.put, { enter: enterKey, leave: ({ prevKv }, prefix) => leaveKv(prevKv, prefix) }),
  border(kvMethods.deleteRange, { enter: enterRange, leave: ({ prevKvs }, prefix) => leaveKvs(prevKvs, prefix) }),
  border(kvMethods.txn, { enter: enterTxn, leave: leaveTxn }),
  border(streamMethods.rangeStream, {
    enter: enterRange,
    leave: ({ rangeResponse }, prefix) => leaveKvs(rangeResponse?.kvs ?? [], prefix),
  }),
  border(leaseMethods.leaseTimeToLive, { leave: leaveLease }),
  border(lockMethods.lock, {
    enter: enterName,
    leave: (response, prefix) => {
      response.key = leaveBytes(response.key, prefix);
    },
  }),
  border(lockMethods.unlock, { enter: enterKey }),
  border(electionMethods.campaign, {
    enter: enterName,
    leave: ({ leader }, prefix) => {
      if (leader === undefined) return;
      leader.name = leaveBytes(leader.name, prefix);
      leader.key = leaveBytes(leader.key, prefix);
    },
  }),
  border(electionMethods.proclaim, { enter: enterLeader }),
  border(electionMethods.leader, { enter: enterName, leave: ({ kv }, prefix) => leaveKv(kv, prefix) }),
  border(electionMethods.resign, { enter: enterLeader }),
  border(streamMethods.observe, { enter: enterName, leave: ({ kv }, prefix) => leaveKv(kv, prefix) }),
]);

/**
 * A store in memory behind the client's transport: what etcd's key-value service does, said naively. It keeps every
 * revision whole, and a test may say how its stream of ranges ends.
 */
import type { KeyValue } from "../../proto/gen/etcd/kv.js";
import * as rpc from "../../proto/gen/etcd/rpc.js";
import { Code, type StatusName, status } from "../../proto/status.js";
import { type Connection, type Method, type Transport, TransportError } from "../../src/client/connection/transport.js";

/** How one stream of a range goes: whole, refused as unknown, broken or silent after so many parts. */
export type StreamFate =
  | "whole"
  | "unimplemented"
  | { readonly breakAfter: number }
  | { readonly endAfter: number }
  | { readonly hangAfter: number };

export class StoreTransport implements Transport {
  readonly clusterId: bigint;
  /** Every request in order: method name and, for ranges, how many keys at most were asked for. */
  readonly requests: { readonly name: string; readonly limit: number }[] = [];
  /** What happens after the next write was applied and before its answer is lost; undefined loses none. */
  loseNextWrite: (() => Promise<unknown>) | undefined;
  /** Streams whose reader has neither left nor read to the end. */
  streamsOpen = 0;
  /** Keys in a part of a stream. */
  partKeys = 3;
  private readonly fates: StreamFate[];
  private readonly otherwise: StreamFate;
  /** The keys as of each revision, in order. */
  private readonly history: (readonly KeyValue[])[] = [[], []];
  private compacted = 0n;

  constructor(streams: { readonly first?: readonly StreamFate[]; readonly always?: StreamFate } = {}, clusterId = 7n) {
    this.fates = [...(streams.first ?? [])];
    this.otherwise = streams.always ?? "whole";
    this.clusterId = clusterId;
  }

  /** All keys there are, as hexadecimal text. */
  get keys(): string[] {
    return this.at(0n).map(({ key }) => Buffer.from(key).toString("hex"));
  }

  compact(revision: bigint): void {
    this.compacted = revision;
  }

  connect(): Connection {
    return {
      isReady: () => true,
      ready: () => Promise.resolve(),
      unary: async (method, request) => {
        const response = this.answer(method, request);
        const meanwhile = this.loseNextWrite;
        if (meanwhile === undefined || method.kind !== "write") return response;
        this.loseNextWrite = undefined;
        await meanwhile();
        throw new TransportError("Connection dropped", { grpcStatus: Code.UNAVAILABLE, sent: true });
      },
      serverStream: (method, request, { signal }) => this.counted(this.stream(method, request, signal)),
      duplex: () => {
        throw new Error("this store has no watches");
      },
      close: () => {},
    };
  }

  private get revision(): bigint {
    return BigInt(this.history.length - 1);
  }

  private at(revision: bigint): readonly KeyValue[] {
    if (revision > this.revision) throw refusal("FutureRev");
    if (revision > 0n && revision < this.compacted) throw refusal("Compacted");
    return this.history[Number(revision === 0n ? this.revision : revision)] ?? [];
  }

  private answer<Req, Res>(method: Method<Req, Res>, request: Req): Res {
    const name = method.path.slice(method.path.lastIndexOf("/") + 1);
    const bytes = method.encode(request);
    const reply = (response: Uint8Array): Res => method.decode(response);
    const limit = name === "Range" ? Number(rpc.RangeRequest.decode(bytes).limit) : 0;
    this.requests.push({ name, limit });
    switch (name) {
      case "Range":
        return reply(rpc.RangeResponse.encode(this.range(rpc.RangeRequest.decode(bytes))).finish());
      case "Put":
        return reply(rpc.PutResponse.encode(this.write((work) => work.put(rpc.PutRequest.decode(bytes)))).finish());
      case "DeleteRange": {
        const deletion = rpc.DeleteRangeRequest.decode(bytes);
        return reply(rpc.DeleteRangeResponse.encode(this.write((work) => work.delete(deletion))).finish());
      }
      case "Txn":
        return reply(rpc.TxnResponse.encode(this.write((work) => work.txn(rpc.TxnRequest.decode(bytes)))).finish());
    }
    if (name === "Status") {
      const member = rpc.StatusResponse.fromPartial({ header: this.header(), leader: 1n, raftTerm: 2n });
      return reply(rpc.StatusResponse.encode(member).finish());
    }
    throw new TransportError(`unknown method ${name}`, { grpcStatus: Code.UNIMPLEMENTED, sent: true });
  }

  private range(request: rpc.RangeRequest): rpc.RangeResponse {
    return { header: this.header(), ...rangeOf(this.at(request.revision), request) };
  }

  private header(): rpc.ResponseHeader {
    return rpc.ResponseHeader.fromPartial({
      clusterId: this.clusterId,
      memberId: 1n,
      revision: this.revision,
      raftTerm: 2n,
    });
  }

  /** One revision, if anything changed. */
  private write<T extends { header: rpc.ResponseHeader | undefined }>(change: (work: Work) => T): T {
    const work = new Work(this.at(0n), this.revision + 1n);
    const response = change(work);
    if (work.changed) this.history.push(work.kvs);
    response.header = this.header();
    return response;
  }

  private async *counted<Res>(stream: AsyncGenerator<Res>): AsyncGenerator<Res> {
    this.streamsOpen++;
    try {
      yield* stream;
    } finally {
      this.streamsOpen--;
    }
  }

  private async *stream<Req, Res>(
    method: Method<Req, Res>,
    request: Req,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Res> {
    this.requests.push({ name: "RangeStream", limit: 0 });
    const fate = this.fates.shift() ?? this.otherwise;
    if (fate === "unimplemented") {
      const facts = { grpcStatus: Code.UNIMPLEMENTED, sent: true };
      throw new TransportError("unknown method RangeStream for service etcdserverpb.KV", facts);
    }
    const { kvs, ...ending } = this.range(rpc.RangeRequest.decode(method.encode(request)));
    const parts = Math.ceil(kvs.length / this.partKeys);
    for (let part = 0; part <= parts; part++) {
      if (typeof fate === "object") await meet(fate, part, signal);
      if (typeof fate === "object" && "endAfter" in fate && part === fate.endAfter) return;
      const some = kvs.slice(part * this.partKeys, (part + 1) * this.partKeys);
      const end = part === parts ? ending : { header: undefined, count: 0n, more: false };
      const response = { rangeResponse: { ...end, kvs: some } };
      yield method.decode(rpc.RangeStreamResponse.encode(response).finish());
    }
  }
}

async function meet(fate: Exclude<StreamFate, string>, part: number, signal: AbortSignal | undefined): Promise<void> {
  if ("breakAfter" in fate && part === fate.breakAfter) {
    throw new TransportError("Connection dropped", { grpcStatus: Code.UNAVAILABLE, sent: true });
  }
  if (!("hangAfter" in fate) || part !== fate.hangAfter) return;
  await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
  throw new TransportError("Call cancelled", { grpcStatus: Code.CANCELLED, sent: true });
}

function refusal(name: StatusName): TransportError {
  return new TransportError(status[name].message, { grpcStatus: status[name].code, sent: true });
}

function contains({ key, rangeEnd }: { key: Uint8Array; rangeEnd: Uint8Array }, candidate: Uint8Array): boolean {
  const order = Buffer.compare(candidate, key);
  if (rangeEnd.length === 0) return order === 0;
  const endless = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return order >= 0 && (endless || Buffer.compare(candidate, rangeEnd) < 0);
}

function rangeOf(all: readonly KeyValue[], request: rpc.RangeRequest): Omit<rpc.RangeResponse, "header"> {
  if (request.key.length === 0) throw refusal("EmptyKey");
  const found = all.filter(({ key }) => contains(request, key));
  if (request.sortOrder === rpc.RangeRequest_SortOrder.DESCEND) found.reverse();
  const limit = request.limit > 0n ? Number(request.limit) : found.length;
  const kvs = found.slice(0, request.countOnly ? 0 : limit);
  const shown = request.keysOnly ? kvs.map((kv) => ({ ...kv, value: new Uint8Array(0) })) : kvs;
  return { kvs: shown, count: BigInt(found.length), more: found.length > limit };
}

/** What one write does to the keys. */
class Work {
  kvs: readonly KeyValue[];
  changed = false;
  private readonly revision: bigint;

  constructor(kvs: readonly KeyValue[], revision: bigint) {
    this.kvs = kvs;
    this.revision = revision;
  }

  put(request: rpc.PutRequest): rpc.PutResponse {
    if (request.key.length === 0) throw refusal("EmptyKey");
    const old = this.kvs.find(({ key }) => Buffer.compare(key, request.key) === 0);
    const kv: KeyValue = {
      key: request.key,
      value: request.ignoreValue ? (old?.value ?? request.value) : request.value,
      lease: request.ignoreLease ? (old?.lease ?? 0n) : request.lease,
      createRevision: old?.createRevision ?? this.revision,
      modRevision: this.revision,
      version: (old?.version ?? 0n) + 1n,
    };
    const others = this.kvs.filter((other) => other !== old);
    this.kvs = [...others, kv].toSorted((one, other) => Buffer.compare(one.key, other.key));
    this.changed = true;
    return { header: undefined, prevKv: request.prevKv ? old : undefined };
  }

  delete(request: rpc.DeleteRangeRequest): rpc.DeleteRangeResponse {
    if (request.key.length === 0) throw refusal("EmptyKey");
    const gone = this.kvs.filter(({ key }) => contains(request, key));
    this.kvs = this.kvs.filter((kv) => !gone.includes(kv));
    this.changed ||= gone.length > 0;
    return { header: undefined, deleted: BigInt(gone.length), prevKvs: request.prevKv ? gone : [] };
  }

  txn({ compare, success, failure }: rpc.TxnRequest): rpc.TxnResponse {
    const succeeded = compare.every((each) => this.holds(each));
    const responses = (succeeded ? success : failure).map(({ request }) => ({ response: this.operation(request) }));
    return { header: undefined, succeeded, responses };
  }

  private operation(request: rpc.RequestOp["request"]): rpc.ResponseOp["response"] {
    switch (request?.$case) {
      case "requestRange":
        return { $case: "responseRange", value: { header: undefined, ...rangeOf(this.kvs, request.value) } };
      case "requestPut":
        return { $case: "responsePut", value: this.put(request.value) };
      case "requestDeleteRange":
        return { $case: "responseDeleteRange", value: this.delete(request.value) };
      case "requestTxn":
        return { $case: "responseTxn", value: this.txn(request.value) };
      case undefined:
        return undefined;
    }
  }

  /** Guards on the revision of creation and on values suffice for tests. */
  private holds(compare: rpc.Compare): boolean {
    if (compare.key.length === 0) throw refusal("EmptyKey");
    const kvs = this.kvs.filter(({ key }) => contains(compare, key));
    if (kvs.length === 0 && compare.targetUnion?.$case === "value") return false;
    const orders = (kvs.length === 0 ? [undefined] : kvs).map((kv) => orderOf(kv, compare.targetUnion));
    return orders.every((order) => fits(order, compare.result));
  }
}

function orderOf(kv: KeyValue | undefined, operand: rpc.Compare["targetUnion"]): number {
  switch (operand?.$case) {
    case "value":
      return Buffer.compare(kv?.value ?? Buffer.alloc(0), operand.value);
    case "createRevision":
      return compareNumbers(kv?.createRevision ?? 0n, operand.value);
    case "modRevision":
      return compareNumbers(kv?.modRevision ?? 0n, operand.value);
    case "version":
      return compareNumbers(kv?.version ?? 0n, operand.value);
    case "lease":
      return compareNumbers(kv?.lease ?? 0n, operand.value);
    case undefined:
      throw refusal("EmptyKey");
  }
}

function compareNumbers(one: bigint, other: bigint): number {
  return one === other ? 0 : one < other ? -1 : 1;
}

function fits(order: number, result: rpc.Compare_CompareResult): boolean {
  switch (result) {
    case rpc.Compare_CompareResult.EQUAL:
      return order === 0;
    case rpc.Compare_CompareResult.NOT_EQUAL:
      return order !== 0;
    case rpc.Compare_CompareResult.GREATER:
      return order > 0;
    case rpc.Compare_CompareResult.LESS:
      return order < 0;
  }
}

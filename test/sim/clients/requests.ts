/** Requests as the clients of a run make them: every write has something in it that no other write has. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { Compare_CompareResult as Result, Compare_CompareTarget as Target } from "../../../proto/gen/etcd/rpc.js";
import type { RandomStream } from "../world/random.js";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const none = new Uint8Array(0);

/** A key that is written first and never deleted, so that a comparison with it always has something to compare. */
export const anchorKey = "anchor";

export interface Drawing {
  readonly random: RandomStream;
  readonly keyCount: number;
  /** Never the same twice. */
  readonly tag: string;
  /** A revision that exists. */
  readonly revision: number;
  /** Leases that are there, or were. */
  readonly leases: readonly bigint[];
}

export function drawKey({ random, keyCount }: Pick<Drawing, "random" | "keyCount">): string {
  return `k${String(random.below(keyCount)).padStart(2, "0")}`;
}

export function putRequest(key: string, value: string, more: Partial<rpc.PutRequest> = {}): rpc.PutRequest {
  const rest = { lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false, ...more };
  return { key: bytes(key), value: bytes(value), ...rest };
}

export function drawPut(drawing: Drawing): rpc.PutRequest {
  const { random, leases, tag } = drawing;
  const lease = leases.length > 0 && random.chance(0.15) ? random.pick(leases) : 0n;
  const ignoreLease = lease === 0n && random.chance(0.05);
  return putRequest(drawKey(drawing), tag, { lease, ignoreLease, prevKv: random.chance(0.3) });
}

/** Deletes a key, and what lies between it and the key with the tag behind it, which is nothing. */
export function drawDelete(drawing: Drawing): rpc.DeleteRangeRequest {
  const { random, tag } = drawing;
  const key = drawKey(drawing);
  const rangeEnd = random.chance(0.2) ? `${drawKey(drawing)}~${tag}` : `${key}\0${tag}`;
  return { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: random.chance(0.3) };
}

export function rangeRequest(key: string, more: Partial<rpc.RangeRequest> = {}): rpc.RangeRequest {
  return {
    key: bytes(key),
    rangeEnd: none,
    limit: 0n,
    revision: 0n,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0n,
    maxModRevision: 0n,
    minCreateRevision: 0n,
    maxCreateRevision: 0n,
    ...more,
  };
}

export function drawRange(drawing: Drawing): rpc.RangeRequest {
  const { random, revision } = drawing;
  const serializable = random.chance(0.2);
  const old = random.chance(0.1) ? BigInt(Math.max(1, revision - random.below(20))) : 0n;
  if (random.chance(0.6)) return rangeRequest(drawKey(drawing), { serializable, revision: old });
  const sortOrder = random.below(3) as rpc.RangeRequest_SortOrder;
  const wide: Partial<rpc.RangeRequest> = {
    rangeEnd: bytes(random.chance(0.5) ? "\0" : `${drawKey(drawing)}~`),
    limit: random.chance(0.3) ? BigInt(random.between(1, 5)) : 0n,
    sortOrder,
    sortTarget: (sortOrder === 0 ? 0 : random.below(5)) as rpc.RangeRequest_SortTarget,
    countOnly: random.chance(0.1),
    maxModRevision: random.chance(0.1) ? BigInt(Math.max(1, revision - random.below(20))) : 0n,
    minCreateRevision: random.chance(0.1) ? BigInt(Math.max(1, revision - random.below(50))) : 0n,
  };
  return rangeRequest(drawKey(drawing), { serializable, revision: old, ...wide });
}

/** Its first comparison holds and carries the tag; what is written depends on the others. */
export function drawTxn(drawing: Drawing): rpc.TxnRequest {
  const { random, tag, keyCount } = drawing;
  const keys = random.shuffled(Array.from({ length: keyCount }, (_, at) => `k${String(at).padStart(2, "0")}`));
  const named: rpc.Compare = {
    result: Result.NOT_EQUAL,
    target: Target.VALUE,
    key: bytes(anchorKey),
    rangeEnd: none,
    targetUnion: { $case: "value", value: bytes(tag) },
  };
  const compare = random.chance(0.7) ? [named, drawCompare(drawing)] : [named];
  const success = drawSteps(drawing, keys, `${tag}s`);
  const failure = random.chance(0.5) ? drawSteps(drawing, keys, `${tag}f`) : [];
  return { compare, success, failure };
}

function drawCompare(drawing: Drawing): rpc.Compare {
  const { random, revision } = drawing;
  const key = bytes(drawKey(drawing));
  const result = random.pick([Result.EQUAL, Result.GREATER, Result.LESS, Result.NOT_EQUAL]);
  const head = { result, key, rangeEnd: none };
  if (random.chance(0.4)) {
    return { ...head, target: Target.CREATE, targetUnion: { $case: "createRevision", value: 0n } };
  }
  if (random.chance(0.4)) {
    return { ...head, target: Target.VERSION, targetUnion: { $case: "version", value: BigInt(random.below(4)) } };
  }
  const value = BigInt(Math.max(0, revision - random.below(10)));
  return { ...head, target: Target.MOD, targetUnion: { $case: "modRevision", value } };
}

/** One to four steps, each on a key of its own; sometimes a transaction inside. */
function drawSteps(drawing: Drawing, keys: readonly string[], tag: string): rpc.RequestOp[] {
  const { random } = drawing;
  const steps: rpc.RequestOp[] = [];
  const count = random.between(1, Math.min(4, keys.length));
  for (let at = 0; at < count; at += 1) {
    const key = keys[at] ?? "k00";
    // A transaction that writes nothing would go around the log.
    const draw = random.below(10);
    if (at === 0 || draw < 4) {
      steps.push({
        request: { $case: "requestPut", value: putRequest(key, `${tag}${at}`, { prevKv: random.chance(0.3) }) },
      });
    } else if (draw < 7) {
      const value = { key: bytes(key), rangeEnd: none, prevKv: random.chance(0.5) };
      steps.push({ request: { $case: "requestDeleteRange", value } });
    } else if (draw < 9) {
      steps.push({
        request: {
          $case: "requestRange",
          value: rangeRequest(key, { rangeEnd: random.chance(0.5) ? bytes("\0") : none }),
        },
      });
    } else {
      steps.push({ request: { $case: "requestTxn", value: innerTxn(drawing, key, `${tag}${at}`) } });
    }
  }
  return steps;
}

function innerTxn(drawing: Drawing, key: string, tag: string): rpc.TxnRequest {
  const put: rpc.RequestOp = { request: { $case: "requestPut", value: putRequest(key, `${tag}i`) } };
  const range: rpc.RequestOp = { request: { $case: "requestRange", value: rangeRequest(drawKey(drawing)) } };
  return { compare: [drawCompare(drawing)], success: [put, range], failure: [range] };
}

/** Reads only, so that it goes around the log. */
export function drawReadTxn(drawing: Drawing): rpc.TxnRequest {
  const read = (): rpc.RequestOp => ({ request: { $case: "requestRange", value: rangeRequest(drawKey(drawing)) } });
  return { compare: [drawCompare(drawing)], success: [read(), read()], failure: [read()] };
}

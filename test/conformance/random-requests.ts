/** Random but repeatable requests over a handful of keys: dense enough that every rule of the store meets every other. */

import type {
  Compare,
  DeepPartial,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchCreateRequest,
} from "../../proto/gen/etcd/rpc.js";
import { bytes, compare, deleteOp, type Op, putOp, rangeOp, txnOp } from "./words.js";

const KEYS = ["a", "ab", "b", "c", "ca", "d", "e"];
const VALUES = ["", "1", "2", "22", "3"];
const LEASES = [0n, 0n, 0n, 11n, 12n, 13n];

/** A small generator of numbers from a seed (a multiplicative congruence with shifts); good enough to pick with. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number in [0, count). */
  below(count: number): number {
    this.#state = (Math.imul(this.#state ^ (this.#state >>> 15), 0x2c1b3c6d) + 0x297a2d39) >>> 0;
    const mixed = Math.imul(this.#state ^ (this.#state >>> 12), 0x2545f491) >>> 0;
    return ((mixed ^ (mixed >>> 17)) >>> 0) % count;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error("nothing to pick from");
    return choice;
  }

  /** True once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }
}

function interval(dice: Dice): { key: Buffer; rangeEnd: Buffer } {
  const key = bytes(dice.pick(KEYS));
  const rangeEnd = dice.once(2) ? Buffer.alloc(0) : bytes(dice.pick([...KEYS, "z"]));
  return { key, rangeEnd };
}

export function randomRange(dice: Dice, revision: number): DeepPartial<RangeRequest> {
  const near = () => BigInt(Math.max(0, revision - dice.below(30)));
  return {
    ...interval(dice),
    limit: dice.pick([0, 0, 1, 2, 3]),
    revision: dice.pick([0n, 0n, 0n, near(), near(), BigInt(revision + dice.below(3))]),
    sortOrder: dice.pick([0, 0, 1, 2] as const),
    sortTarget: dice.pick([0, 0, 1, 2, 3, 4] as const),
    serializable: dice.once(3),
    keysOnly: dice.once(5),
    countOnly: dice.once(6),
    minModRevision: dice.once(6) ? near() : 0n,
    maxModRevision: dice.once(6) ? near() : 0n,
    minCreateRevision: dice.once(6) ? near() : 0n,
    maxCreateRevision: dice.once(6) ? near() : 0n,
  };
}

export function randomPut(dice: Dice): DeepPartial<PutRequest> & { key: Buffer } {
  const ignoreValue = dice.once(6);
  const ignoreLease = dice.once(6);
  return {
    key: bytes(dice.pick(KEYS)),
    value: ignoreValue && !dice.once(8) ? Buffer.alloc(0) : bytes(dice.pick(VALUES)),
    lease: ignoreLease && !dice.once(8) ? 0n : dice.pick([...LEASES, ...(dice.once(5) ? [99n] : [])]),
    prevKv: dice.once(2),
    ignoreValue,
    ignoreLease,
  };
}

export function randomDelete(dice: Dice): DeepPartial<DeleteRangeRequest> & { key: Buffer } {
  return { ...interval(dice), prevKv: dice.once(2) };
}

function randomCompare(dice: Dice, revision: number): DeepPartial<Compare> {
  const { key, rangeEnd } = interval(dice);
  const make = compare(key, dice.once(4) ? rangeEnd : Buffer.alloc(0));
  const sign = dice.pick(["=", "!=", "<", ">"] as const);
  const near = BigInt(Math.max(0, revision - dice.below(10)));
  switch (dice.below(5)) {
    case 0:
      return make.version(sign, BigInt(dice.below(3)));
    case 1:
      return make.create(sign, dice.pick([0n, near]));
    case 2:
      return make.mod(sign, dice.pick([0n, near]));
    case 3:
      return make.lease(sign, dice.pick(LEASES));
    case 4:
      return make.value(sign, dice.pick(VALUES));
  }
  throw new Error("a die has five sides here");
}

function randomOp(dice: Dice, revision: number, depth: number): Op {
  const side = dice.below(depth > 0 ? 8 : 7);
  if (side < 3) {
    const { key, ...rest } = randomPut(dice);
    return putOp(key, "", rest);
  }
  if (side < 5) return rangeOp(Buffer.alloc(0), randomRange(dice, dice.once(4) ? revision : 0));
  if (side < 7) {
    const { key, ...rest } = randomDelete(dice);
    return deleteOp(key, rest);
  }
  return txnOp(randomTxn(dice, revision, depth - 1));
}

/** A txn of a few compares and ops, nested up to `depth` more levels. */
export function randomTxn(dice: Dice, revision: number, depth = 2): DeepPartial<TxnRequest> {
  const several = <T>(count: number, make: () => T): T[] => Array.from({ length: dice.below(count) }, make);
  return {
    compare: several(3, () => randomCompare(dice, revision)),
    success: several(4, () => randomOp(dice, revision, depth)),
    failure: several(3, () => randomOp(dice, revision, depth)),
  };
}

/** A watcher of some keys from now on. An interval without keys would be refused. */
export function randomWatch(dice: Dice): DeepPartial<WatchCreateRequest> {
  const { key, rangeEnd } = interval(dice);
  const isEmpty = rangeEnd.length > 0 && Buffer.compare(key, rangeEnd) >= 0;
  return {
    key,
    rangeEnd: isEmpty ? Buffer.from([0]) : rangeEnd,
    prevKv: dice.once(2),
    filters: dice.pick([[], [], [0], [1]] as const).slice(),
    startRevision: dice.pick([0n, 0n, 30n]),
  };
}

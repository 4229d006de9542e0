/** Randomness as an interface, so that the simulator can seed it. */
import { randomBytes, randomInt } from "node:crypto";

export interface Random {
  /** A uniform integer in [0, bound). `bound` is at most 2^48 - 1. */
  below(bound: number): number;
  bytes(length: number): Uint8Array;
}

export const systemRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (length) => new Uint8Array(randomBytes(length)),
};

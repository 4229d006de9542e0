/** The core's own small generator: one seed gives the same draws on every machine and in every run. */

const WEYL_STEP = 0x9e37_79b9;
const TWO_POW_32 = 0x1_0000_0000;

/** Not for secrets. 32 bits of state: a counter that walks through all values, then two rounds of mixing. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    const whole = Math.trunc(Math.abs(seed));
    this.#state = mix((whole >>> 0) ^ Math.imul(Math.floor(whole / TWO_POW_32) >>> 0, WEYL_STEP));
  }

  /** A uniform integer in [0, bound); `bound` is at most 2^32. */
  below(bound: number): number {
    this.#state = (this.#state + WEYL_STEP) >>> 0;
    return Math.floor((mix(this.#state) / TWO_POW_32) * bound);
  }

  /** What the next draw depends on; part of the dump of a broken invariant. */
  get state(): number {
    return this.#state;
  }
}

/** Spreads each input bit over the whole word. */
function mix(word: number): number {
  let mixed = word ^ (word >>> 15);
  mixed = Math.imul(mixed, 0x2c1b_3c6d);
  mixed ^= mixed >>> 12;
  mixed = Math.imul(mixed, 0x297a_2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

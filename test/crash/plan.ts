/** The seeded choices of a crash run: what each writer does, and when the member dies. */
import type { Change, Write } from "./history.js";

/** A small generator of 32-bit state, so that a printed seed brings the same choices back. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A uniform integer in [0, bound). */
  below(bound: number): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % bound;
  }
}

const keysOfWriter = 6;

/** One writer: it owns its keys, so it always knows which of them exist. */
export class Writer {
  readonly #name: string;
  readonly #dice: Dice;
  #sequence = 0;

  constructor(name: string, dice: Dice) {
    this.#name = name;
    this.#dice = dice;
  }

  /** The next write. `exists` tells which of this writer's keys there are. */
  next(exists: (key: string) => boolean): Write {
    const id = `${this.#name}-${++this.#sequence}`;
    const draw = this.#dice.below(10);
    if (draw < 5) return { id, changes: [this.#put(this.#key(), id)] };
    const [first, second] = this.#twoKeys();
    if (draw < 8) return { id, changes: [this.#put(first, id), this.#put(second, id)] };
    const doomed: Change[] = exists(second) ? [{ kind: "delete", key: second }] : [];
    return { id, changes: [this.#put(first, id), ...doomed] };
  }

  #put(key: string, id: string): Change {
    return { kind: "put", key, value: `${id} ${".".repeat(this.#dice.below(300))}` };
  }

  #key(): string {
    return `crash/${this.#name}/${this.#dice.below(keysOfWriter)}`;
  }

  #twoKeys(): [string, string] {
    const first = this.#dice.below(keysOfWriter);
    const second = (first + 1 + this.#dice.below(keysOfWriter - 1)) % keysOfWriter;
    return [`crash/${this.#name}/${first}`, `crash/${this.#name}/${second}`];
  }
}

/** What happens in one cycle besides writing. */
export interface CyclePlan {
  /** The member is killed once this many writes of the cycle are acknowledged … */
  readonly killAfterAcks: number;
  /** … and this much later, so that the kill meets every stage of a write. */
  readonly killDelayMs: number;
  /** Kill the restarting member after this long, before it may be ready. */
  readonly killAgainAfterMs: number | undefined;
  readonly compact: boolean;
  readonly defragment: boolean;
  readonly grantLease: boolean;
}

export function planCycle(dice: Dice): CyclePlan {
  return {
    killAfterAcks: 1 + dice.below(dice.below(4) === 0 ? 10 : 250),
    killDelayMs: dice.below(4),
    killAgainAfterMs: dice.below(5) === 0 ? dice.below(300) : undefined,
    compact: dice.below(6) === 0,
    defragment: dice.below(12) === 0,
    grantLease: dice.below(3) === 0,
  };
}

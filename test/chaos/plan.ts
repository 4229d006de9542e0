/** The seeded plan of a chaos run: which faults come together, for how long, and how long the cluster may rest after. */
import type { Dice } from "../crash/plan.js";

/** A member by its number from 0 on, or whoever leads when the fault strikes. */
export type Target = number | "leader";

export type Fault =
  /** kill -9; started again on the same directory when the step ends. */
  | { readonly kind: "kill"; readonly members: readonly Target[] }
  /** SIGSTOP, and SIGCONT when the step ends. */
  | { readonly kind: "pause"; readonly member: Target }
  /** What `from` says does not reach `to`; the other way it does. */
  | { readonly kind: "cutOneWay"; readonly from: Target; readonly to: Target }
  /** No peer hears the member, it hears no peer, or neither. Clients reach it. */
  | { readonly kind: "isolate"; readonly member: Target; readonly direction: "in" | "out" | "both" }
  | { readonly kind: "split"; readonly minority: readonly number[] }
  /** Nobody reaches the member, and nothing tells them: peers and clients. */
  | { readonly kind: "blackHole"; readonly member: Target }
  /** Connections to peers and clients are reset at once. */
  | { readonly kind: "reset"; readonly member: Target }
  | { readonly kind: "slowLinks"; readonly delayMs: number }
  | { readonly kind: "slowDisk"; readonly member: Target; readonly delayMs: number }
  | { readonly kind: "moveLeader"; readonly to: number }
  | { readonly kind: "compact" }
  | { readonly kind: "defragment"; readonly member: Target };

export interface PlanStep {
  readonly faults: readonly Fault[];
  /** How long the faults last. */
  readonly holdMs: number;
  /** How long the cluster is left alone afterwards. */
  readonly restMs: number;
}

export interface PlanOptions {
  readonly size: number;
  /** Whether the members' disks can be slowed. */
  readonly slowDisk: boolean;
}

/** Step after step. The same dice and options give the same steps. */
export class Plan {
  readonly #dice: Dice;
  readonly #kinds: readonly (() => Fault)[];
  /** Kinds that were not drawn since the last shuffle: so even a short run meets all of them. */
  #deck: (() => Fault)[] = [];

  constructor(dice: Dice, options: PlanOptions) {
    this.#dice = dice;
    this.#kinds = kindsOf(dice, options);
  }

  next(): PlanStep {
    const dice = this.#dice;
    const faults = [this.#draw()];
    if (dice.below(4) === 0) faults.push(this.#draw());
    return { faults, holdMs: 300 + dice.below(dice.below(3) === 0 ? 5_000 : 1_500), restMs: dice.below(2_000) };
  }

  #draw(): Fault {
    if (this.#deck.length === 0) this.#deck = [...this.#kinds];
    const [make] = this.#deck.splice(this.#dice.below(this.#deck.length), 1);
    if (make === undefined) throw new Error("there are no kinds of fault");
    return make();
  }
}

function kindsOf(dice: Dice, { size, slowDisk }: PlanOptions): (() => Fault)[] {
  const any = (): number => dice.below(size);
  const target = (): Target => (dice.below(2) === 0 ? "leader" : any());
  const kinds: (() => Fault)[] = [
    () => ({ kind: "kill", members: [target()] }),
    () => ({ kind: "kill", members: planGroup(dice, size) }),
    () => ({ kind: "pause", member: target() }),
    () => planCut(dice, size),
    () => ({ kind: "isolate", member: target(), direction: (["in", "out", "both"] as const)[dice.below(3)] ?? "both" }),
    () => ({ kind: "split", minority: someOf(dice, { size, count: 1 + dice.below(Math.floor(size / 2)) }) }),
    () => ({ kind: "blackHole", member: target() }),
    () => ({ kind: "reset", member: target() }),
    () => ({ kind: "slowLinks", delayMs: 5 + dice.below(120) }),
    () => ({ kind: "moveLeader", to: any() }),
    () => ({ kind: "compact" }),
    () => ({ kind: "defragment", member: target() }),
  ];
  if (slowDisk) kinds.push(() => ({ kind: "slowDisk", member: target(), delayMs: 10 + dice.below(400) }));
  return kinds;
}

/** Mostly a minority, sometimes everybody. */
function planGroup(dice: Dice, size: number): number[] {
  const count = dice.below(3) === 0 ? size : 1 + dice.below(Math.floor(size / 2));
  return someOf(dice, { size, count });
}

function planCut(dice: Dice, size: number): Fault {
  const [from = 0, to = 1] = someOf(dice, { size, count: 2 });
  return { kind: "cutOneWay", from: dice.below(2) === 0 ? "leader" : from, to };
}

function someOf(dice: Dice, { size, count }: { size: number; count: number }): number[] {
  const left = Array.from({ length: size }, (_, number) => number);
  return Array.from({ length: count }, () => left.splice(dice.below(left.length), 1)[0] ?? 0);
}

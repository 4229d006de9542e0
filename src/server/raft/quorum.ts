/** What a majority of the voters has reached or said. A quorum is any set of more than half of them. */
import type { MemberId } from "./types.js";

/** The number of voters that makes a majority of `voterCount`. */
export function majority(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The highest number that a majority has reached. `reached` holds one number for each voter (0 if nothing is known
 * of it) and is sorted in place; without voters the answer is 0. Thesis 3.5.
 */
export function quorumReached(reached: number[]): number {
  reached.sort((a, b) => b - a);
  return reached[majority(reached.length) - 1] ?? 0;
}

export type Tally = "won" | "lost" | "open";

/** Counts the votes of `voters`; answers of anybody else do not count. */
export function tally(voters: readonly MemberId[], votes: ReadonlyMap<MemberId, boolean>): Tally {
  let granted = 0;
  let denied = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    else if (vote === false) denied += 1;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return "won";
  return voters.length - denied < needed ? "lost" : "open";
}

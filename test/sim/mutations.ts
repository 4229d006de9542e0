/**
 * Real bugs of etcd's history, and mistakes that every Raft is at risk of, as changes of our source. Each must be found by
 * some seed: a checker that cannot fail proves nothing.
 */

export interface Patch {
  /** Path from the package's root. */
  readonly file: string;
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  /** What it stands for, with the number of etcd's issue if there is one. */
  readonly bug: string;
  readonly patches: readonly Patch[];
}

export const mutations: readonly Mutation[] = [];

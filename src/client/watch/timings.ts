/** The times and sizes by which watchers share streams. All in milliseconds but the last. */
export interface WatchTimings {
  /** How often a stream looks after itself, and how often it asks for progress while someone waits for it. */
  readonly tickMs: number;
  /** A server that leaves a create unanswered and says nothing else for so long is left for another. */
  readonly confirmMs: number;
  /** The same for one whose server owes no answer, so that the store's revision is read instead. */
  readonly mutedAskMs: number;
  /** How often an idle stream asks for progress, so that its watchers can resume although others write and compact. */
  readonly idleProgressMs: number;
  /** A stream that says nothing for so long, though asked, is opened again elsewhere. */
  readonly staleMs: number;
  readonly watchersPerStream: number;
}

export const watchTimings: WatchTimings = {
  tickMs: 1_000,
  confirmMs: 5_000,
  mutedAskMs: 5_000,
  idleProgressMs: 30_000,
  staleMs: 90_000,
  watchersPerStream: 128,
};

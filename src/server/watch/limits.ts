/** Bounds on what watch streams hold and on how much one synchronous step does. Source: spec/server.md 1.2, 4.5. */

export interface WatchLimits {
  /** Messages that wait in one stream before its watchers fall behind. */
  readonly queueMessagesMax: number;
  /** Bytes of events that wait in one stream; one message may pass it. */
  readonly queueBytesMax: number;
  /** Most revisions in one block of missed changes, and so in one message. */
  readonly blockRevisionsMax: number;
  /** Bytes of pairs that end a block, with the revision that brings it there. */
  readonly blockBytesMax: number;
  /** A message of missed changes ends with the first revision that brings it to this many bytes. */
  readonly catchUpMessageBytesMax: number;
  /** Watchers that one catch-up step serves. */
  readonly stepWatchersMax: number;
}

export const defaultWatchLimits: WatchLimits = {
  queueMessagesMax: 128,
  queueBytesMax: 4 * 1024 * 1024,
  blockRevisionsMax: 1000,
  blockBytesMax: 16 * 1024 * 1024,
  catchUpMessageBytesMax: 4 * 1024 * 1024,
  stepWatchersMax: 512,
};

/**
 * Starts the threads that do a member's durable work: one for the log, one that applies, one that helps. The first
 * two load their code at once, beside whatever their owner does; this file itself loads next to nothing.
 */
import type { HelperWork } from "./helper-thread.js";
import { Fate, ThreadLink } from "./link.js";
import type { LogWork } from "./log-thread.js";
import type { StateWork } from "./state-thread.js";

/** Threads that hold nothing yet. Their owner lets them open a directory (open.ts) or closes them. */
export class SpawnedThreads {
  readonly fate = new Fate();
  readonly log: ThreadLink<LogWork>;
  readonly state: ThreadLink<StateWork>;
  readonly helper: ThreadLink<HelperWork>;

  /** `entries` is the directory of the compiled thread files; beside this file if undefined. */
  constructor(entries: URL = new URL("./", import.meta.url)) {
    const { fate } = this;
    this.log = new ThreadLink({ name: "log", entry: new URL("./log-thread.js", entries), fate });
    this.state = new ThreadLink({ name: "state", entry: new URL("./state-thread.js", entries), fate });
    // It is needed later, if at all, and starts then: the first moments of a member belong to the others.
    this.helper = new ThreadLink({ name: "helper", entry: new URL("./helper-thread.js", entries), fate });
    this.log.start();
    this.state.start();
  }

  /** Instead of opening: ends the threads, then calls `done`. */
  close(done: () => void): void {
    this.log.close(() => this.helper.close(() => this.state.close(done)));
  }
}

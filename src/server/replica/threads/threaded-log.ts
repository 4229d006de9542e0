/** The log behind a thread: batches go there packed, and the event loop never waits for the disk. */
import { bytesOf } from "../inline.js";
import type { LogRunner, WorkObserver } from "../workers.js";
import type { ThreadLink } from "./link.js";
import type { LogWork } from "./log-thread.js";
import { packEntries } from "./packing.js";

/** `onFirst` is called at the first append. */
export function threadedLog(
  link: ThreadLink<LogWork>,
  observer: WorkObserver | undefined,
  onFirst: () => void,
): LogRunner {
  let first = true;
  return {
    append: (batch, done) => {
      if (first) onFirst();
      first = false;
      const { hardState, truncateFrom, compact, install } = batch;
      const entries = packEntries(batch.entries);
      const answered = ({ durationMs }: { readonly durationMs: number }): void => {
        observer?.logAppended(durationMs, bytesOf(batch));
        done();
      };
      link.ask("append", { hardState, truncateFrom, compact, install, entries }, answered, [entries]);
    },
    switchStateFile: (file, done) => link.ask("switchStateFile", file, () => done()),
    close: (done) => link.close(done),
  };
}

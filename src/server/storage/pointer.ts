/** What raft.db of a member that does not run says, read without a change. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Database } from "./database.js";
import { StorageRefused } from "./failure.js";
import { withoutTrace } from "./inspect.js";
import { type BaseRow, logBase, logSchema, logSchemaVersion } from "./log-schema.js";
import { logFile } from "./log-store.js";

/** Whether a directory holds a member's log. */
export function holdsMember(dir: string): boolean {
  return existsSync(join(dir, logFile));
}

/** File name of the current state. Throws StorageRefused (`inUse` while the member runs, `notInitialized`) and StorageFailure. */
export function currentStateFile(dir: string): string {
  const path = join(dir, logFile);
  return withoutTrace(path, () => {
    const database = openReadOnly(path);
    try {
      const row = database.read(() => {
        return database
          .statement<[], BaseRow>("SELECT first_index, prev_term, members, state_file, crc FROM base")
          .get();
      });
      if (row === undefined) throw new StorageRefused("notInitialized", `data directory ${dir} holds no member`);
      return logBase(row).stateFile;
    } finally {
      database.close();
    }
  });
}

function openReadOnly(path: string): Database {
  return new Database({
    path,
    access: "readOnly",
    synchronous: "FULL",
    lockingMode: "normal",
    walAutocheckpointPages: 0,
    journalSizeLimitBytes: 0,
    cacheSizeKib: 1024,
    busyTimeoutMs: 0,
    schemaVersion: logSchemaVersion,
    schema: logSchema,
  });
}

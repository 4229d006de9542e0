/** A state file read beside the connection that writes it, which may be in another thread. */
import { join } from "node:path";
import { Database } from "./database.js";
import type { StorageFailure } from "./failure.js";
import { stateSchema, stateSchemaVersion } from "./state-schema.js";
import { openTables, type StateSource, type StateTables, sizeOf } from "./state-store.js";
import type { StateSize } from "./types.js";

export interface ReadStoreOptions {
  readonly dir: string;
  /** File name; somebody in this process has it open for writing. */
  readonly file: string;
  /** Called inside the first read that sees another state than the read before; it may read. */
  readonly onChange: (source: StateSource) => void;
  readonly onFailure?: ((failure: StorageFailure) => void) | undefined;
}

/**
 * Owns a connection that never writes. Each {@link ReadStore.read} sees one commit, and holds on to it no longer than it runs:
 * the write-ahead log can not be emptied while somebody reads an old state.
 */
export class ReadStore implements StateSource {
  readonly #options: ReadStoreOptions;
  #database: Database;
  #tables: StateTables;
  #version: number | undefined;
  #reading = false;

  /** Throws StorageRefused (`unsupportedVersion`) and StorageFailure. */
  constructor(options: ReadStoreOptions) {
    this.#options = options;
    this.#database = openDatabase(options, options.file);
    this.#tables = openTables(this.#database);
  }

  get tables(): StateTables {
    return this.#tables;
  }

  read<T>(work: () => T): T {
    if (this.#reading) return work();
    this.#reading = true;
    try {
      return this.#database.readSnapshot((version) => {
        if (version !== this.#version) {
          this.#options.onChange(this);
          this.#version = version;
        }
        return work();
      });
    } finally {
      this.#reading = false;
    }
  }

  size(): StateSize {
    return this.read(() => sizeOf(this.#database));
  }

  /** Goes over to another file of the directory. */
  switchTo(file: string): void {
    const database = openDatabase(this.#options, file);
    const tables = openTables(database);
    const old = this.#database;
    this.#database = database;
    this.#tables = tables;
    this.#version = undefined;
    old.close();
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * A commit of another connection empties the cache, page by page: a large one would be paid for after every write and would
 * rarely be full. A get that finds only the inner pages in it takes 3 us longer.
 */
const cacheSizeKib = 8 * 1024;

function openDatabase({ dir, onFailure }: ReadStoreOptions, file: string): Database {
  return new Database({
    path: join(dir, file),
    access: "readOnly",
    synchronous: "NORMAL",
    lockingMode: "normal",
    walAutocheckpointPages: 0,
    journalSizeLimitBytes: 0,
    cacheSizeKib,
    busyTimeoutMs: 5000,
    schemaVersion: stateSchemaVersion,
    schema: stateSchema,
    onFailure,
  });
}

/** raft.db: the log, the hard state and the pointer to the state file. What this file says is the truth. */
import { join } from "node:path";
import { invariant } from "../invariant.js";
import type { Entry, EntryKind, LogCompaction, SnapshotMeta } from "../raft/types.js";
import { entryChecksum } from "./checksum.js";
import { Database, type Statement } from "./database.js";
import { StorageFailure, StorageRefused } from "./failure.js";
import { assertStateFileFollows, createDirectory, firstStateFile, syncDirectory } from "./files.js";
import { decodeId, encodeId } from "./ids.js";
import {
  type BaseRow,
  baseRow,
  decodeFounders,
  encodeFounders,
  type HardRow,
  hardRow,
  hardState,
  type LogBase,
  logBase,
  logSchema,
  logSchemaVersion,
} from "./log-schema.js";
import { type LogPosition, Sentinel } from "./sentinel.js";
import type { Bootstrap, InitialState, LogBatch, LogStore } from "./types.js";

/** Name of the log in a member's directory. */
export const logFile = "raft.db";
const sentinelFile = "raft.sentinel";
const kindCodes: Readonly<Record<EntryKind, number>> = { noop: 0, command: 1, change: 2 };
const kinds: readonly EntryKind[] = ["noop", "command", "change"];

export interface LogStoreOptions {
  /** The member's data directory; created if it is missing. */
  readonly dir: string;
  /** Written if the directory holds no member yet, ignored otherwise. */
  readonly bootstrap?: Bootstrap | undefined;
  /** Never waits for the disk: an acknowledged write may be lost in a power cut. For tests. */
  readonly unsafeNoFsync?: boolean | undefined;
}

/**
 * Opens a member's log, checks all of it and counts the start. The directory stays locked until close.
 * Throws StorageRefused (`inUse`, `notInitialized`, `unsupportedVersion`) and StorageFailure (`corrupt`, `lostTail`, `io`).
 */
export function openLogStore(options: LogStoreOptions): LogStore {
  createDirectory(options.dir);
  const database = openDatabase(options);
  try {
    return new SqliteLogStore(database, options);
  } catch (error) {
    database.close();
    throw error;
  }
}

function openDatabase({ dir, unsafeNoFsync }: LogStoreOptions): Database {
  try {
    return new Database({
      path: join(dir, logFile),
      synchronous: unsafeNoFsync === true ? "OFF" : "FULL",
      lockingMode: "exclusive",
      walAutocheckpointPages: 1000,
      journalSizeLimitBytes: 64 * 1024 * 1024,
      cacheSizeKib: 8 * 1024,
      busyTimeoutMs: 0,
      schemaVersion: logSchemaVersion,
      schema: logSchema,
    });
  } catch (error) {
    if (!(error instanceof StorageRefused) || error.reason !== "inUse") throw error;
    throw new StorageRefused("inUse", `data directory ${dir} is in use by another litecd process`, { cause: error });
  }
}

class SqliteLogStore implements LogStore {
  #initial: InitialState;
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #sentinel: Sentinel;
  #base: LogBase;
  #last: LogPosition;

  constructor(database: Database, options: LogStoreOptions) {
    this.#database = database;
    this.#statements = prepare(database);
    this.#bootstrap(options);
    // Whatever the last run left unfinished in the write-ahead log is settled before anything is believed.
    database.checkpoint("TRUNCATE");
    this.#initial = this.#load();
    const { firstIndex, previousTerm, membership, stateFile } = this.#initial;
    this.#base = { firstIndex, previousTerm, membership, stateFile };
    this.#last = lastPosition(this.#initial);
    this.#sentinel = new Sentinel(join(options.dir, sentinelFile));
    try {
      this.#assertComplete(this.#sentinel.read());
      this.#sentinel.write(this.#last);
      database.write(() => this.#statements.countBoot.run());
    } catch (error) {
      this.#sentinel.close();
      throw error;
    }
  }

  get initial(): InitialState {
    return this.#initial;
  }

  releaseEntries(): void {
    this.#initial = { ...this.#initial, entries: [] };
  }

  append(batch: LogBatch): void {
    const before = this.#last;
    const { install } = batch;
    if (install === undefined) this.#extend(batch);
    else this.#install(batch, install);
    if (this.#last !== before) this.#sentinel.write(this.#last);
  }

  switchStateFile(stateFile: string): void {
    assertStateFileFollows(stateFile, this.#base.stateFile);
    const base = { ...this.#base, stateFile };
    this.#database.write(() => this.#statements.putBase.run(baseRow(base)));
    this.#base = base;
  }

  close(): void {
    this.#sentinel.close();
    this.#database.close();
  }

  #extend(batch: LogBatch): void {
    const { truncateFrom, entries, hardState: hard, compact } = batch;
    const start = this.#appendPoint(batch);
    // Before the log is shortened, so that the sentinel never leads it.
    if (start.index < this.#last.index) this.#sentinel.lower(start);
    this.#database.write(() => {
      if (truncateFrom !== undefined) this.#statements.truncate.run(truncateFrom);
      this.#last = this.#insert(entries, start);
      if (hard !== undefined) this.#statements.putHard.run(hardRow(hard));
      if (compact !== undefined) this.#compact(compact);
    });
  }

  /**
   * The log goes and starts anew after the snapshot, and the pointer moves, all or nothing. What the sentinel says meanwhile
   * holds for both logs: the old one starts after that position, and for the new one it lies before the snapshot.
   */
  #install({ hardState: hard, ...others }: LogBatch, { index, term, membership, file }: SnapshotMeta): void {
    const { firstIndex, previousTerm } = this.#base;
    const alone = others.entries.length === 0 && others.truncateFrom === undefined && others.compact === undefined;
    invariant(alone, "an installation is written together with entries", { index });
    invariant(index >= firstIndex, "a snapshot is older than the start of the log", { index, firstIndex });
    assertStateFileFollows(file, this.#base.stateFile);
    const base: LogBase = { firstIndex: index + 1, previousTerm: term, membership, stateFile: file };
    this.#sentinel.lower({ index: firstIndex - 1, term: previousTerm });
    this.#database.write(() => {
      this.#statements.clear.run();
      this.#statements.putBase.run(baseRow(base));
      if (hard !== undefined) this.#statements.putHard.run(hardRow(hard));
    });
    this.#base = base;
    this.#last = { index, term };
  }

  /** The last entry that stays before new ones are written. */
  #appendPoint({ truncateFrom }: LogBatch): LogPosition {
    if (truncateFrom === undefined) return this.#last;
    invariant(truncateFrom >= this.#base.firstIndex, "truncation reaches into the compacted log", { truncateFrom });
    return truncateFrom > this.#last.index ? this.#last : this.#position(truncateFrom - 1);
  }

  #insert(entries: readonly Entry[], start: LogPosition): LogPosition {
    let last = start;
    for (const { index, term, kind, data } of entries) {
      assertFollows({ index, term }, last);
      this.#statements.insert.run(
        index,
        term,
        kindCodes[kind],
        entryChecksum(index, term, kindCodes[kind], data),
        data,
      );
      last = { index, term };
    }
    return last;
  }

  #compact({ to, membership }: LogCompaction): void {
    if (to < this.#base.firstIndex) return;
    invariant(to <= this.#last.index, "the log is compacted beyond its end", { to, last: this.#last });
    const { index, term } = this.#position(to);
    this.#base = { ...this.#base, firstIndex: index + 1, previousTerm: term, membership };
    this.#statements.dropUpTo.run(to);
    this.#statements.putBase.run(baseRow(this.#base));
  }

  /** Index and term of an entry in the log, or of the entry just before it. */
  #position(index: number): LogPosition {
    if (index === this.#base.firstIndex - 1) return { index, term: this.#base.previousTerm };
    const term = this.#database.read(() => this.#statements.termAt.get(index)?.term);
    invariant(term !== undefined, "the log has no entry at this index", { index, last: this.#last });
    return { index, term };
  }

  #bootstrap({ dir, bootstrap }: LogStoreOptions): void {
    const present = this.#database.read(() => this.#statements.identity.get() !== undefined);
    if (present) return;
    if (bootstrap === undefined) throw new StorageRefused("notInitialized", `data directory ${dir} holds no member`);
    const { kind, identity, membership, founders = [], createdSeconds = 0 } = bootstrap;
    const { clusterId, memberId } = identity;
    // A founder's log starts after entry 1 of term 1, which stands for the founding; a joiner's has nothing before it.
    const founding = kind === "found" ? 1 : 0;
    const base: LogBase = { firstIndex: founding + 1, previousTerm: founding, membership, stateFile: firstStateFile };
    this.#database.write(() => {
      const known = encodeFounders(founders);
      this.#statements.putIdentity.run(encodeId(clusterId), encodeId(memberId), known, createdSeconds);
      this.#statements.putHard.run(hardRow({ term: founding, vote: undefined, commit: founding }));
      this.#statements.putBase.run(baseRow(base));
    });
    syncDirectory(dir);
  }

  #load(): InitialState {
    return this.#database.read(() => {
      const identity = this.#statements.identity.get();
      const hard = this.#statements.hard.get();
      const base = this.#statements.base.get();
      if (identity === undefined || hard === undefined || base === undefined) {
        throw new StorageFailure("corrupt", `${this.#database.path} lacks a row that every member has`);
      }
      const { firstIndex, previousTerm, membership, stateFile } = logBase(base);
      return {
        identity: { clusterId: decodeId(identity.cluster_id), memberId: decodeId(identity.member_id) },
        hardState: hardState(hard),
        firstIndex,
        previousTerm,
        entries: this.#loadEntries({ index: firstIndex - 1, term: previousTerm }),
        membership,
        founders: decodeFounders(identity.founders),
        stateFile,
        bootCount: identity.boot + 1,
      };
    });
  }

  #loadEntries(start: LogPosition): readonly Entry[] {
    const entries: Entry[] = [];
    let last = start;
    for (const row of this.#statements.entries.iterate()) {
      const entry = this.#checkedEntry(row, last);
      entries.push(entry);
      last = entry;
    }
    return entries;
  }

  #checkedEntry({ idx: index, term, kind: kindCode, crc, data }: EntryRow, last: LogPosition): Entry {
    const path = this.#database.path;
    if (crc !== entryChecksum(index, term, kindCode, data)) {
      throw new StorageFailure("corrupt", `${path}: log entry ${index} has a wrong checksum; replace this member`);
    }
    if (index !== last.index + 1 || term < last.term) {
      const numbers = `entry ${index} of term ${term} follows entry ${last.index} of term ${last.term}`;
      throw new StorageFailure("corrupt", `${path}: ${numbers}; replace this member`);
    }
    const kind = kinds[kindCode];
    if (kind === undefined) {
      const message = `${path}: log entry ${index} is of kind ${kindCode}, which this litecd does not know`;
      throw new StorageRefused("unsupportedVersion", message);
    }
    return { index, term, kind, data };
  }

  /** Entries that were acknowledged can not be missed by chance: damage, or a file that was put back. */
  #assertComplete(seen: LogPosition | undefined): void {
    const { commit } = this.#initial.hardState;
    const path = this.#database.path;
    const end = `${path} ends at entry ${this.#last.index} of term ${this.#last.term}`;
    if (commit > this.#last.index) {
      throw new StorageFailure("lostTail", `${end}, but entry ${commit} was committed; replace this member`);
    }
    if (seen === undefined || seen.index < this.#base.firstIndex - 1) return;
    if (seen.index <= this.#last.index && this.#position(seen.index).term === seen.term) return;
    const written = `entry ${seen.index} of term ${seen.term} was written`;
    throw new StorageFailure("lostTail", `${end}, but ${written}; replace this member`);
  }
}

function lastPosition({ entries, firstIndex, previousTerm }: InitialState): LogPosition {
  const newest = entries.at(-1);
  if (newest === undefined) return { index: firstIndex - 1, term: previousTerm };
  return { index: newest.index, term: newest.term };
}

function assertFollows(next: LogPosition, last: LogPosition): void {
  invariant(next.index === last.index + 1, "a log entry does not follow the last one", { next, last });
  invariant(next.term >= last.term, "terms never go backwards", { next, last });
}

interface EntryRow {
  readonly idx: number;
  readonly term: number;
  readonly kind: number;
  readonly crc: number;
  readonly data: Buffer;
}

interface IdentityRow {
  readonly cluster_id: Buffer;
  readonly member_id: Buffer;
  readonly founders: string;
  readonly boot: number;
}

interface Statements {
  readonly insert: Statement<[index: number, term: number, kind: number, crc: number, data: Uint8Array]>;
  readonly clear: Statement<[]>;
  readonly truncate: Statement<[from: number]>;
  readonly dropUpTo: Statement<[index: number]>;
  readonly termAt: Statement<[index: number], { term: number }>;
  readonly entries: Statement<[], EntryRow>;
  readonly hard: Statement<[], HardRow>;
  readonly putHard: Statement<[HardRow]>;
  readonly base: Statement<[], BaseRow>;
  readonly putBase: Statement<[BaseRow]>;
  readonly identity: Statement<[], IdentityRow>;
  readonly putIdentity: Statement<
    [clusterId: Uint8Array, memberId: Uint8Array, founders: string, createdSeconds: number]
  >;
  readonly countBoot: Statement<[]>;
}

function prepare(database: Database): Statements {
  return {
    insert: database.statement("INSERT INTO log(idx, term, kind, crc, data) VALUES (?, ?, ?, ?, ?)"),
    clear: database.statement("DELETE FROM log"),
    truncate: database.statement("DELETE FROM log WHERE idx >= ?"),
    dropUpTo: database.statement("DELETE FROM log WHERE idx <= ?"),
    termAt: database.statement("SELECT term FROM log WHERE idx = ?"),
    entries: database.statement("SELECT idx, term, kind, crc, data FROM log ORDER BY idx"),
    hard: database.statement("SELECT term, vote, commit_hint, crc FROM hard"),
    putHard: database.statement("REPLACE INTO hard VALUES (1, @term, @vote, @commit_hint, @crc)"),
    base: database.statement("SELECT first_index, prev_term, members, state_file, crc FROM base"),
    putBase: database.statement("REPLACE INTO base VALUES (1, @first_index, @prev_term, @members, @state_file, @crc)"),
    identity: database.statement("SELECT cluster_id, member_id, founders, boot FROM ident"),
    putIdentity: database.statement("INSERT INTO ident VALUES (1, ?, ?, ?, ?, 0)"),
    countBoot: database.statement("UPDATE ident SET boot = boot + 1"),
  };
}

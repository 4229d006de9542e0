/** The table `rev`: every change of every key, in the order it happened. */
import { pairChecksum, revisionChecksum } from "./checksum.js";
import type { Database, Statement } from "./database.js";
import { StorageFailure } from "./failure.js";

/** Positions inside one revision take this many bits of an id. */
const positionBits = 20n;

/** Changes that one revision can hold. */
export const revisionChangesMax = 2 ** Number(positionBits) - 1;

/** Places at which a table that is too large to be verified whole is looked at. */
const verifyRuns = 500;

/** One row of `rev`; its checksum was right when it was read. */
export interface StoredRevision {
  readonly id: bigint;
  readonly deleted: boolean;
  /** Encoded KeyValue; memory of its own. */
  readonly kv: Uint8Array;
}

/** id, prev, del, crc, kv. */
export type RevisionRow = [id: bigint, prev: bigint | null, del: bigint, crc: bigint, kv: Buffer];
export const revisionColumns = "r.id, r.prev, r.del, r.crc, r.kv";

/** The key of a change in `rev`. Never a JS number: those lose bits beyond 2^53. */
export function revisionId(revision: number, position: number): bigint {
  return (BigInt(revision) << positionBits) | BigInt(position);
}

/** The revision that an id belongs to. */
export function revisionOf(id: bigint): number {
  return Number(id >> positionBits);
}

/** What a new row holds. `previous` is the id of the former change of the key. */
export interface NewRevision {
  readonly id: bigint;
  readonly previous: bigint | undefined;
  readonly deleted: boolean;
  readonly kv: Uint8Array;
}

export class RevisionTable {
  readonly #path: string;
  readonly #insert: Statement<[bigint, bigint | null, number, number, Uint8Array]>;
  readonly #get: Statement<[bigint], RevisionRow>;
  readonly #before: Statement<[bigint, bigint], RevisionRow>;
  readonly #since: Statement<[bigint, bigint], RevisionRow>;
  readonly #stepEnd: Statement<[bigint, bigint, number], [bigint | null]>;
  readonly #dropPrevious: Statement<[bigint, bigint]>;
  readonly #tombstones: Statement<[bigint, bigint], RevisionRow>;
  readonly #dropTombstones: Statement<[bigint, bigint]>;
  readonly #run: Statement<[bigint, bigint, number], RevisionRow>;
  readonly #extent: Statement<[], [count: bigint, first: bigint | null, last: bigint | null]>;

  constructor(database: Database) {
    this.#path = database.path;
    this.#insert = database.statement("INSERT INTO rev(id, prev, del, crc, kv) VALUES (?, ?, ?, ?, ?)");
    this.#get = database.rawStatement(revisionSql.get);
    this.#before = database.rawStatement(revisionSql.before);
    this.#since = database.rawStatement(revisionSql.since);
    this.#stepEnd = database.rawStatement(revisionSql.stepEnd);
    this.#dropPrevious = database.statement(revisionSql.dropPrevious);
    this.#tombstones = database.rawStatement(revisionSql.tombstones);
    this.#dropTombstones = database.statement(revisionSql.dropTombstones);
    this.#run = database.rawStatement(`${revisionSql.since} LIMIT ?`);
    this.#extent = database.rawStatement("SELECT count(*), min(id), max(id) FROM rev");
  }

  /** Returns the checksum of the pair alone. */
  insert({ id, previous, deleted, kv }: NewRevision): number {
    const pair = pairChecksum(kv);
    const crc = revisionChecksum(id, previous ?? 0n, deleted, pair);
    this.#insert.run(id, previous ?? null, deleted ? 1 : 0, crc, kv);
    return pair;
  }

  /** Throws StorageFailure `corrupt` if there is no such row. */
  get(id: bigint): StoredRevision {
    const row = this.#get.get(id);
    if (row === undefined) throw new StorageFailure("corrupt", `${this.#path}: change ${id} is missing`);
    return this.checked(row);
  }

  /** The newest change of the key of `id` that is older than `bound`; undefined if there is none (any more). */
  before(id: bigint, bound: bigint): StoredRevision | undefined {
    const row = this.#before.get(bound, id);
    return row === undefined ? undefined : this.checked(row);
  }

  /** Changes with from <= id < to, oldest first. Nothing else may run on the database while it is iterated. */
  *between(from: bigint, to: bigint): Generator<StoredRevision> {
    for (const row of this.#since.iterate(from, to)) yield this.checked(row);
  }

  /** Id of the last of the first `rowsMax` rows in [from, to); undefined if there are none. */
  stepEnd(from: bigint, to: bigint, rowsMax: number): bigint | undefined {
    return this.#stepEnd.get(from, to, rowsMax)?.[0] ?? undefined;
  }

  /** Deletes the predecessors of the rows in [first, last]. */
  dropPrevious(first: bigint, last: bigint): void {
    this.#dropPrevious.run(first, last);
  }

  /** Tombstones in [first, before). */
  tombstones(first: bigint, before: bigint): readonly StoredRevision[] {
    return this.#tombstones.all(first, before).map((row) => this.checked(row));
  }

  dropTombstones(first: bigint, before: bigint): void {
    this.#dropTombstones.run(first, before);
  }

  /**
   * Reads rows so that their checksums are looked at: all of them if there are no more than `rowsMax`, else about as many,
   * in runs that are spread evenly. Throws StorageFailure `corrupt`.
   */
  verify(rowsMax: number): void {
    const [count, first, last] = this.#extent.get() ?? [0n, null, null];
    if (first === null || last === null) return;
    const runs = Number(count) <= rowsMax ? 1 : verifyRuns;
    const stride = (last - first) / BigInt(runs) + 1n;
    for (let from = first; from <= last; from += stride) {
      for (const row of this.#run.iterate(from, from + stride, Math.ceil(rowsMax / runs))) this.checked(row);
    }
  }

  /** The row, if its checksum is right; else StorageFailure `corrupt`. */
  checked([id, prev, del, crc, kv]: RevisionRow): StoredRevision {
    const deleted = del !== 0n;
    if (Number(crc) !== revisionChecksum(id, prev ?? 0n, deleted, pairChecksum(kv))) {
      throw new StorageFailure("corrupt", `${this.#path}: change ${id} has a wrong checksum; replace this member`);
    }
    return { id, deleted, kv };
  }
}

/** Texts of the statements; their plans are pinned by tests. */
export const revisionSql = {
  get: `SELECT ${revisionColumns} FROM rev r WHERE r.id = ?`,
  before: `SELECT ${revisionColumns} FROM rev r WHERE r.id = (
      WITH RECURSIVE chain(id, bound) AS (
        SELECT prev, ? FROM rev WHERE id = ?
        UNION ALL
        SELECT o.prev, chain.bound FROM chain CROSS JOIN rev o ON o.id = chain.id WHERE chain.id >= chain.bound
      ) SELECT id FROM chain WHERE id < bound LIMIT 1)`,
  since: `SELECT ${revisionColumns} FROM rev r WHERE r.id >= ? AND r.id < ? ORDER BY r.id`,
  stepEnd: "SELECT max(id) FROM (SELECT id FROM rev WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
  dropPrevious: "DELETE FROM rev WHERE id IN (SELECT prev FROM rev WHERE id BETWEEN ? AND ? AND prev IS NOT NULL)",
  tombstones: `SELECT ${revisionColumns} FROM rev r WHERE r.id >= ? AND r.id < ? AND r.del = 1 ORDER BY r.id`,
  dropTombstones: "DELETE FROM rev WHERE id >= ? AND id < ? AND del = 1",
} as const;

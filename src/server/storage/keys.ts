/** The table `cur`: the newest change of each key, without values. */
import type { Database, Statement } from "./database.js";

/** The newest change of a key; `dead` if it is a tombstone. */
export interface KeyRow {
  readonly id: bigint;
  readonly createRevision: bigint;
  readonly version: bigint;
  readonly lease: bigint;
  readonly dead: boolean;
}

/** A living key and its newest change. */
export interface KeyRef {
  readonly key: Uint8Array;
  readonly id: bigint;
}

type Row = [id: bigint, crt: bigint, ver: bigint, lease: bigint, dead: bigint];

export class KeyTable {
  readonly #get: Statement<[Uint8Array], Row>;
  readonly #insert: Statement<[Uint8Array, bigint, bigint, bigint, bigint]>;
  readonly #update: Statement<[bigint, bigint, bigint, bigint, Uint8Array]>;
  readonly #bury: Statement<[bigint, Uint8Array]>;
  readonly #forget: Statement<[Uint8Array, bigint]>;
  readonly #ofLease: Statement<[bigint], [Buffer, bigint]>;

  constructor(database: Database) {
    this.#get = database.rawStatement(keySql.get);
    this.#insert = database.statement("INSERT INTO cur(key, id, crt, ver, lease, dead) VALUES (?, ?, ?, ?, ?, 0)");
    this.#update = database.statement("UPDATE cur SET id = ?, crt = ?, ver = ?, lease = ?, dead = 0 WHERE key = ?");
    this.#bury = database.statement("UPDATE cur SET id = ?, crt = 0, ver = 0, lease = 0, dead = 1 WHERE key = ?");
    this.#forget = database.statement("DELETE FROM cur WHERE key = ? AND id = ? AND dead = 1");
    this.#ofLease = database.rawStatement(keySql.ofLease);
  }

  get(key: Uint8Array): KeyRow | undefined {
    const row = this.#get.get(key);
    if (row === undefined) return undefined;
    return { id: row[0], createRevision: row[1], version: row[2], lease: row[3], dead: row[4] !== 0n };
  }

  insert(key: Uint8Array, { id, createRevision, version, lease }: Omit<KeyRow, "dead">): void {
    this.#insert.run(key, id, createRevision, version, lease);
  }

  update(key: Uint8Array, { id, createRevision, version, lease }: Omit<KeyRow, "dead">): void {
    this.#update.run(id, createRevision, version, lease, key);
  }

  /** Marks a key as deleted by the change `id`. */
  bury(key: Uint8Array, id: bigint): void {
    this.#bury.run(id, key);
  }

  /** Drops the row of a deleted key, if `id` is still its newest change. */
  forget(key: Uint8Array, id: bigint): void {
    this.#forget.run(key, id);
  }

  /** Keys attached to a lease, in byte order. */
  ofLease(lease: bigint): readonly KeyRef[] {
    return this.#ofLease.all(lease).map(([key, id]) => ({ key, id }));
  }
}

/** Texts of the statements; their plans are pinned by tests. */
export const keySql = {
  get: "SELECT id, crt, ver, lease, dead FROM cur WHERE key = ?",
  // Without the second condition SQLite does not see that the partial index covers the query, and scans the table.
  ofLease: "SELECT key, id FROM cur WHERE lease = ? AND lease <> 0 ORDER BY key",
} as const;

/** The small tables of a state file: meta, lease, member, alarm. */
import type { Database, Statement } from "./database.js";
import { decodeId, encodeId } from "./ids.js";

/** Numbers in `meta`. Absent means: never written. */
export type MetaNumber = "applied_index" | "applied_term" | "revision" | "compact_revision" | "durable_index";

export class MetaTable {
  readonly #get: Statement<[string], { v: unknown }>;
  readonly #put: Statement<[string, bigint | string | Uint8Array]>;
  readonly #remove: Statement<[string]>;

  constructor(database: Database) {
    this.#get = database.statement("SELECT v FROM meta WHERE k = ?");
    this.#put = database.statement("INSERT INTO meta(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v");
    this.#remove = database.statement("DELETE FROM meta WHERE k = ?");
  }

  number(key: MetaNumber): number | undefined {
    const value = this.#get.get(key)?.v;
    return value === undefined ? undefined : Number(value);
  }

  putNumber(key: MetaNumber, value: number): void {
    // As an integer: a JS number would be stored as floating point in a column of any type.
    this.#put.run(key, BigInt(value));
  }

  text(key: "cluster_version" | "downgrade_target"): string | undefined {
    const value = this.#get.get(key)?.v;
    return typeof value === "string" ? value : undefined;
  }

  putText(key: "cluster_version" | "downgrade_target", value: string): void {
    this.#put.run(key, value);
  }

  removeText(key: "downgrade_target"): void {
    this.#remove.run(key);
  }

  clusterId(): bigint | undefined {
    const value = this.#get.get("cluster_id")?.v;
    return value instanceof Uint8Array ? decodeId(value) : undefined;
  }

  putClusterId(id: bigint): void {
    this.#put.run("cluster_id", encodeId(id));
  }
}

/** Where physical compaction goes on: the next id to look at. Kept in `meta`; no row means it has caught up. */
export class CompactCursor {
  readonly #get: Statement<[], [bigint]>;
  readonly #put: Statement<[bigint]>;
  readonly #remove: Statement<[]>;

  constructor(database: Database) {
    this.#get = database.rawStatement("SELECT v FROM meta WHERE k = 'compact_cursor'");
    this.#put = database.statement(
      "INSERT INTO meta(k, v) VALUES ('compact_cursor', ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
    );
    this.#remove = database.statement("DELETE FROM meta WHERE k = 'compact_cursor'");
  }

  get(): bigint | undefined {
    return this.#get.get()?.[0];
  }

  put(next: bigint): void {
    this.#put.run(next);
  }

  remove(): void {
    this.#remove.run();
  }
}

/** A lease as it is stored; seconds. */
export interface StoredLease {
  readonly id: bigint;
  readonly ttlSeconds: number;
}

export class LeaseTable {
  readonly #get: Statement<[bigint], [bigint, bigint]>;
  readonly #all: Statement<[], [bigint, bigint]>;
  readonly #insert: Statement<[bigint, number]>;
  readonly #remove: Statement<[bigint]>;

  constructor(database: Database) {
    this.#get = database.rawStatement("SELECT id, ttl FROM lease WHERE id = ?");
    this.#all = database.rawStatement("SELECT id, ttl FROM lease ORDER BY id");
    this.#insert = database.statement("INSERT INTO lease(id, ttl, remaining) VALUES (?, ?, 0)");
    this.#remove = database.statement("DELETE FROM lease WHERE id = ?");
  }

  get(id: bigint): StoredLease | undefined {
    const row = this.#get.get(id);
    return row === undefined ? undefined : { id: row[0], ttlSeconds: Number(row[1]) };
  }

  all(): readonly StoredLease[] {
    return this.#all.all().map(([id, ttl]) => ({ id, ttlSeconds: Number(ttl) }));
  }

  insert({ id, ttlSeconds }: StoredLease): void {
    this.#insert.run(id, ttlSeconds);
  }

  remove(id: bigint): void {
    this.#remove.run(id);
  }
}

export interface StoredMember {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

interface MemberRow {
  readonly id: Buffer;
  readonly name: string;
  readonly peer_urls: string;
  readonly client_urls: string;
  readonly learner: number;
}

export class MemberTable {
  readonly #all: Statement<[], MemberRow>;
  readonly #put: Statement<[Uint8Array, string, string, string, number]>;

  constructor(database: Database) {
    this.#all = database.statement("SELECT id, name, peer_urls, client_urls, learner FROM member ORDER BY id");
    this.#put = database.statement(
      "REPLACE INTO member(id, name, peer_urls, client_urls, learner) VALUES (?, ?, ?, ?, ?)",
    );
  }

  /** In order of id. */
  all(): readonly StoredMember[] {
    return this.#all.all().map((row) => ({
      id: decodeId(row.id),
      name: row.name,
      peerUrls: JSON.parse(row.peer_urls) as string[],
      clientUrls: JSON.parse(row.client_urls) as string[],
      learner: row.learner === 1,
    }));
  }

  put({ id, name, peerUrls, clientUrls, learner }: StoredMember): void {
    this.#put.run(encodeId(id), name, JSON.stringify(peerUrls), JSON.stringify(clientUrls), learner ? 1 : 0);
  }
}

/** `type` is the number that the wire gives the alarm. */
export interface StoredAlarm {
  readonly memberId: bigint;
  readonly type: number;
}

export class AlarmTable {
  readonly #all: Statement<[], { member: Buffer; type: number }>;
  readonly #insert: Statement<[Uint8Array, number]>;
  readonly #remove: Statement<[Uint8Array, number]>;

  constructor(database: Database) {
    this.#all = database.statement("SELECT member, type FROM alarm ORDER BY member, type");
    this.#insert = database.statement("INSERT INTO alarm(member, type) VALUES (?, ?) ON CONFLICT DO NOTHING");
    this.#remove = database.statement("DELETE FROM alarm WHERE member = ? AND type = ?");
  }

  /** In order of member id, then type. */
  all(): readonly StoredAlarm[] {
    return this.#all.all().map(({ member, type }) => ({ memberId: decodeId(member), type }));
  }

  insert({ memberId, type }: StoredAlarm): void {
    this.#insert.run(encodeId(memberId), type);
  }

  /** True if there was such an alarm. */
  remove({ memberId, type }: StoredAlarm): boolean {
    return this.#remove.run(encodeId(memberId), type).changes > 0;
  }
}

/** The small tables of a state file: meta, mark, lease, member, removed, alarm. */
import type { Membership } from "../raft/types.js";
import type { Database, Statement } from "./database.js";
import { decodeId, encodeId } from "./ids.js";

/** Numbers in `meta`. Absent means: never written. */
export type MetaNumber =
  | "applied_index"
  | "applied_term"
  | "revision"
  | "compact_revision"
  | "durable_index"
  | "state_hash"
  | "auth_enabled"
  | "auth_revision"
  | "auth_version";

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

/** The rolling hash of the state as it was when the entry `index` was applied. */
export interface StoredMark {
  readonly index: number;
  readonly hash: number;
}

/** Marks that are kept. */
const marksMax = 8;

export class MarkTable {
  readonly #all: Statement<[], StoredMark>;
  readonly #insert: Statement<[number, number]>;
  readonly #dropOld: Statement<[]>;
  readonly #clear: Statement<[]>;

  constructor(database: Database) {
    this.#all = database.statement('SELECT idx AS "index", hash FROM mark ORDER BY idx');
    this.#insert = database.statement("INSERT INTO mark(idx, hash) VALUES (?, ?)");
    this.#dropOld = database.statement(
      `DELETE FROM mark WHERE idx NOT IN (SELECT idx FROM mark ORDER BY idx DESC LIMIT ${marksMax})`,
    );
    this.#clear = database.statement("DELETE FROM mark");
  }

  /** Oldest first. */
  all(): readonly StoredMark[] {
    return this.#all.all();
  }

  /** Adds a mark and drops the oldest one if there are too many. */
  insert({ index, hash }: StoredMark): void {
    this.#insert.run(index, hash);
    this.#dropOld.run();
  }

  clear(): void {
    this.#clear.run();
  }
}

/** A lease as it is stored; seconds. */
export interface StoredLease {
  readonly id: bigint;
  readonly ttlSeconds: number;
  /** What was left of it at the last checkpoint; 0 if there was none. */
  readonly remainingSeconds: number;
}

type LeaseRow = [id: bigint, ttl: bigint, remaining: bigint];

function leaseOf([id, ttl, remaining]: LeaseRow): StoredLease {
  return { id, ttlSeconds: Number(ttl), remainingSeconds: Number(remaining) };
}

export class LeaseTable {
  readonly #get: Statement<[bigint], LeaseRow>;
  readonly #all: Statement<[], LeaseRow>;
  readonly #insert: Statement<[bigint, number, number]>;
  readonly #checkpoint: Statement<[number, bigint]>;
  readonly #remove: Statement<[bigint]>;

  constructor(database: Database) {
    this.#get = database.rawStatement("SELECT id, ttl, remaining FROM lease WHERE id = ?");
    this.#all = database.rawStatement("SELECT id, ttl, remaining FROM lease ORDER BY id");
    this.#insert = database.statement("INSERT INTO lease(id, ttl, remaining) VALUES (?, ?, ?)");
    this.#checkpoint = database.statement("UPDATE lease SET remaining = ? WHERE id = ?");
    this.#remove = database.statement("DELETE FROM lease WHERE id = ?");
  }

  get(id: bigint): StoredLease | undefined {
    const row = this.#get.get(id);
    return row === undefined ? undefined : leaseOf(row);
  }

  all(): readonly StoredLease[] {
    return this.#all.all().map(leaseOf);
  }

  insert({ id, ttlSeconds, remainingSeconds }: StoredLease): void {
    this.#insert.run(id, ttlSeconds, remainingSeconds);
  }

  /** Remembers what is left of a lease; 0 takes that back. */
  checkpoint(id: bigint, remainingSeconds: number): void {
    this.#checkpoint.run(remainingSeconds, id);
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

/** The configuration that members make up. */
export function membershipOf(members: readonly StoredMember[]): Membership {
  return {
    voters: members.filter(({ learner }) => !learner).map(({ id }) => id),
    learners: members.filter(({ learner }) => learner).map(({ id }) => id),
  };
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
  readonly #remove: Statement<[Uint8Array]>;
  readonly #put: Statement<[Uint8Array, string, string, string, number]>;

  constructor(database: Database) {
    this.#all = database.statement("SELECT id, name, peer_urls, client_urls, learner FROM member ORDER BY id");
    this.#remove = database.statement("DELETE FROM member WHERE id = ?");
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

  remove(id: bigint): void {
    this.#remove.run(encodeId(id));
  }
}

/** Ids that were members once and can never be again. */
export class RemovedTable {
  readonly #has: Statement<[Uint8Array], { id: Buffer }>;
  readonly #all: Statement<[], { id: Buffer }>;
  readonly #insert: Statement<[Uint8Array]>;
  readonly #clear: Statement<[]>;

  constructor(database: Database) {
    this.#has = database.statement("SELECT id FROM removed WHERE id = ?");
    this.#all = database.statement("SELECT id FROM removed ORDER BY id");
    this.#insert = database.statement("INSERT INTO removed(id) VALUES (?)");
    this.#clear = database.statement("DELETE FROM removed");
  }

  has(id: bigint): boolean {
    return this.#has.get(encodeId(id)) !== undefined;
  }

  /** In order of id. */
  all(): readonly bigint[] {
    return this.#all.all().map(({ id }) => decodeId(id));
  }

  insert(id: bigint): void {
    this.#insert.run(encodeId(id));
  }

  clear(): void {
    this.#clear.run();
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

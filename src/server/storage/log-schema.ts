/** Tables of raft.db (spec/raft-storage.md 4.5) and the checksums of its single rows. */
import type { HardState, MemberId, Membership } from "../raft/types.js";
import { fieldsChecksum } from "./checksum.js";
import { StorageFailure } from "./failure.js";
import { decodeId, encodeId } from "./ids.js";
import type { StoredMember } from "./tables.js";

export const logSchemaVersion = 1;

/**
 * `log`: one row an entry; kind 0 is the empty entry of a new leader, 1 a command, 2 a change of the membership. `hard`: term,
 * vote (8 bytes or null) and a lower bound of the commit index. `base`: where the log starts, the membership before that
 * entry, and the pointer to the state file. `ident`: who this member is (8-byte ids), the founders of the cluster (JSON, ids
 * in hexadecimal), when it was created (Unix seconds, 0 if unknown), how often it was opened.
 */
export const logSchema = `
  CREATE TABLE log(
    idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE hard(
    one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL, vote BLOB, commit_hint INTEGER NOT NULL,
    crc INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE base(
    one INTEGER PRIMARY KEY CHECK (one = 1), first_index INTEGER NOT NULL, prev_term INTEGER NOT NULL,
    members TEXT NOT NULL, state_file TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE ident(
    one INTEGER PRIMARY KEY CHECK (one = 1), cluster_id BLOB NOT NULL, member_id BLOB NOT NULL,
    founders TEXT NOT NULL, created INTEGER NOT NULL, boot INTEGER NOT NULL
  ) STRICT`;

/** Where the log starts and what it belongs to. */
export interface LogBase {
  readonly firstIndex: number;
  readonly previousTerm: number;
  readonly membership: Membership;
  readonly stateFile: string;
}

export interface HardRow {
  readonly term: number;
  readonly vote: Uint8Array | null;
  readonly commit_hint: number;
  readonly crc: number;
}

export interface BaseRow {
  readonly first_index: number;
  readonly prev_term: number;
  readonly members: string;
  readonly state_file: string;
  readonly crc: number;
}

export function hardRow({ term, vote, commit }: HardState): HardRow {
  const stored = vote === undefined ? null : encodeId(vote);
  return { term, vote: stored, commit_hint: commit, crc: hardChecksum(term, stored, commit) };
}

/** Throws StorageFailure `corrupt` if the row was damaged. */
export function hardState(row: HardRow): HardState {
  assertChecksum(row.crc, hardChecksum(row.term, row.vote, row.commit_hint), "hard");
  return { term: row.term, vote: row.vote === null ? undefined : decodeId(row.vote), commit: row.commit_hint };
}

export function baseRow(base: LogBase): BaseRow {
  const members = encodeMembership(base.membership);
  const fields = [base.firstIndex, base.previousTerm, members, base.stateFile] as const;
  const [first_index, prev_term, , state_file] = fields;
  return { first_index, prev_term, members, state_file, crc: fieldsChecksum(fields) };
}

/** Throws StorageFailure `corrupt` if the row was damaged. */
export function logBase(row: BaseRow): LogBase {
  assertChecksum(row.crc, fieldsChecksum([row.first_index, row.prev_term, row.members, row.state_file]), "base");
  return {
    firstIndex: row.first_index,
    previousTerm: row.prev_term,
    membership: decodeMembership(row.members),
    stateFile: row.state_file,
  };
}

function hardChecksum(term: number, vote: Uint8Array | null, commit: number): number {
  return fieldsChecksum([term, vote === null ? null : Buffer.from(vote).toString("hex"), commit]);
}

/** Ids as hexadecimal text, so that the row can be read with any SQLite tool. */
function encodeMembership({ voters, learners }: Membership): string {
  return JSON.stringify({ voters: voters.map(toHex), learners: learners.map(toHex) });
}

function decodeMembership(text: string): Membership {
  const { voters, learners } = JSON.parse(text) as { voters: string[]; learners: string[] };
  return { voters: voters.map(fromHex), learners: learners.map(fromHex) };
}

export function encodeFounders(founders: readonly StoredMember[]): string {
  return JSON.stringify(founders.map((founder) => ({ ...founder, id: toHex(founder.id) })));
}

export function decodeFounders(text: string): readonly StoredMember[] {
  const founders = JSON.parse(text) as (Omit<StoredMember, "id"> & { id: string })[];
  return founders.map((founder) => ({ ...founder, id: fromHex(founder.id) }));
}

function toHex(id: MemberId): string {
  return id.toString(16);
}

function fromHex(hex: string): MemberId {
  return BigInt(`0x${hex}`);
}

function assertChecksum(stored: number, computed: number, table: string): void {
  if (stored === computed) return;
  throw new StorageFailure("corrupt", `the row of table ${table} in raft.db has a wrong checksum; replace this member`);
}

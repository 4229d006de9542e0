/**
 * What a database of the memory medium holds: the tables of both schemas, as `log-schema.ts` and `state-schema.ts` have
 * them, with transactions, copies, and an encoding for files.
 */
import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";
import { latin1 } from "../../../check/sequential-model.js";
import { Rows } from "./rows.js";

export interface LogRow {
  readonly idx: number;
  readonly term: number;
  readonly kind: number;
  readonly crc: number;
  readonly data: Uint8Array;
}

/** As `rev` is read: id, prev, del, crc, kv. */
export type RevRow = readonly [id: bigint, prev: bigint | null, del: bigint, crc: bigint, kv: Uint8Array];

export interface CurRow {
  readonly key: Uint8Array;
  /** The key as text of one character a byte, which sorts as the bytes do. */
  readonly name: string;
  readonly id: bigint;
  readonly crt: bigint;
  readonly ver: bigint;
  readonly lease: bigint;
  readonly dead: bigint;
}

export interface MemberRow {
  readonly id: Buffer;
  readonly name: string;
  readonly peer_urls: string;
  readonly client_urls: string;
  readonly learner: number;
}

export interface AlarmRow {
  readonly member: Buffer;
  readonly type: number;
}

export interface UserRow {
  readonly name: string;
  readonly password_hash: string;
  readonly no_password: number;
  readonly roles: string;
}

export interface PermissionRow {
  readonly role: string;
  readonly key: Buffer;
  readonly range_end: Buffer;
  readonly type: number;
}

export type MetaValue = bigint | string | Uint8Array;

/** Tables of one row. */
export interface Singles {
  readonly hard: object | undefined;
  readonly base: object | undefined;
  readonly ident: { readonly boot: number } | undefined;
  readonly userVersion: number;
  readonly applicationId: number;
}

/** Everything, as it is copied and encoded. */
interface Content {
  readonly singles: Singles;
  readonly log: readonly LogRow[];
  readonly rev: readonly RevRow[];
  readonly cur: readonly CurRow[];
  readonly meta: readonly (readonly [string, MetaValue])[];
  readonly lease: readonly (readonly [bigint, bigint, bigint])[];
  readonly member: readonly MemberRow[];
  readonly removed: readonly Buffer[];
  readonly mark: readonly { readonly index: number; readonly hash: number }[];
  readonly alarm: readonly AlarmRow[];
  readonly user: readonly UserRow[];
  readonly role: readonly string[];
  readonly permission: readonly PermissionRow[];
}

const empty: Content = {
  singles: { hard: undefined, base: undefined, ident: undefined, userVersion: 0, applicationId: 0 },
  log: [],
  rev: [],
  cur: [],
  meta: [],
  lease: [],
  member: [],
  removed: [],
  mark: [],
  alarm: [],
  user: [],
  role: [],
  permission: [],
};

export class Tables {
  private taken: (() => void)[] | undefined;
  private readonly undo = (takeBack: () => void): void => {
    this.taken?.push(takeBack);
  };
  private one: Singles;
  readonly log: Rows<number, LogRow>;
  readonly rev: Rows<bigint, RevRow>;
  readonly cur: Rows<string, CurRow>;
  readonly meta: Rows<string, readonly [string, MetaValue]>;
  readonly lease: Rows<bigint, readonly [bigint, bigint, bigint]>;
  readonly member: Rows<string, MemberRow>;
  readonly removed: Rows<string, Buffer>;
  readonly mark: Rows<number, { readonly index: number; readonly hash: number }>;
  readonly alarm: Rows<string, AlarmRow>;
  readonly user: Rows<string, UserRow>;
  readonly role: Rows<string, string>;
  readonly permission: Rows<string, PermissionRow>;

  constructor(content: Content = empty) {
    const { undo } = this;
    this.one = content.singles;
    this.log = new Rows(({ idx }) => idx, undo, content.log);
    this.rev = new Rows((row) => row[0], undo, content.rev);
    this.cur = new Rows(({ name }) => name, undo, content.cur);
    this.meta = new Rows((row) => row[0], undo, content.meta);
    this.lease = new Rows((row) => row[0], undo, content.lease);
    this.member = new Rows(({ id }) => latin1(id), undo, content.member);
    this.removed = new Rows(latin1, undo, content.removed);
    this.mark = new Rows(({ index }) => index, undo, content.mark);
    this.alarm = new Rows(alarmName, undo, content.alarm);
    this.user = new Rows(({ name }) => utf8(name), undo, content.user);
    this.role = new Rows(utf8, undo, content.role);
    this.permission = new Rows(permissionName, undo, content.permission);
  }

  get singles(): Singles {
    return this.one;
  }

  /** Replaces some of the tables of one row. */
  putSingles(singles: Partial<Singles>): void {
    const before = this.one;
    this.one = { ...before, ...singles };
    this.undo(() => {
      this.one = before;
    });
  }

  get inTransaction(): boolean {
    return this.taken !== undefined;
  }

  begin(): void {
    if (this.taken !== undefined) throw new Error("cannot start a transaction within a transaction");
    this.taken = [];
  }

  commit(): void {
    this.taken = undefined;
  }

  rollback(): void {
    const { taken = [] } = this;
    this.taken = undefined;
    for (const takeBack of taken.toReversed()) takeBack();
  }

  /** As it is now; later changes do not reach the copy. */
  copy(): Tables {
    return new Tables(this.content());
  }

  /** The bytes of a file that holds this. */
  encode(): Buffer {
    const body = serialize(this.content());
    const head = Buffer.alloc(headBytes);
    head.write(magic, "latin1");
    head.writeUInt32LE(crc32(body), magic.length);
    return Buffer.concat([head, body]);
  }

  private content(): Content {
    return {
      singles: this.one,
      log: this.log.share(),
      rev: this.rev.share(),
      cur: this.cur.share(),
      meta: this.meta.share(),
      lease: this.lease.share(),
      member: this.member.share(),
      removed: this.removed.share(),
      mark: this.mark.share(),
      alarm: this.alarm.share(),
      user: this.user.share(),
      role: this.role.share(),
      permission: this.permission.share(),
    };
  }
}

const magic = "memory medium of the simulator\n\0";
const headBytes = magic.length + 4;

/** What the bytes of a file hold; undefined if they are damaged. */
export function decodeTables(bytes: Buffer): Tables | undefined {
  if (bytes.length === 0) return new Tables();
  const body = bytes.subarray(headBytes);
  const sound = latin1(bytes.subarray(0, magic.length)) === magic && bytes.readUInt32LE(magic.length) === crc32(body);
  return sound ? new Tables(deserialize(body) as Content) : undefined;
}

/** In the order of member and type. */
function alarmName({ member, type }: AlarmRow): string {
  return latin1(member) + String.fromCharCode(type);
}

/** Text as one character a byte, which sorts as SQLite sorts text. */
export function utf8(text: string): string {
  return latin1(Buffer.from(text));
}

/** In the order of role, key and range end; a character that no byte is stands between them. */
export function permissionName({ role, key, range_end }: Omit<PermissionRow, "type">): string {
  return [utf8(role), latin1(key), latin1(range_end)].map(escapeZeros).join("\0\0");
}

function escapeZeros(bytes: string): string {
  return bytes.replaceAll("\0", "\0\x01");
}

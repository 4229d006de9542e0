/** A state in a temporary directory, driven with commands as the log would bring them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import {
  type Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  type TxnRequest,
} from "../../../proto/gen/etcd/rpc.js";
import { WireError } from "../../../proto/status.js";
import { encodeChange } from "../../../src/server/raft/change.js";
import type { Entry, MembershipChange } from "../../../src/server/raft/types.js";
import { encodeCommand } from "../../../src/server/state/command.js";
import { openState, type StateOptions } from "../../../src/server/state/state.js";
import type { Applied, CommandBody, CommandResponse, State, StateReader } from "../../../src/server/state/types.js";

export const clusterId = 0xcdf818194e3a8c32n;
export const memberId = 0x8e9e05c52164694dn;

export function bytes(utf8: string): Uint8Array {
  return new TextEncoder().encode(utf8);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

export const none = new Uint8Array(0);
/** `range_end` for "everything from here on". */
export const toEnd = Uint8Array.of(0);

type Partial<T> = { readonly [K in keyof T]?: T[K] };

export function put(key: string, value: string, more: Partial<PutRequest> = {}): PutRequest {
  return { ...PutRequest.create(), key: bytes(key), value: bytes(value), ...more };
}

export function del(key: string, rangeEnd: string | Uint8Array = none, prevKv = false): DeleteRangeRequest {
  const end = typeof rangeEnd === "string" ? bytes(rangeEnd) : rangeEnd;
  return { ...DeleteRangeRequest.create(), key: bytes(key), rangeEnd: end, prevKv };
}

export function range(
  key: string,
  rangeEnd: string | Uint8Array = none,
  more: Partial<RangeRequest> = {},
): RangeRequest {
  const end = typeof rangeEnd === "string" ? bytes(rangeEnd) : rangeEnd;
  return { ...RangeRequest.create(), key: bytes(key), rangeEnd: end, ...more };
}

export const op = {
  put: (...args: Parameters<typeof put>): RequestOp => ({ request: { $case: "requestPut", value: put(...args) } }),
  del: (...args: Parameters<typeof del>): RequestOp => ({
    request: { $case: "requestDeleteRange", value: del(...args) },
  }),
  range: (...args: Parameters<typeof range>): RequestOp => ({
    request: { $case: "requestRange", value: range(...args) },
  }),
  txn: (request: Partial<TxnRequest>): RequestOp => ({ request: { $case: "requestTxn", value: txn(request) } }),
};

export function txn(request: Partial<TxnRequest>): TxnRequest {
  return { compare: [], success: [], failure: [], ...request };
}

export function compare(key: string, more: Partial<Compare>): Compare {
  return { result: 0, target: 0, key: bytes(key), targetUnion: undefined, rangeEnd: none, ...more };
}

/** Opens a state in a new directory; closes and removes both when the test ends (see {@link World.close}). */
export class World {
  readonly dir = mkdtempSync(join(tmpdir(), "litecd-state-"));
  state: State;
  term = 1;

  constructor(options: Partial<StateOptions> = {}) {
    this.state = this.#open(options);
  }

  #open(options: Partial<StateOptions> = {}): State {
    return openState({
      dir: this.dir,
      file: "state-1.db",
      clusterId,
      bootstrap: {
        kind: "found",
        members: [{ id: memberId, name: "one", peerUrls: ["http://localhost:2380"], clientUrls: [], learner: false }],
      },
      unsafeNoFsync: true,
      ...options,
    });
  }

  get reader(): StateReader {
    return this.state.reader;
  }

  reopen(options: Partial<StateOptions> = {}): void {
    this.state.close();
    this.state = this.#open(options);
  }

  entry(body: CommandBody, offset = 1): Entry {
    const index = this.reader.appliedIndex() + offset;
    const data = encodeCommand({ origin: memberId, boot: 1, sequence: index }, body);
    return { index, term: this.term, kind: "command", data };
  }

  applyBatch(bodies: readonly CommandBody[]): readonly Applied[] {
    return this.state.apply(bodies.map((body, at) => this.entry(body, at + 1)));
  }

  apply(body: CommandBody): Applied {
    const [applied] = this.applyBatch([body]);
    if (applied === undefined) throw new Error("nothing was applied");
    return applied;
  }

  /** An entry that changes the membership. */
  changeEntry(change: MembershipChange, body: CommandBody, offset = 1): Entry {
    const entry = this.entry(body, offset);
    return { ...entry, kind: "change", data: encodeChange(change, entry.data) };
  }

  change(operation: MembershipChange["op"], member: bigint, body: CommandBody): Applied {
    const [applied] = this.state.apply([this.changeEntry({ op: operation, member }, body)]);
    if (applied === undefined) throw new Error("nothing was applied");
    return applied;
  }

  /** Applies a command that must succeed. */
  ok<K extends CommandResponse["kind"]>(body: CommandBody): Extract<CommandResponse, { kind: K }> {
    const { result } = this.apply(body);
    if (result.kind === "failed") throw new WireError(result.status);
    return result.response as Extract<CommandResponse, { kind: K }>;
  }

  put(...args: Parameters<typeof put>): number {
    return this.apply({ $case: "put", value: put(...args) }).result.revision;
  }

  del(...args: Parameters<typeof del>): number {
    return this.ok<"deleteRange">({ $case: "deleteRange", value: del(...args) }).deleted;
  }

  txn(request: Partial<TxnRequest>): Applied {
    return this.apply({ $case: "txn", value: txn(request) });
  }

  grant(id: bigint, ttlSeconds = 60): void {
    this.ok({ $case: "leaseGrant", value: { id, ttlSeconds: BigInt(ttlSeconds) } });
  }

  compact(revision: number): Applied {
    return this.apply({ $case: "compact", value: { revision: BigInt(revision), physical: false } });
  }

  /** Runs physical compaction to its end. */
  sweep(rowsMax = 3): void {
    while (this.state.compactStep(rowsMax));
  }

  /** Rows of a query on the state file, read through a connection of its own. */
  rows(sql: string): unknown[] {
    const database = new BetterSqlite3(join(this.dir, this.state.file), { readonly: true });
    try {
      return database.prepare(sql).raw(true).all();
    } finally {
      database.close();
    }
  }

  /** `key=value` of a range, in the order it came. */
  list(...args: Parameters<typeof range>): string[] {
    return this.reader.range(range(...args)).kvs.map(({ key, value }) => `${text(key)}=${text(value)}`);
  }

  close(): void {
    this.state.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Text of the failure of a command; undefined if it succeeded. */
export function failure({ result }: Applied): string | undefined {
  return result.kind === "failed" ? result.status.message : undefined;
}

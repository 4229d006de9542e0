/** What a case holds: a client of its server, its own key prefix, and words for the usual calls and checks. */

import type { ServiceError } from "@grpc/grpc-js";
import { expect, vi } from "vitest";
import type { Event, KeyValue } from "../../proto/gen/etcd/kv.js";
import type {
  DeepPartial,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  WatchCreateRequest,
} from "../../proto/gen/etcd/rpc.js";
import { type RawClient, rawClient } from "../support/raw-client.js";
import type { Flags, Target, TargetServer } from "../support/targets.js";
import { Watch } from "./watch.js";
import { bytes, prefixEnd, text } from "./words.js";

/** A KeyValue with its key without the prefix and its revisions counted from the start of the case. */
export interface Facts {
  readonly key: string;
  readonly value: string;
  readonly created: number;
  readonly modified: number;
  readonly version: number;
  readonly lease: bigint;
}

interface ExpectedStatus {
  readonly code: number;
  readonly message: string;
}

/** Where a case runs. */
export interface Origin {
  readonly target: Target;
  readonly server: TargetServer;
  /** The flags that the server was started with. */
  readonly flags: Flags;
  /** What every key of the case begins with. */
  readonly prefix: string;
}

export class Context {
  readonly target: Target;
  readonly flags: Flags;
  readonly server: TargetServer;
  readonly prefix: string;
  readonly client: RawClient;
  /** The store's revision when the case began. */
  readonly base: bigint;
  readonly #cleanups: (() => void | Promise<void>)[] = [];

  private constructor(origin: Origin, client: RawClient, base: bigint) {
    this.target = origin.target;
    this.flags = origin.flags;
    this.server = origin.server;
    this.prefix = origin.prefix;
    this.client = client;
    this.base = base;
    this.cleanup(() => client.close());
  }

  static async open(origin: Origin): Promise<Context> {
    const client = rawClient(origin.server.endpoint);
    try {
      const { header } = await client.range({ key: bytes("any"), countOnly: true });
      return new Context(origin, client, header?.revision ?? 0n);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Runs when the case ends, last registered first. */
  cleanup(work: () => void | Promise<void>): void {
    this.#cleanups.unshift(work);
  }

  async close(): Promise<void> {
    for (const work of this.#cleanups) await work();
  }

  /** What this target answers where a real etcd 3.5 and our level differ; `why` is for the reader. */
  differs<T>({ etcd35, ours }: { etcd35: T; ours: T; why: string }): T {
    return this.target.isEtcd35 ? etcd35 : ours;
  }

  /** The full key of `name` in this case's space. */
  key(name: string): Buffer {
    return bytes(this.prefix + name);
  }

  /** `key` and `rangeEnd` of this case's whole space. */
  get everything(): { key: Buffer; rangeEnd: Buffer } {
    return { key: bytes(this.prefix), rangeEnd: prefixEnd(this.prefix) };
  }

  put(name: string, value = "", extra: DeepPartial<PutRequest> = {}): Promise<PutResponse> {
    return this.client.put({ key: this.key(name), value: bytes(value), ...extra });
  }

  /** Puts each name with itself as the value, in order. */
  async putAll(...names: string[]): Promise<void> {
    for (const name of names) await this.put(name, name);
  }

  get(name: string, extra: DeepPartial<RangeRequest> = {}): Promise<RangeResponse> {
    return this.client.range({ key: this.key(name), ...extra });
  }

  /** Ranges over this case's whole space. */
  list(extra: DeepPartial<RangeRequest> = {}): Promise<RangeResponse> {
    return this.client.range({ ...this.everything, ...extra });
  }

  /** Ranges over [from, to) of this case's space. */
  between(from: string, to: string, extra: DeepPartial<RangeRequest> = {}): Promise<RangeResponse> {
    return this.client.range({ key: this.key(from), rangeEnd: this.key(to), ...extra });
  }

  del(name: string, extra: DeepPartial<DeleteRangeRequest> = {}): Promise<DeleteRangeResponse> {
    return this.client.deleteRange({ key: this.key(name), ...extra });
  }

  delAll(extra: DeepPartial<DeleteRangeRequest> = {}): Promise<DeleteRangeResponse> {
    return this.client.deleteRange({ ...this.everything, ...extra });
  }

  /** A lease that the case revokes at its end. */
  async grant(ttl: bigint = 600n, id = 0n): Promise<bigint> {
    const { ID } = await this.client.leaseGrant({ TTL: ttl, ID: id });
    this.cleanup(() => this.client.leaseRevoke({ ID }).then(ignore, ignore));
    return ID;
  }

  /** Opens a watch stream, canceled at the end of the case. */
  watchStream(metadata: Record<string, string> = {}): Watch {
    const watch = new Watch(this.client.watch({ metadata }));
    this.cleanup(() => watch.cancelStream());
    return watch;
  }

  /** A stream with one watcher on this case's whole space (or as asked), already created. */
  async watch(request: DeepPartial<WatchCreateRequest> = {}): Promise<Watch> {
    const watch = this.watchStream();
    await watch.create({ ...this.everything, ...request });
    return watch;
  }

  async revision(): Promise<bigint> {
    const { header } = await this.client.range({ key: bytes("any"), countOnly: true });
    return header?.revision ?? 0n;
  }

  /** How far a revision lies beyond the start of the case; 0 stays for "no revision". */
  since(revision: bigint | undefined): number {
    return Number((revision ?? 0n) - this.base);
  }

  /** Key names without the prefix. */
  names(kvs: readonly KeyValue[]): string[] {
    return kvs.map((kv) => this.name(kv.key));
  }

  name(key: Uint8Array): string {
    const name = text(key);
    return name.startsWith(this.prefix) ? name.slice(this.prefix.length) : name;
  }

  facts(kv: KeyValue | undefined): Facts | undefined {
    if (kv === undefined) return undefined;
    return {
      key: this.name(kv.key),
      value: text(kv.value),
      created: kv.createRevision === 0n ? 0 : this.since(kv.createRevision),
      modified: this.since(kv.modRevision),
      version: Number(kv.version),
      lease: kv.lease,
    };
  }

  /** Events as words: "put a=1 @1", "delete a @2" (revision counted from the start of the case). */
  eventWords(events: readonly Event[]): string[] {
    return events.map(({ type, kv }) => {
      if (kv === undefined) throw new Error("an event without kv");
      const at = `@${this.since(kv.modRevision)}`;
      return type === 0 ? `put ${this.name(kv.key)}=${text(kv.value)} ${at}` : `delete ${this.name(kv.key)} ${at}`;
    });
  }

  /** Repeats the checks until they pass; the last failure counts when ten seconds are over. */
  eventually(checks: () => Promise<void>): Promise<void> {
    return vi.waitFor(checks, { interval: 50, timeout: 10_000 });
  }

  /** Checks that the call fails with exactly this code and text. */
  async rejects(call: Promise<unknown>, { code, message }: ExpectedStatus): Promise<void> {
    const outcome = await call.then(
      (response) => ({ succeeded: response }),
      (error: Partial<ServiceError>) => ({ code: error.code, message: error.details ?? error.message }),
    );
    expect(outcome).toEqual({ code, message });
  }
}

function ignore(): void {
  // A lease may be gone by the end of its case; then there is nothing to clean.
}

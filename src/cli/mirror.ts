/**
 * The copying of `make-mirror`: the keys of a source one by one, then every revision in its own transaction
 * (spec/cli.md 8.20). The SDK's mirror is built for going on after failures: it compares the two sides first, which
 * takes the right to read the destination, and writes the base in transactions. etcdctl's puts every key, reads
 * nothing, and its revisions at the destination show that.
 */
import type { DeepPartial, RequestOp, WatchResponse } from "../../proto/gen/etcd/rpc.js";
import { status } from "../../proto/status.js";
import { bytes, type EtcdClient, type RawClient } from "../client/index.js";
import { ExitCode, Failure } from "./exit-code.js";
import { byteText } from "./input/byte-text.js";
import { keyRange } from "./input/key-range.js";
import { withoutLimit } from "./limits.js";

export interface MirrorPlan {
  readonly prefix: Uint8Array;
  /** What takes the place of the prefix; empty strips it. */
  readonly destPrefix: Uint8Array;
  /** The first revision to take over, without what was there before it; undefined copies that, too. */
  readonly since: bigint | undefined;
  /** Operations in one transaction at the destination; 0 is no limit. */
  readonly opsMax: number;
}

/** How far a mirror has come. */
export interface MirrorState {
  phase: "base" | "follow";
  /** Keys of the base, and changes after it. */
  changes: number;
  /** Of keys and values that were put. */
  sizeBytes: number;
  /** The last revision of the source that was taken over. */
  revision: bigint;
}

type Operation = DeepPartial<RequestOp>;
type Event = WatchResponse["events"][number];

export class Mirror {
  readonly state: MirrorState = { phase: "base", changes: 0, sizeBytes: 0, revision: 0n };
  private readonly source: EtcdClient;
  private readonly destination: RawClient;
  private readonly plan: MirrorPlan;

  constructor(source: EtcdClient, destination: RawClient, plan: MirrorPlan) {
    this.source = source;
    this.destination = destination;
    this.plan = plan;
  }

  /** Goes on for ever. Throws Failure when the source ends the watch, and what reads and writes throw. */
  async run(): Promise<never> {
    const { since } = this.plan;
    this.state.revision = since === undefined ? await this.copy() : since - 1n;
    this.state.phase = "follow";
    return this.follow();
  }

  /** Puts every key as of one revision, which it returns. */
  private async copy(): Promise<bigint> {
    const { prefix } = this.plan;
    const range = prefix.length === 0 ? ({ all: true } as const) : { prefix };
    let revision = 0n;
    for await (const page of this.source.as(bytes).scan(range, withoutLimit).pages()) {
      revision = page.revision;
      for (const { keyBytes, value } of page.kvs) {
        await this.destination.kv.put({ key: this.moved(keyBytes), value }, withoutLimit);
        this.count(keyBytes, value);
      }
    }
    return revision;
  }

  private async follow(): Promise<never> {
    const range = keyRange({ key: byteText(this.plan.prefix), prefix: true });
    const request = { ...range, startRevision: this.state.revision + 1n };
    await using watch = this.source.raw.watch(request, { ...withoutLimit, requireLeader: true });
    let end: WatchResponse | undefined;
    for await (const answer of watch) {
      await this.apply(answer.events);
      if (answer.canceled) end = answer;
    }
    throw new Failure(ExitCode.Error, endText(end));
  }

  /** Operations of one revision stay together, unless they are more than a transaction may have. */
  private async apply(events: readonly Event[]): Promise<void> {
    const { opsMax } = this.plan;
    let operations: Operation[] = [];
    for (const event of events) {
      const revision = event.kv?.modRevision ?? 0n;
      const isFull = opsMax > 0 && operations.length >= opsMax;
      if (operations.length > 0 && (revision !== this.state.revision || isFull)) {
        await this.commit(operations);
        operations = [];
      }
      this.state.revision = revision;
      operations.push(this.operationOf(event));
    }
    if (operations.length > 0) await this.commit(operations);
  }

  private async commit(success: Operation[]): Promise<void> {
    await this.destination.kv.txn({ success }, withoutLimit);
  }

  private operationOf({ type, kv }: Event): Operation {
    const sourceKey = kv?.key ?? new Uint8Array();
    const value = kv?.value ?? new Uint8Array();
    this.count(sourceKey, value);
    const key = this.moved(sourceKey);
    return type === 0
      ? { request: { $case: "requestPut", value: { key, value } } }
      : { request: { $case: "requestDeleteRange", value: { key } } };
  }

  private count(key: Uint8Array, value: Uint8Array): void {
    this.state.changes++;
    this.state.sizeBytes += key.length + value.length;
  }

  private moved(key: Uint8Array): Uint8Array {
    return Buffer.concat([this.plan.destPrefix, key.subarray(this.plan.prefix.length)]);
  }
}

/** Why there is nothing more to follow. */
function endText(end: WatchResponse | undefined): string {
  if (end !== undefined && end.compactRevision !== 0n) return status.Compacted.message;
  const reason = end?.cancelReason ?? "";
  // What the server calls an error reaches a watch in gRPC's form; other commands print the text alone.
  const text = /^rpc error: code = \w+ desc = (etcdserver: .*)$/su.exec(reason)?.[1] ?? reason;
  return text === "" ? "the source has ended the watch and gave no reason" : text;
}

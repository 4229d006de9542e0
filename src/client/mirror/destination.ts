/** Writes at the destination, in order, each once. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Bytes,
  ConflictError,
  cmp,
  isEtcdError,
  type Key,
  type Kv,
  type Op,
  op,
  type TxnResult,
} from "../index.js";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type Position } from "./checkpoint.js";
import type { MirrorOptions } from "./types.js";

/** Between attempts while the destination fails. */
const retryMs = 500;

export interface DestinationParts {
  readonly kv: Kv<Bytes>;
  /** What a checkpoint of this mirror is about. */
  readonly of: string;
  readonly options: MirrorOptions;
}

export class Destination {
  readonly kv: Kv<Bytes>;
  private readonly of: string;
  private readonly options: MirrorOptions;
  private readonly run = randomUUID();
  private steps = 0;
  /** Of the checkpoint, as this mirror last saw it; 0n if there is none. */
  private modRevision = 0n;
  private writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor({ kv, of, options }: DestinationParts) {
    this.kv = kv;
    this.of = of;
    this.options = options;
  }

  /** Where an earlier mirror ended. Throws a TypeError if that was another kind of mirror. */
  async position(): Promise<Position | undefined> {
    const { checkpoint: key } = this.options;
    if (key === undefined) return undefined;
    const kv = await this.kv.get(key, this.call());
    if (kv === undefined) return undefined;
    this.modRevision = kv.modRevision;
    const found = decodeCheckpoint(kv.value);
    if (found.of === this.of) return found;
    throw new TypeError(`the checkpoint is about ${found.of} and this mirror about ${this.of}`);
  }

  /** One transaction, with the checkpoint if there is one. */
  async write(operations: readonly Op[], position: Position): Promise<void> {
    const { checkpoint: key } = this.options;
    if (key !== undefined) await this.writeGuarded(key, operations, position);
    else if (operations.length > 0) await this.kv.txn({ then: operations }, this.call());
  }

  /** The checkpoint alone, if it is time: an old one would be lost to compactions of the source. */
  async note(position: Position): Promise<void> {
    const { checkpoint, checkpointIntervalMs = 60_000 } = this.options;
    if (checkpoint === undefined || performance.now() - this.writtenAtMs < checkpointIntervalMs) return;
    await this.write([], position);
  }

  /** The guard lets one attempt through, however often it is sent: whether ours did, the checkpoint itself tells. */
  private async writeGuarded(key: Key, operations: readonly Op[], position: Position): Promise<void> {
    const checkpoint: Checkpoint = { ...position, of: this.of, step: `${this.run}/${++this.steps}` };
    const put = op.put(key, encodeCheckpoint(checkpoint));
    const result = await this.persistently(() =>
      this.kv.txn(
        {
          if: [cmp.modRevision(key).equal(this.modRevision)],
          then: [...operations, put],
          else: [op.get(key)] as const,
        },
        { ...this.call(), retry: "idempotent" },
      ),
    );
    this.modRevision = result.succeeded ? result.header.revision : ownRevision(result, checkpoint);
    this.writtenAtMs = performance.now();
  }

  private async persistently<T>(attempt: () => Promise<T>): Promise<T> {
    const { maxDisconnectedMs = Number.POSITIVE_INFINITY, signal } = this.options;
    const startMs = performance.now();
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        // The next attempt finds out what became of this one, and also where that is known and its results are lost.
        const passing = isEtcdError(error) && (error.retryable || error.outcome !== "not-applied");
        if (!passing || signal?.aborted === true || isEtcdError(error, "ClientClosed")) throw error;
        if (performance.now() - startMs >= maxDisconnectedMs) throw error;
        await pause(signal);
      }
    }
  }

  private call(): { readonly signal?: AbortSignal } {
    const { signal } = this.options;
    return signal === undefined ? {} : { signal };
  }
}

/** An abort is told by the next attempt, in the client's own words. */
async function pause(signal: AbortSignal | undefined): Promise<void> {
  await delay(retryMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

/** The guard failed: if the checkpoint is the one we meant to write, an attempt of ours was applied after all. */
function ownRevision(result: TxnResult<Op[], readonly [Op<"range">], Bytes>, meant: Checkpoint): bigint {
  if (result.succeeded) return result.header.revision;
  const current = result.results[0].kvs[0];
  if (current !== undefined && decodeCheckpoint(current.value).step === meant.step) return current.modRevision;
  throw new ConflictError("another mirror has written the checkpoint", current);
}

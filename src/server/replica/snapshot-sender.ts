/**
 * Snapshots for peers that need more than the log still holds: one copy of the state at a time, used again for a second
 * peer, and the log behind it kept until the receiver had time to follow. Spec: raft-storage.md 1.14, 4.11.
 */
import { join } from "node:path";
import type { RaftCore } from "../raft/core.js";
import type { MemberId, RaftEvent } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { ExportFailed } from "../storage/failure.js";
import type { Peers } from "./peers.js";
import { pause } from "./signals.js";
import type { SnapshotFiles } from "./types.js";
import type { StateFacts, StateRunner } from "./workers.js";

/** A copy serves peers that come within this time, and the log behind it is kept so long after the last of them. */
const reuseMs = 60_000;
const pinnedAfterMs = 30_000;

export const outgoingName = /^outgoing-\d+\.db\.tmp$/;

export interface SnapshotSenderOptions {
  readonly memberId: MemberId;
  readonly core: Pick<RaftCore, "role" | "term" | "appliedIndex" | "firstIndex">;
  readonly state: Pick<StateRunner, "exportTo">;
  readonly peers: Pick<Peers, "sendSnapshot">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: SnapshotFiles;
  readonly dataDir: string;
  /** Pause after a failure before the core may ask again, milliseconds. */
  readonly retryMs: number;
  readonly step: (event: RaftEvent) => void;
}

/** A copy of the state on its way to peers. */
interface Copy {
  readonly name: string;
  /** What the copy holds at least, until it is written and says so itself. */
  readonly appliedIndex: number;
  readonly facts: Promise<StateFacts>;
  readonly madeMs: number;
  index: number | undefined;
  usedMs: number;
  users: number;
}

export class SnapshotSender {
  private readonly options: SnapshotSenderOptions;
  private readonly copies = new Set<Copy>();
  private readonly underWay = new Set<MemberId>();
  private newest: Copy | undefined;
  private number = 0;
  private closed = false;

  constructor(options: SnapshotSenderOptions) {
    this.options = options;
  }

  /** Serves each of these peers and then tells the core. */
  send(peers: readonly MemberId[]): void {
    for (const peer of peers) {
      if (this.underWay.has(peer)) continue;
      this.underWay.add(peer);
      void this.serve(peer);
    }
  }

  /** The last entry in the oldest copy that a peer may still build on; the log after it is needed. */
  pinned(): number | undefined {
    let lowest: number | undefined;
    for (const { index, appliedIndex } of this.copies) lowest = Math.min(lowest ?? Infinity, index ?? appliedIndex);
    return lowest;
  }

  /** Lets go of copies that have served; called once a tick. */
  tick(nowMs: number): void {
    for (const copy of this.copies) {
      const idle = copy.users === 0 && nowMs - copy.madeMs >= reuseMs && nowMs - copy.usedMs >= pinnedAfterMs;
      if (idle) this.drop(copy);
    }
  }

  close(): void {
    this.closed = true;
    for (const copy of this.copies) this.drop(copy);
  }

  private async serve(peer: MemberId): Promise<void> {
    const ok = await this.attempt(peer);
    if (!ok) await pause(this.options.clock, this.options.retryMs);
    this.underWay.delete(peer);
    this.options.step({ kind: "snapshotSent", peer, ok });
  }

  private async attempt(peer: MemberId): Promise<boolean> {
    const { logger } = this.options;
    const copy = this.copy();
    copy.users += 1;
    try {
      const facts = await copy.facts;
      await this.deliver(peer, copy, facts);
      logger.info("sent a snapshot", { "remote-peer-id": peer, "snapshot-index": facts.appliedIndex });
      return true;
    } catch (error) {
      logger.warn("failed to send a snapshot", { "remote-peer-id": peer, error });
      if (error instanceof ExportFailed) this.drop(copy);
      return false;
    } finally {
      copy.users -= 1;
      copy.usedMs = this.options.clock.monotonicMs();
    }
  }

  private async deliver(peer: MemberId, { name }: Copy, facts: StateFacts): Promise<void> {
    const { core, memberId, peers, dataDir } = this.options;
    if (this.closed || core.role !== "leader") throw new Error("this member does not lead any more");
    await peers.sendSnapshot(peer, {
      from: memberId,
      senderTerm: core.term,
      index: facts.appliedIndex,
      term: facts.appliedTerm,
      sizeBytes: facts.sizeBytes,
      path: join(dataDir, name),
    });
  }

  /** The newest copy, if the log goes on where it ends and it is not too old; else a new one. */
  private copy(): Copy {
    const { clock, core } = this.options;
    const { newest } = this;
    const nowMs = clock.monotonicMs();
    if (newest !== undefined && this.copies.has(newest) && nowMs - newest.madeMs < reuseMs) {
      if ((newest.index ?? newest.appliedIndex) >= core.firstIndex - 1) return newest;
    }
    this.newest = this.make(nowMs);
    return this.newest;
  }

  private make(nowMs: number): Copy {
    const { state, dataDir, core } = this.options;
    this.number += 1;
    const name = `outgoing-${this.number}.db.tmp`;
    const facts = new Promise<StateFacts>((resolve, reject) => {
      state.exportTo(join(dataDir, name), (result) => {
        if (result instanceof ExportFailed) reject(result);
        else resolve(result);
      });
    });
    const { appliedIndex } = core;
    const copy: Copy = { name, appliedIndex, facts, madeMs: nowMs, usedMs: nowMs, index: undefined, users: 0 };
    this.copies.add(copy);
    facts.then(
      ({ appliedIndex: index }) => {
        copy.index = index;
        if (this.closed) this.drop(copy);
      },
      // Every user of the copy is told by the promise itself.
      () => undefined,
    );
    return copy;
  }

  private drop(copy: Copy): void {
    this.copies.delete(copy);
    this.options.files.remove(copy.name);
  }
}

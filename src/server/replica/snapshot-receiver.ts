/**
 * Snapshots from the leader: written under the next state file's name, inspected, and given to the core, which installs
 * them or not. One at a time; whatever fails leaves no file behind. Spec: raft-storage.md 1.14, 4.11.
 */
import { join } from "node:path";
import type { RaftCore } from "../raft/core.js";
import type { RaftEvent, SnapshotMeta } from "../raft/types.js";
import type { Logger } from "../runtime/logger.js";
import { nextStateFile } from "../storage/files.js";
import type { FileLock } from "./file-lock.js";
import type { SnapshotHead, SnapshotSink } from "./peers.js";
import type { FileWriter, SnapshotFiles } from "./types.js";
import type { StateFacts, StateRunner } from "./workers.js";

/** A snapshot that this member does not take; the sender is told why. */
export class SnapshotRefused extends Error {
  override readonly name = "SnapshotRefused";
}

export interface SnapshotReceiverOptions {
  readonly clusterId: bigint;
  readonly core: Pick<RaftCore, "term" | "commitIndex" | "installs">;
  readonly state: Pick<StateRunner, "file" | "inspect">;
  readonly logger: Logger;
  readonly files: SnapshotFiles;
  readonly dataDir: string;
  readonly lock: FileLock;
  readonly step: (event: RaftEvent) => void;
}

export class SnapshotReceiver {
  private readonly options: SnapshotReceiverOptions;
  private incoming: IncomingSnapshot | undefined;
  /** Ends when the file of the last snapshot is closed, or gone. */
  private settled: Promise<void> = Promise.resolve();
  private readonly installing = new Map<string, () => void>();
  private stop: () => void = () => undefined;
  private readonly stopped = new Promise<void>((resolve) => {
    this.stop = resolve;
  });

  constructor(options: SnapshotReceiverOptions) {
    this.options = options;
  }

  /** Throws SnapshotRefused if the snapshot is not wanted. */
  receive(head: SnapshotHead): SnapshotSink {
    const { core } = this.options;
    if (head.senderTerm < core.term)
      throw new SnapshotRefused(`its sender leads in term ${head.senderTerm}, now is ${core.term}`);
    if (head.index <= core.commitIndex) throw new SnapshotRefused(`index ${head.index} is committed here already`);
    const incoming = new IncomingSnapshot({
      ...this.options,
      head,
      place: this.place(head),
      stopped: this.stopped,
      install: (snapshot) => this.install(head, snapshot),
    });
    this.incoming = incoming;
    this.settled = incoming.ended.then(() => {
      if (this.incoming === incoming) this.incoming = undefined;
    });
    return incoming;
  }

  /** The state is that of the snapshot now. */
  installed({ file }: SnapshotMeta): void {
    this.installing.get(file)?.();
    this.installing.delete(file);
  }

  /** Resolves when no file is written any more. What waits for a runner's report, which may never come, ends as refused. */
  async close(): Promise<void> {
    this.stop();
    this.incoming?.abort(new SnapshotRefused("this member stops"));
    await this.settled;
  }

  /** Who may write the next state file: nobody else, or somebody who lets go of it for a newer snapshot. */
  private place(head: SnapshotHead): Promise<() => void> {
    const { lock } = this.options;
    const free = lock.tryTake();
    if (free !== undefined) return Promise.resolve(free);
    const { incoming } = this;
    if (incoming !== undefined && isNewer(head, incoming.head)) {
      incoming.abort(new SnapshotRefused("a newer snapshot came"));
      if (incoming.aborted) return lock.take();
    }
    throw new SnapshotRefused("another state file is being written");
  }

  /** Resolves to whether the core took the snapshot, once it is installed. */
  private async install(head: SnapshotHead, snapshot: SnapshotMeta): Promise<boolean> {
    const { core, step, logger } = this.options;
    step({ kind: "snapshotReceived", from: head.from, term: head.senderTerm, snapshot });
    if (!core.installs.some(({ file }) => file === snapshot.file)) return false;
    await Promise.race([this.stopped, new Promise<void>((resolve) => this.installing.set(snapshot.file, resolve))]);
    logger.info("installed a snapshot", { "remote-peer-id": head.from, "snapshot-index": head.index });
    return true;
  }
}

interface IncomingOptions extends SnapshotReceiverOptions {
  readonly head: SnapshotHead;
  /** Resolves when the next state file is this one's to write, with what gives that right back. */
  readonly place: Promise<() => void>;
  /** Resolves when the member stops. */
  readonly stopped: Promise<void>;
  readonly install: (snapshot: SnapshotMeta) => Promise<boolean>;
}

interface IncomingFile {
  readonly name: string;
  readonly writer: FileWriter;
}

/** One snapshot on its way in. */
class IncomingSnapshot implements SnapshotSink {
  readonly head: SnapshotHead;
  /** Resolves when nothing is written any more. */
  readonly ended: Promise<void>;
  private readonly options: IncomingOptions;
  private readonly opened: Promise<IncomingFile>;
  private writtenBytes = 0;
  private stage: "writing" | "finishing" | "ended" = "writing";
  private failure: Error | undefined;
  private resolveEnded: () => void = () => undefined;

  constructor(options: IncomingOptions) {
    this.options = options;
    this.head = options.head;
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
    this.opened = options.place.then(() => this.open());
    // Whoever writes or finishes is told.
    this.opened.catch(() => undefined);
  }

  /** It ended before all of it was there. */
  get aborted(): boolean {
    return this.failure !== undefined;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.assertWriting();
    this.writtenBytes += chunk.byteLength;
    try {
      if (this.writtenBytes > this.head.sizeBytes) throw new SnapshotRefused("it is longer than announced");
      const { writer } = await this.opened;
      this.assertWriting();
      await writer.write(chunk);
    } catch (error) {
      this.abort(error);
      throw error;
    }
  }

  async finish(): Promise<void> {
    this.assertWriting();
    this.stage = "finishing";
    try {
      await this.complete(await this.opened);
    } finally {
      this.stage = "ended";
      await this.end();
    }
  }

  abort(reason: unknown): void {
    if (this.stage !== "writing") return;
    this.stage = "ended";
    this.failure = reason instanceof Error ? reason : new SnapshotRefused(String(reason));
    this.options.logger.warn("a snapshot did not come through", { "remote-peer-id": this.head.from, reason });
    void this.discard();
  }

  /** The name is chosen only now: whoever had the place before may have put another state file in place. */
  private async open(): Promise<IncomingFile> {
    const { files, state } = this.options;
    const name = nextStateFile(state.file);
    return { name, writer: await files.create(name) };
  }

  private async complete({ name, writer }: IncomingFile): Promise<void> {
    let kept = false;
    try {
      await writer.finish();
      kept = await this.options.install(this.verified(name, await this.inspected(name)));
    } finally {
      if (!kept) this.options.files.remove(name);
    }
  }

  private async discard(): Promise<void> {
    try {
      const { writer } = await this.opened;
      await writer.discard();
    } catch (error) {
      // The next start deletes what may be left.
      this.options.logger.warn("failed to discard a snapshot", { error });
    }
    await this.end();
  }

  private async end(): Promise<void> {
    const release = await this.options.place;
    release();
    this.resolveEnded();
  }

  private async inspected(name: string): Promise<StateFacts | undefined> {
    const { state, dataDir, stopped } = this.options;
    const facts = new Promise<StateFacts | undefined>((resolve) => state.inspect(join(dataDir, name), resolve));
    const stop = stopped.then(() => {
      throw new SnapshotRefused("this member stops");
    });
    return Promise.race([facts, stop]);
  }

  /** The file holds what was announced. Throws SnapshotRefused. */
  private verified(name: string, facts: StateFacts | undefined): SnapshotMeta {
    const { head, options } = this;
    if (facts === undefined) throw new SnapshotRefused("it is damaged or no state file");
    if (facts.clusterId !== options.clusterId) throw new SnapshotRefused("it belongs to another cluster");
    const { appliedIndex: index, appliedTerm: term, membership } = facts;
    if (index !== head.index || term !== head.term) throw new SnapshotRefused("it is not the one that was announced");
    return { index, term, membership, file: name };
  }

  private assertWriting(): void {
    if (this.stage === "writing") return;
    if (this.failure === undefined) throw new SnapshotRefused("it has ended already");
    throw this.failure;
  }
}

function isNewer(head: SnapshotHead, other: SnapshotHead): boolean {
  if (head.senderTerm !== other.senderTerm) return head.senderTerm > other.senderTerm;
  return head.index > other.index;
}

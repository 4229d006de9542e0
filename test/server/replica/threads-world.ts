/** A member's data directory behind its runners, inline or in threads, driven with commands as the core would bring them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../../src/server/raft/types.js";
import { inlineLog, inlineState } from "../../../src/server/replica/inline.js";
import { type Durable, openThreads } from "../../../src/server/replica/threads/open.js";
import { SpawnedThreads } from "../../../src/server/replica/threads/spawn.js";
import type { WorkObserver } from "../../../src/server/replica/workers.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { encodeCommand } from "../../../src/server/state/command.js";
import { openState, stateBootstrapOf } from "../../../src/server/state/state.js";
import type { Applied, CommandBody } from "../../../src/server/state/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { Bootstrap, LogBatch } from "../../../src/server/storage/types.js";
import { put } from "../state/world.js";

export type Mode = "inline" | "threaded";
export const modes: readonly Mode[] = ["inline", "threaded"];

/** The compiled thread files: TypeScript cannot be run by a thread of Node 20. */
export const compiledThreads = new URL("../../../dist/src/server/replica/threads/", import.meta.url);

export const memberId = 0x8e9e05c52164694dn;
export const clusterId = 0xcdf818194e3a8c32n;
const founder = { id: memberId, name: "", peerUrls: ["http://localhost:2380"], clientUrls: [], learner: false };

export const founding: Bootstrap = {
  kind: "found",
  identity: { clusterId, memberId },
  membership: { voters: [memberId], learners: [] },
  founders: [founder],
};

export interface OpenOptions {
  readonly mode: Mode;
  readonly dir: string;
  readonly onFatal: (error: unknown) => void;
  readonly bootstrap?: Bootstrap | undefined;
  readonly entries?: URL;
  readonly observer?: WorkObserver;
  readonly expectedCluster?: bigint;
}

export async function openDurable(options: OpenOptions): Promise<Durable> {
  const { mode, dir, onFatal, observer, entries = compiledThreads, expectedCluster = clusterId } = options;
  const bootstrap = "bootstrap" in options ? options.bootstrap : founding;
  if (mode === "threaded") {
    return openThreads(new SpawnedThreads(entries), {
      log: { dir, bootstrap },
      state: (initial) => ({
        dir,
        file: initial.stateFile,
        clusterId: expectedCluster,
        bootstrap: stateBootstrapOf(initial),
      }),
      onFatal,
      observer,
    });
  }
  const store = openLogStore({ dir, bootstrap });
  const { initial } = store;
  try {
    const state = openState({
      dir,
      file: initial.stateFile,
      clusterId: expectedCluster,
      bootstrap: stateBootstrapOf(initial),
      onFailure: onFatal,
    });
    const shared = { clock: systemClock, observer, onFatal };
    const log = inlineLog(store, shared);
    return { initial, log, state: inlineState(state, { ...shared, dataDir: dir }) };
  } catch (error) {
    store.close();
    throw error;
  }
}

export function newDirectory(): { readonly dir: string; remove(): void } {
  const parent = mkdtempSync(join(tmpdir(), "litecd-threads-"));
  return { dir: join(parent, "member"), remove: () => rmSync(parent, { recursive: true }) };
}

/** One put an entry, of the caller `memberId` in its first boot. */
export function puts(first: number, count: number, valueBytes = 10): readonly Entry[] {
  return Array.from({ length: count }, (_, n) =>
    command(first + n, { $case: "put", value: put(`k${first + n}`, "v".repeat(valueBytes)) }),
  );
}

export function command(index: number, body: CommandBody): Entry {
  const data = encodeCommand({ origin: memberId, boot: 1, sequence: index }, body);
  return { index, term: 1, kind: "command", data };
}

export function batch(entries: readonly Entry[], more: Partial<LogBatch> = {}): LogBatch {
  const nothing = { hardState: undefined, truncateFrom: undefined, compact: undefined, install: undefined };
  return { ...nothing, entries, ...more };
}

/** Waits for one report of a runner. */
export function report<T>(ask: (done: (value: T) => void) => void): Promise<T> {
  return new Promise(ask);
}

export function append(durable: Durable, write: LogBatch): Promise<void> {
  return report<void>((done) => durable.log.append(write, () => done()));
}

export function apply(durable: Durable, entries: readonly Entry[]): Promise<readonly Applied[]> {
  return report<readonly Applied[]>((done) => durable.state.apply(entries, done));
}

export async function close({ log, state }: Durable): Promise<void> {
  await report<void>((done) => log.close(() => done()));
  await report<void>((done) => state.close(() => done()));
}

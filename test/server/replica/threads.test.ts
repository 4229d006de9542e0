/** The runners, inline and in threads: the same order, the same results, the same failures. */
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { InvariantError } from "../../../src/server/invariant.js";
import type { Entry } from "../../../src/server/raft/types.js";
import type { Durable } from "../../../src/server/replica/threads/open.js";
import type { HashOutcome, StateFacts } from "../../../src/server/replica/workers.js";
import type { Applied } from "../../../src/server/state/types.js";
import { ExportFailed, StorageFailure, StorageRefused } from "../../../src/server/storage/failure.js";
import { StateStore } from "../../../src/server/storage/state-store.js";
import { command as anyCommand } from "../state/commands.js";
import { range, text } from "../state/world.js";
import {
  append,
  apply,
  batch,
  close,
  clusterId,
  command,
  compiledThreads,
  memberId,
  modes,
  newDirectory,
  type OpenOptions,
  openDurable,
  puts,
  report,
} from "./threads-world.js";

const patience = { timeout: 15_000 };

let directory: ReturnType<typeof newDirectory>;
let fatal: unknown[];
const open: Durable[] = [];

beforeEach(() => {
  directory = newDirectory();
  fatal = [];
});

afterEach(async () => {
  for (const durable of open.splice(0)) await close(durable);
  directory.remove();
});

async function start(options: Pick<OpenOptions, "mode"> & Partial<OpenOptions>): Promise<Durable> {
  const durable = await openDurable({ dir: directory.dir, onFatal: (error) => fatal.push(error), ...options });
  open.push(durable);
  return durable;
}

async function end(durable: Durable): Promise<void> {
  open.splice(open.indexOf(durable), 1);
  await close(durable);
}

/** Thread files of which one ends its thread as soon as it is asked for more than to open. */
function dyingThreads(victim: "log" | "state" | "helper"): URL {
  const entries = join(directory.dir, "..", "threads");
  mkdirSync(entries);
  writeFileSync(join(entries, "package.json"), '{"type":"module"}');
  for (const name of ["log", "state", "helper"]) {
    const real = `await import(${JSON.stringify(new URL(`${name}-thread.js`, compiledThreads).href)});`;
    const dies = `import { parentPort } from "node:worker_threads";
      const on = parentPort.on.bind(parentPort);
      parentPort.on = (event, listener) =>
        on(event, (message) => (message.kind === "open" ? listener(message) : process.exit(3)));`;
    writeFileSync(join(entries, `${name}-thread.js`), name === victim ? dies + real : real);
  }
  return pathToFileURL(`${entries}/`);
}

function valueOf({ state }: Durable, key: string): string | undefined {
  const [kv] = state.reader.range(range(key)).kvs;
  return kv === undefined ? undefined : text(kv.value);
}

/** What was applied, as text: bytes in hexadecimal, whatever they are views of. */
function seen(applied: readonly Applied[]): string {
  const plain = applied.map(({ changes, ...others }) => ({
    ...others,
    changes: changes?.changes.map((change) => ({ kind: change.kind, kv: change.kv, previous: change.previous() })),
    at: changes?.revision,
  }));
  return JSON.stringify(plain, (_key, value: unknown) => readable(value), 1);
}

function readable(value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return isBufferJson(value) ? Buffer.from(value.data).toString("hex") : value;
}

/** A Buffer turns itself into this before anybody is asked. */
function isBufferJson(value: unknown): value is { readonly type: "Buffer"; readonly data: number[] } {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer";
}

describe.each(modes)("%s runners", (mode) => {
  it("found a member and find it again with its entries", async () => {
    const first = await start({ mode });
    expect(first.initial).toMatchObject({
      identity: { clusterId, memberId },
      firstIndex: 2,
      entries: [],
      bootCount: 1,
    });
    const entries = puts(2, 20);
    await append(first, batch(entries, { hardState: { term: 3, vote: memberId, commit: 21 } }));
    await end(first);
    const second = await start({ mode, bootstrap: undefined });
    expect(second.initial).toMatchObject({ bootCount: 2, hardState: { term: 3, vote: memberId, commit: 21 } });
    expect(second.initial.entries.map(({ data, ...others }) => ({ ...others, data: [...data] }))).toEqual(
      entries.map(({ data, ...others }) => ({ ...others, data: [...data] })),
    );
    expect(fatal).toEqual([]);
  });

  it("perform and report appends in the order they are given", async () => {
    const durable = await start({ mode });
    const reports: number[] = [];
    for (let n = 0; n < 20; n += 1) durable.log.append(batch(puts(2 + n, 1)), () => reports.push(n));
    await append(durable, batch([], { truncateFrom: 12 }));
    expect(reports).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await end(durable);
    expect((await start({ mode })).initial.entries.map(({ index }) => index)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it("write entries that are parts of a larger buffer", async () => {
    const durable = await start({ mode });
    const frame = new Uint8Array(4096).fill(9);
    await append(durable, batch([{ index: 2, term: 1, kind: "command", data: frame.subarray(100, 200) }]));
    expect(frame.byteLength).toBe(4096);
    await end(durable);
    expect((await start({ mode })).initial.entries[0]?.data).toHaveLength(100);
  });

  it("show what was applied to a read in the very report", async () => {
    const durable = await start({ mode });
    const { reader } = durable.state;
    for (let n = 0; n < 30; n += 1) {
      const index = 2 + n * 10;
      const read = await report<unknown>((done) =>
        durable.state.apply(puts(index, 10), () =>
          done([reader.appliedIndex(), reader.revision(), reader.range(range(`k${index + 9}`)).kvs.length]),
        ),
      );
      expect(read).toEqual([index + 9, 1 + (n + 1) * 10, 1]);
    }
  });

  it("answer what was applied in order, with several batches on their way", async () => {
    const durable = await start({ mode });
    const indexes: number[] = [];
    const wait = Array.from({ length: 10 }, (_, n) => apply(durable, puts(2 + n * 7, 7)));
    for (const applied of wait) indexes.push(...(await applied).map(({ index }) => index));
    expect(indexes).toEqual(Array.from({ length: 70 }, (_, n) => n + 2));
  });

  it("make durable what is applied, and say up to where", async () => {
    const durable = await start({ mode });
    void apply(durable, puts(2, 5));
    expect(await report<number>((done) => durable.state.makeDurable(done))).toBe(6);
  });

  it("compact in steps until nothing is left to delete", async () => {
    const durable = await start({ mode });
    await apply(durable, [
      ...puts(2, 50),
      command(52, { $case: "compact", value: { revision: 51n, physical: false } }),
    ]);
    const step = (): Promise<boolean> => report<boolean>((done) => durable.state.compactStep(done));
    expect(await step()).toBe(true);
    expect(await step()).toBe(false);
    expect(durable.state.reader.compactRevision()).toBe(51);
  });

  it("copy the state of one moment while it goes on", async () => {
    const durable = await start({ mode });
    await apply(durable, puts(2, 100));
    const path = join(directory.dir, "copy.db");
    const exported = report<StateFacts | ExportFailed>((done) => durable.state.exportTo(path, done));
    await apply(durable, puts(102, 100));
    const facts = await exported;
    expect(facts).toMatchObject({ clusterId, appliedTerm: 1, membership: { voters: [memberId], learners: [] } });
    const { appliedIndex, revision } = facts as StateFacts;
    expect([101, 201]).toContain(appliedIndex);
    expect(revision).toBe(appliedIndex);
    expect(await report<StateFacts | undefined>((done) => durable.state.inspect(path, done))).toEqual(facts);
  });

  it("hash the state of one moment while it goes on, as its reader does", async () => {
    const durable = await start({ mode });
    await apply(durable, puts(2, 100));
    const { reader } = durable.state;
    const expected = reader.hashKv(0);
    const hash = (revision: number) => report<HashOutcome>((done) => durable.state.hashKv(revision, done));
    const hashed = hash(101);
    await apply(durable, puts(102, 100));
    const outcome = await hashed;
    expect(outcome).toMatchObject({ kind: "hashed", result: { hash: expected.hash, hashRevision: 101 } });
    expect(await hash(0)).toEqual({ kind: "hashed", result: reader.hashKv(0) });
    expect(await report<number>((done) => durable.state.hashAll(done))).toBe(reader.hashAll());
    expect(await hash(202)).toEqual({ kind: "refused", status: status.FutureRev });
    await apply(durable, [command(202, { $case: "compact", value: { revision: 150n, physical: false } })]);
    expect(await hash(149)).toEqual({ kind: "refused", status: status.Compacted });
    expect(fatal).toEqual([]);
  });

  it("hash and copy also while they go over to another state file", async () => {
    const durable = await start({ mode });
    await apply(durable, puts(2, 10));
    const { reader } = durable.state;
    // Not by the helper, which has not opened anything yet.
    const store = new StateStore({ dir: directory.dir, file: durable.state.file, mode: "beside" });
    store.exportTo(join(directory.dir, "state-2.db"));
    store.close();
    await report<void>((done) => durable.log.switchStateFile("state-2.db", () => done()));
    const opened = report<void>((done) => durable.state.open("state-2.db", () => done()));
    const hashed = report<HashOutcome>((done) => durable.state.hashKv(0, done));
    const copied = report<unknown>((done) => durable.state.exportTo(join(directory.dir, "copy.db"), done));
    expect(await hashed).toEqual({ kind: "hashed", result: reader.hashKv(0) });
    expect(await copied).toMatchObject({ appliedIndex: 11 });
    await opened;
    expect(fatal).toEqual([]);
  });

  it("say why a copy could not be written, and go on", async () => {
    const durable = await start({ mode });
    const path = join(directory.dir, "copy.db");
    writeFileSync(path, "taken");
    const result = await report<StateFacts | ExportFailed>((done) => durable.state.exportTo(path, done));
    expect(result).toBeInstanceOf(ExportFailed);
    expect(await apply(durable, puts(2, 1))).toHaveLength(1);
    expect(fatal).toEqual([]);
  });

  it("find nothing in a file that is damaged, empty, foreign or missing", async () => {
    const durable = await start({ mode });
    for (const content of ["", "this is no database".repeat(1000)]) {
      const path = join(directory.dir, `foreign-${content.length}.db`);
      writeFileSync(path, content);
      expect(await report<unknown>((done) => durable.state.inspect(path, done))).toBeUndefined();
    }
    const missing = join(directory.dir, "missing.db");
    expect(await report<unknown>((done) => durable.state.inspect(missing, done))).toBeUndefined();
    expect(existsSync(missing)).toBe(false);
    expect(fatal).toEqual([]);
  });

  it("go over to another state file, and read on through the same reader", async () => {
    const durable = await start({ mode });
    await apply(durable, puts(2, 10));
    const { reader, file } = durable.state;
    await report<unknown>((done) => durable.state.exportTo(join(directory.dir, "state-2.db"), done));
    await report<void>((done) => durable.log.switchStateFile("state-2.db", () => done()));
    const opened = report<void>((done) => durable.state.open("state-2.db", () => done()));
    expect(reader.revision()).toBe(11);
    expect(valueOf(durable, "k2")).toBe("v".repeat(10));
    await opened;
    expect(durable.state.file).toBe("state-2.db");
    for (const companion of ["", "-wal", "-shm"]) expect(existsSync(join(directory.dir, file + companion))).toBe(false);
    await apply(durable, puts(12, 10));
    expect(durable.state.reader).toBe(reader);
    expect(reader.revision()).toBe(21);
    const copied = await report<StateFacts | ExportFailed>((done) =>
      durable.state.exportTo(join(directory.dir, "copy.db"), done),
    );
    expect(copied).toMatchObject({ appliedIndex: 21 });
    await end(durable);
    const again = await start({ mode });
    expect(again.state.file).toBe("state-2.db");
    expect(again.state.reader.revision()).toBe(21);
  });

  it("finish what they were given before they close", async () => {
    const durable = await start({ mode });
    const reports: string[] = [];
    for (let n = 0; n < 10; n += 1) durable.log.append(batch(puts(2 + n * 100, 100)), () => reports.push("durable"));
    for (let n = 0; n < 10; n += 1) durable.state.apply(puts(2 + n * 100, 100), () => reports.push("applied"));
    durable.state.checkpoint();
    await end(durable);
    expect(reports.filter((what) => what === "durable")).toHaveLength(10);
    expect(reports.filter((what) => what === "applied")).toHaveLength(10);
    expect(existsSync(join(directory.dir, "state-1.db-wal"))).toBe(false);
    const again = await start({ mode });
    expect(again.initial.entries).toHaveLength(1000);
    expect(again.state.reader.appliedIndex()).toBe(1001);
    expect(fatal).toEqual([]);
  });

  it("tell a failure once, and report nothing after it", async () => {
    const durable = await start({ mode });
    const reports: string[] = [];
    durable.state.apply(puts(2, 1), () => reports.push("before"));
    durable.state.apply(puts(7, 1), () => reports.push("out of order"));
    durable.state.apply(puts(3, 1), () => reports.push("after"));
    durable.state.makeDurable(() => reports.push("after"));
    await expect.poll(() => fatal, patience).toHaveLength(1);
    expect(fatal[0]).toBeInstanceOf(InvariantError);
    expect(fatal[0]).toMatchObject({ details: { index: 7, appliedIndex: 2 } });
    await end(durable);
    expect(reports).toEqual(["before"]);
    expect(fatal).toHaveLength(1);
  });

  it("take an error in a report for a failure", async () => {
    const durable = await start({ mode });
    const bug = new Error("a bug in whoever asked");
    durable.log.append(batch(puts(2, 1)), () => {
      throw bug;
    });
    await expect.poll(() => fatal, patience).toEqual([bug]);
  });

  it("refuse a directory that is in use, in its own words", async () => {
    await start({ mode });
    const refused = openDurable({ mode, dir: directory.dir, onFatal: (error) => fatal.push(error) });
    await expect(refused).rejects.toBeInstanceOf(StorageRefused);
    await expect(refused).rejects.toMatchObject({ reason: "inUse" });
    expect(fatal).toEqual([]);
  });

  it("let go of the directory when the state cannot be opened", async () => {
    await end(await start({ mode }));
    const onFatal = (error: unknown): number => fatal.push(error);
    const refused = openDurable({ mode, dir: directory.dir, onFatal, expectedCluster: 7n });
    await expect(refused).rejects.toMatchObject({ name: "StorageRefused", reason: "wrongCluster" });
    expect((await start({ mode })).initial.bootCount).toBe(3);
    expect(fatal).toEqual([]);
  });

  it("tell the size of the write-ahead log", async () => {
    const durable = await start({ mode });
    await apply(durable, puts(2, 50, 2000));
    expect(durable.state.walBytes()).toBeGreaterThan(50 * 2000);
  });

  it("move the write-ahead log into the file while it grows", async () => {
    const durable = await start({ mode });
    for (let n = 0; n < 40; n += 1) {
      await apply(durable, puts(2 + n * 100, 100, 2000));
      durable.state.checkpoint();
    }
    const written = (): number => statSync(join(directory.dir, durable.state.file)).size;
    await expect.poll(written, patience).toBeGreaterThan(4_000_000);
    expect(fatal).toEqual([]);
  });

  it("tell how long the work took and how much was written", async () => {
    const told: [string, number][] = [];
    const observer = {
      logAppended: (durationMs: number, bytes: number) => told.push([`log ${bytes}`, durationMs]),
      stateApplied: (durationMs: number) => told.push(["state", durationMs]),
      defragmented: () => undefined,
      exported: () => undefined,
    };
    const durable = await start({ mode, observer });
    const entries: readonly Entry[] = [{ index: 2, term: 1, kind: "noop", data: new Uint8Array(5) }];
    await append(durable, batch(entries));
    await apply(durable, entries);
    expect(told.map(([what]) => what)).toEqual(["log 5", "state"]);
    for (const [, durationMs] of told) expect(durationMs).toBeGreaterThan(0);
  });
});

describe("threads", () => {
  it("apply and answer exactly as the same work inline", async () => {
    const property = fc.asyncProperty(fc.array(anyCommand, { minLength: 1, maxLength: 40 }), async (commands) => {
      const entries = commands.map((body, n) => command(2 + n, body));
      const results: unknown[] = [];
      for (const mode of modes) {
        const fresh = newDirectory();
        const durable = await openDurable({ mode, dir: fresh.dir, onFatal: (error) => fatal.push(error) });
        const middle = Math.floor(entries.length / 2);
        const applied: string[] = [];
        for (const part of [entries.slice(0, middle), entries.slice(middle)])
          applied.push(seen(await apply(durable, part)));
        results.push({ applied, hash: durable.state.reader.hashAll(), members: durable.state.reader.members() });
        await close(durable);
        fresh.remove();
      }
      expect(results[1]).toEqual(results[0]);
    });
    await fc.assert(property, { numRuns: 15 });
    expect(fatal).toEqual([]);
  }, 60_000);

  it.each(["log", "state", "helper"] as const)("end the member when the %s thread dies", async (victim) => {
    const durable = await start({ mode: "threaded", entries: dyingThreads(victim) });
    const reports: string[] = [];
    if (victim === "helper") durable.state.exportTo(join(directory.dir, "copy.db"), () => reports.push("exported"));
    if (victim === "log") durable.log.append(batch(puts(2, 1)), () => reports.push("durable"));
    if (victim === "state") durable.state.apply(puts(2, 1), () => reports.push("applied"));
    await expect.poll(() => fatal, patience).toHaveLength(1);
    expect(fatal[0]).toBeInstanceOf(StorageFailure);
    expect(fatal[0]).toMatchObject({ message: `the ${victim} thread has ended by itself (3)`, exitCode: 70 });
    durable.log.append(batch(puts(2, 1)), () => reports.push("durable"));
    await end(durable);
    expect(reports).toEqual([]);
    expect(fatal).toHaveLength(1);
  });

  it("end the member when one dies while it is closed with work to do", async () => {
    const durable = await start({ mode: "threaded", entries: dyingThreads("log") });
    const reports: string[] = [];
    durable.log.append(batch(puts(2, 1)), () => reports.push("durable"));
    await end(durable);
    expect(reports).toEqual([]);
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toMatchObject({ message: "the log thread has ended by itself (3)" });
  });

  it("copy the state without holding up what is applied meanwhile", async () => {
    const durable = await start({ mode: "threaded" });
    for (let n = 0; n < 20; n += 1) await apply(durable, puts(2 + n * 100, 100, 10_000));
    const order: string[] = [];
    const exported = report<StateFacts | ExportFailed>((done) =>
      durable.state.exportTo(join(directory.dir, "copy.db"), done),
    ).then(() => order.push("exported"));
    await apply(durable, puts(2002, 10));
    order.push("applied");
    await exported;
    expect(order).toEqual(["applied", "exported"]);
  });

  it("hash the state without holding up what is applied meanwhile", async () => {
    const durable = await start({ mode: "threaded" });
    for (let n = 0; n < 20; n += 1) await apply(durable, puts(2 + n * 100, 100, 10_000));
    const order: string[] = [];
    const hashed = report<HashOutcome>((done) => durable.state.hashKv(0, done)).then(() => order.push("hashed"));
    await apply(durable, puts(2002, 10));
    order.push("applied");
    await hashed;
    expect(order).toEqual(["applied", "hashed"]);
  });

  it("keep no entry of the start once the core writes its own", async () => {
    const first = await start({ mode: "threaded" });
    await append(first, batch(puts(2, 20)));
    await end(first);
    const second = await start({ mode: "threaded" });
    expect(second.initial.entries).toHaveLength(20);
    await append(second, batch(puts(22, 1)));
    expect(second.initial.entries).toHaveLength(0);
  });

  it("that cannot even be started are a reason not to open", async () => {
    const refused = start({ mode: "threaded", entries: new URL("./nowhere/", compiledThreads) });
    await expect(refused).rejects.toThrow("-thread.js");
  });

  it("give the log back to the directory's next owner when they are closed", async () => {
    await end(await start({ mode: "threaded" }));
    const inline = await start({ mode: "inline" });
    expect(inline.initial.bootCount).toBe(2);
  });
});

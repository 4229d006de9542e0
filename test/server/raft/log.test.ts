/** The log in memory against a naive model of a log and a disk that lags behind: notes 1.12. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RaftLog } from "../../../src/server/raft/log.js";
import type { Entry } from "../../../src/server/raft/types.js";
import { entry, limits, restored, terms } from "./support.js";

function openLog(changes: Parameters<typeof restored>[1] = {}): RaftLog {
  return new RaftLog(restored([1n], changes));
}

describe("writes in flight", () => {
  it("an entry that was replaced while its write was under way is not durable when that write ends", () => {
    const log = openLog();
    log.merge(terms(1, 1, 1));
    log.beginWrite(1);
    log.merge([entry(2, 2)]);
    log.beginWrite(2);
    log.completeWrite(1);
    expect(log.stable).toBe(1);
    log.completeWrite(2);
    expect(log.stable).toBe(2);
  });

  it("not even if the same entry came back meanwhile", () => {
    const log = openLog();
    log.merge(terms(1, 1));
    log.beginWrite(1);
    log.merge([entry(2, 2)]);
    log.beginWrite(2);
    // The leader of term 3 never saw 2@2 and brings 2@1 again.
    log.merge([entry(2, 1)]);
    log.beginWrite(3);
    log.completeWrite(1);
    expect(log.stable).toBe(1);
    log.completeWrite(2);
    expect(log.stable).toBe(1);
    log.completeWrite(3);
    expect(log.stable).toBe(2);
  });

  it("a write that ends out of order stops the member", () => {
    const log = openLog();
    log.merge(terms(1));
    log.beginWrite(1);
    expect(() => log.completeWrite(2)).toThrow("a write became durable out of order");
  });

  it("a truncation of entries that no write has seen does not reach the disk", () => {
    const log = openLog();
    log.merge(terms(1, 1));
    log.merge([entry(2, 2)]);
    expect(log.beginWrite(1)).toMatchObject({ truncateFrom: undefined, entries: [{ term: 1 }, { index: 2, term: 2 }] });
  });
});

describe("limits", () => {
  it("a slice holds at least one entry, and as many as fit", () => {
    const log = openLog();
    log.merge(["aaaa", "bbbb", "cccc"].map((value, offset) => entry(offset + 1, 1, value)));
    const count = (bytesMax: number): number => log.slice({ from: 1, to: 3 }, bytesMax).length;
    expect([0, 4, 7, 8, 11, 12, 100].map(count)).toEqual([1, 1, 1, 2, 2, 3, 3]);
    expect(log.slice({ from: 3, to: 3 }, 0)).toHaveLength(1);
  });

  it("bytes are counted over any range, also after a compaction", () => {
    const log = openLog({
      applied: 2,
      entries: ["a", "bb", "ccc", "dddd"].map((value, at) => entry(at + 1, 1, value)),
    });
    expect([log.bytesBetween(0, 4), log.bytesBetween(1, 3), log.bytesBetween(2, 2)]).toEqual([10, 5, 0]);
    log.compact(2);
    expect([log.bytesBetween(2, 4), log.bytesBetween(3, 4)]).toEqual([7, 4]);
  });
});

const installed = { index: 2, term: 2, membership: { voters: [1n], learners: [] }, file: "state" };

describe("what cannot happen", () => {
  it.each<[string, (log: RaftLog) => unknown, string]>([
    ["a gap", (log) => log.append(entry(9, 2)), "gap"],
    ["terms that go back", (log) => log.append(entry(5, 1)), "backwards"],
    ["a commit beyond the log", (log) => log.commitTo(5), "beyond the log"],
    ["a committed entry that changes", (log) => log.merge([entry(2, 2)]), "committed entry"],
    ["entries that are not there yet", (log) => log.slice({ from: 4, to: 5 }, 1), "not in the log yet"],
    ["entries that are not there any more", (log) => log.slice({ from: 0, to: 1 }, 1), "not in the log any more"],
    ["a compaction past what is applied", (log) => log.compact(2), "passes what is applied"],
    ["applied entries that were not handed out", (log) => log.appliedTo(2), "not handed out"],
    ["a snapshot of what is committed", (log) => log.install(installed), "undo what is committed"],
    ["an applied index that goes back", (log) => log.appliedTo(0), "went back"],
  ])("%s stops the member", (_name, work, message) => {
    const hardState = { term: 2, vote: undefined, commit: 2 };
    const log = openLog({ hardState, entries: terms(1, 1, 2, 2), applied: 1 });
    expect(() => work(log)).toThrow(message);
  });

  it.each<[string, Parameters<typeof restored>[1], string]>([
    ["a state that is ahead of the log", { entries: terms(1), applied: 2 }, "more is applied"],
    ["a log that begins after the state ends", { firstIndex: 5, previousTerm: 1, applied: 3 }, "compacted past"],
    ["a lost log tail", { hardState: { term: 1, vote: 1n, commit: 3 }, entries: terms(1) }, "more was committed"],
    ["a hole in the log", { entries: [entry(1, 1), entry(3, 1)] }, "gap"],
  ])("at boot, %s stops the member", (_name, changes, message) => {
    expect(() => openLog(changes)).toThrow(message);
  });
});

type Step =
  | { readonly kind: "merge"; readonly back: number; readonly count: number; readonly newTerm: boolean }
  | {
      readonly kind: "write" | "complete" | "commit" | "apply" | "applied" | "compact" | "install";
      readonly share: number;
    };

/** A log as an array and a disk as a queue of whole-log pictures: slow, and plainly right. */
class Model {
  log: Entry[] = [];
  disk: Entry[] = [];
  writes: { readonly id: number; readonly after: Entry[]; readonly install: number | undefined }[] = [];
  /** Index of a snapshot that no write has taken along yet. */
  install: number | undefined;
  commit = 0;
  applied = 0;
  compacted = 0;

  get installing(): boolean {
    return this.install !== undefined || this.writes.some(({ install }) => install !== undefined);
  }

  /** How far the disk holds the log as it is now: its entries are the very same objects. */
  get stable(): number {
    let index = 0;
    while (index < this.log.length && this.disk[index] === this.log[index]) index += 1;
    return index;
  }
}

class Pair {
  readonly log = openLog();
  readonly model = new Model();
  #disk: Entry[] = [];
  #term = 1;
  #writeId = 0;
  #applying: number | undefined;

  run(step: Step): void {
    switch (step.kind) {
      case "merge":
        return this.#merge(step);
      case "write":
        return this.#write();
      case "complete":
        return this.#complete();
      case "commit":
        return this.#commit(step.share);
      case "apply":
        return this.#apply();
      case "applied":
        return this.#applied();
      case "compact":
        return this.#compact(step.share);
      case "install":
        return this.#install(step.share);
    }
  }

  #merge({ back, count, newTerm }: Extract<Step, { kind: "merge" }>): void {
    const { model } = this;
    const from = Math.max(model.commit, model.log.length - back);
    if (newTerm || from < model.log.length) this.#term += 1;
    const added = Array.from({ length: count }, (_none, offset) => entry(from + offset + 1, this.#term));
    if (count > 0) model.log = [...model.log.slice(0, from), ...added];
    this.log.merge(added);
  }

  #write(): void {
    if (!this.log.dirty) return;
    this.#writeId += 1;
    const write = this.log.beginWrite(this.#writeId);
    // The disk does what the write says, and must then hold the log as it is now, or as the snapshot leaves it.
    const { model } = this;
    expect(write.install?.index).toBe(model.install);
    if (model.install !== undefined) this.#disk = model.log.slice(0, model.install);
    if (write.truncateFrom !== undefined) this.#disk = this.#disk.slice(0, write.truncateFrom - 1);
    for (const added of write.entries) {
      expect(added.index).toBe(this.#disk.length + 1);
      this.#disk.push(added);
    }
    expect(this.#disk).toEqual(model.log.slice(0, model.install));
    model.writes.push({ id: this.#writeId, after: [...this.#disk], install: model.install });
    model.install = undefined;
  }

  #complete(): void {
    const write = this.model.writes.shift();
    if (write === undefined) return;
    this.model.disk = write.after;
    this.log.completeWrite(write.id);
    if (write.install !== undefined) this.model.applied = write.install;
  }

  #commit(share: number): void {
    const { model } = this;
    const index = model.commit + Math.floor((share * (model.log.length - model.commit + 1)) / 101);
    expect(this.log.commitTo(index)).toBe(index > model.commit);
    model.commit = index;
  }

  #apply(): void {
    const { model } = this;
    const apply = this.log.nextApply({ ...limits, applyEntriesMax: 3 });
    const last = Math.min(model.commit, this.log.stable, model.applied + 3);
    if (this.#applying !== undefined || last <= model.applied || model.installing) {
      expect(apply).toBeUndefined();
      return;
    }
    expect(apply).toEqual({ first: model.applied + 1, last, entries: model.log.slice(model.applied, last) });
    this.#applying = last;
  }

  #applied(): void {
    if (this.#applying === undefined) return;
    this.log.appliedTo(this.#applying);
    this.model.applied = Math.max(this.model.applied, this.#applying);
    this.#applying = undefined;
  }

  #compact(share: number): void {
    const { model } = this;
    const index = Math.floor((share * model.applied) / 100);
    this.log.compact(index);
    model.compacted = Math.max(model.compacted, index);
  }

  /** A snapshot a little beyond the commit index, of entries that this member may never have seen. */
  #install(share: number): void {
    const { model } = this;
    this.#term += 1;
    const index = model.commit + 1 + (share % 4);
    const unseen = Array.from({ length: index - model.commit }, (_none, offset) =>
      entry(model.commit + offset + 1, this.#term),
    );
    this.log.install({ index, term: this.#term, membership: { voters: [1n], learners: [] }, file: `${index}` });
    model.log = [...model.log.slice(0, model.commit), ...unseen];
    model.commit = index;
    model.compacted = index;
    model.install = index;
  }

  check(): void {
    const { log, model } = this;
    expect(log.lastIndex).toBe(model.log.length);
    expect(log.firstIndex).toBe(model.compacted + 1);
    expect(log.lastTerm).toBe(model.log.at(-1)?.term ?? 0);
    expect(log.commit).toBe(model.commit);
    expect(log.applied).toBe(model.applied);
    expect(log.installing).toBe(model.installing);
    // The log may know less than the disk does (an entry that went and came back), never more.
    expect(log.stable).toBeLessThanOrEqual(model.stable);
    if (model.writes.length === 0 && !log.dirty) expect(log.stable).toBe(model.log.length);
    for (let index = 0; index <= model.log.length + 1; index += 1) {
      const expected = index < model.compacted ? undefined : index === 0 ? 0 : model.log[index - 1]?.term;
      expect(log.term(index)).toBe(expected);
    }
  }
}

describe("any sequence of appends, conflicts, writes, commits, applies, compactions and snapshots", () => {
  const share = fc.integer({ min: 0, max: 100 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("install" as const), share }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("merge" as const),
        back: fc.integer({ min: 0, max: 4 }),
        count: fc.integer({ min: 0, max: 4 }),
        newTerm: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("write" as const, "complete" as const), share }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom("commit" as const, "apply" as const, "applied" as const, "compact" as const),
        share,
      }),
    },
  );

  it("leaves log and disk as the model has them", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const pair = new Pair();
        for (const each of steps) {
          pair.run(each);
          pair.check();
        }
      }),
      { numRuns: 300 },
    );
  });
});

/**
 * Power cuts: the disk keeps what was synced and any part of what was not. The log is synced before anything is
 * acknowledged; the state file is not, so after a cut it may be older than the log, or its write-ahead log may end
 * anywhere. Either way every acknowledged write must be there, at its revision, and none twice.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PutRequest, RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { type OpenedMember as Member, openOneMember } from "./one-member.js";

const text = new TextEncoder();
let scratch: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "litecd-power-"));
});

afterEach(() => rmSync(scratch, { recursive: true }));

interface Acknowledged {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

function rethrow(error: unknown): never {
  throw error;
}

async function startIn(dataDir: string, catchUpEntries = 5000): Promise<Member> {
  const member = openOneMember({ dataDir, limits: { catchUpEntries, logSlackEntries: 1000 }, onFatal: rethrow });
  member.start();
  await member.replica.linearizableRead();
  return member;
}

/** `count` puts in flight at once; resolves when all are acknowledged. */
function write(member: Member, from: number, count: number): Promise<Acknowledged[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n): Promise<Acknowledged> => {
      const pair = { key: `k${(from + n) % 37}`, value: `v${from + n}` };
      const value = PutRequest.fromPartial({ key: text.encode(pair.key), value: text.encode(pair.value) });
      const { revision } = await member.replica.propose<"put">({ $case: "put", value });
      return { ...pair, revision };
    }),
  );
}

/** Copies the files of a member that is idle, as a disk would hold them. `which` picks by name. */
function copyFiles(from: string, to: string, which: RegExp): void {
  mkdirSync(join(to, "member"), { recursive: true });
  for (const name of readdirSync(join(from, "member"))) {
    if (which.test(name)) copyFileSync(join(from, "member", name), join(to, "member", name));
  }
}

function valueAt(member: Member, { key, revision }: Acknowledged): string | undefined {
  const request = RangeRequest.fromPartial({ key: text.encode(key), revision: BigInt(revision) });
  const [kv] = member.replica.state.range(request).kvs;
  return kv && Number(kv.modRevision) === revision ? new TextDecoder().decode(kv.value) : undefined;
}

async function expectAll(dataDir: string, writes: readonly Acknowledged[]): Promise<void> {
  const member = await startIn(dataDir);
  try {
    const last = writes.reduce((max, { revision }) => Math.max(max, revision), 1);
    expect(member.replica.state.revision()).toBe(last);
    for (const written of writes) expect(valueAt(member, written)).toBe(written.value);
    const next = await write(member, 1_000_000, 1);
    expect(next[0]?.revision).toBe(last + 1);
  } finally {
    await member.close();
  }
}

const logFiles = /^raft\./;
const stateFiles = /^state-/;

describe("after a power cut", () => {
  it("a state file of any earlier moment catches up from the log", async () => {
    const live = join(scratch, "live");
    const member = await startIn(live);
    const writes: Acknowledged[] = [];
    const moments = 8;
    for (let moment = 0; moment < moments; moment += 1) {
      copyFiles(live, join(scratch, `moment-${moment}`), stateFiles);
      writes.push(...(await write(member, moment * 25, 25)));
    }
    for (let moment = 0; moment < moments; moment += 1) copyFiles(live, join(scratch, `moment-${moment}`), logFiles);
    await member.close();
    for (let moment = 0; moment < moments; moment += 1) await expectAll(join(scratch, `moment-${moment}`), writes);
  });

  it("a state file that lost any tail of its write-ahead log catches up from the log", async () => {
    const live = join(scratch, "live");
    const member = await startIn(live);
    const writes: Acknowledged[] = [];
    for (let batch = 0; batch < 20; batch += 1) writes.push(...(await write(member, batch * 10, 10)));
    const image = join(scratch, "image");
    copyFiles(live, image, /./);
    await member.close();
    const wal = "state-1.db-wal";
    const walBytes = statSync(join(image, "member", wal)).size;
    expect(walBytes).toBeGreaterThan(0);
    let run = 0;
    const lost = fc.asyncProperty(fc.integer({ min: 0, max: walBytes }), async (keptBytes) => {
      run += 1;
      const torn = join(scratch, `torn-${run}`);
      copyFiles(image, torn, /./);
      truncateSync(join(torn, "member", wal), keptBytes);
      rmSync(join(torn, "member", "state-1.db-shm"), { force: true });
      await expectAll(torn, writes);
    });
    await fc.assert(lost, { numRuns: 25 });
  }, 60_000);

  it("a log that was shortened never needs more than what was made durable before", async () => {
    const live = join(scratch, "live");
    const member = await startIn(live, 50);
    const writes: Acknowledged[] = [];
    const images: { dir: string; appliedIndex: number }[] = [];
    for (let batch = 0; batch < 30; batch += 1) {
      writes.push(...(await write(member, batch * 100, 100)));
      const dir = join(scratch, `image-${batch}`);
      copyFiles(live, dir, stateFiles);
      images.push({ dir, appliedIndex: member.replica.status().appliedIndex });
    }
    await member.close();
    const reopened = await startIn(live);
    const { firstIndex } = reopened.initial;
    await reopened.close();
    expect(firstIndex).toBeGreaterThan(1000);
    // What was synced when the log was shortened cannot be lost; anything after it can.
    const possible = images.filter(({ appliedIndex }) => appliedIndex >= firstIndex - 1 + 50);
    expect(possible.length).toBeGreaterThan(2);
    for (const { dir } of [possible.at(0), possible.at(-1)].flatMap((image) => image ?? [])) {
      copyFiles(live, dir, logFiles);
      await expectAll(dir, writes);
    }
  }, 60_000);

  it("a member whose log lost acknowledged entries refuses to start", async () => {
    const live = join(scratch, "live");
    const member = await startIn(live);
    await write(member, 0, 10);
    const earlier = join(scratch, "earlier");
    copyFiles(live, earlier, /^raft\.db/);
    await write(member, 10, 10);
    copyFiles(live, earlier, /^(state-|raft\.sentinel)/);
    await member.close();
    await expect(startIn(earlier)).rejects.toThrow(/ends at entry 12 .* but entry 22 .* replace this member/);
  });
});

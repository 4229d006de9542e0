/** The replica over the real core, log and state: what it acknowledges, what it bounds, what survives its restart. */
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PutRequest, RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import type { ReplicaLimits } from "../../../src/server/replica/options.js";
import type { CommandBody } from "../../../src/server/state/types.js";
import { type OpenedMember as Member, openOneMember } from "./one-member.js";

const text = new TextEncoder();
const patient = { signal: new AbortController().signal };
let dataDir: string;
let fatal: unknown;
const open: Member[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "litecd-replica-"));
  fatal = undefined;
});

afterEach(async () => {
  for (const member of open.splice(0)) await member.close();
  rmSync(dataDir, { recursive: true });
  expect(fatal).toBeUndefined();
});

function openOne(limits: Partial<ReplicaLimits> = {}): Member {
  const member = openOneMember({ dataDir, limits, onFatal: (error) => (fatal = error) });
  open.push(member);
  return member;
}

function startOne(limits: Partial<ReplicaLimits> = {}): Member {
  const member = openOne(limits);
  member.start();
  return member;
}

async function closeOne(member: Member): Promise<void> {
  open.splice(open.indexOf(member), 1);
  await member.close();
}

function put(key: string, value = "v"): CommandBody {
  return { $case: "put", value: PutRequest.fromPartial({ key: text.encode(key), value: text.encode(value) }) };
}

function keys(member: Member): string[] {
  const request = RangeRequest.fromPartial({ key: new Uint8Array(1), rangeEnd: new Uint8Array(1) });
  return member.replica.state.range(request).kvs.map(({ key }) => new TextDecoder().decode(key));
}

describe("a replica that is the only voter", () => {
  it("leads term 2 at once and gives the first write revision 2", async () => {
    const { replica } = startOne();
    expect((await replica.propose<"put">(put("a"))).revision).toBe(2);
    expect(replica.status()).toMatchObject({ term: 2, role: "leader", learner: false });
    expect(replica.status().leader).toBe(replica.status().memberId);
  });

  it("answers calls that came before it led", async () => {
    const member = openOne();
    const write = member.replica.propose<"put">(put("a"));
    const read = member.replica.linearizableRead();
    member.start();
    expect((await write).revision).toBe(2);
    await read;
  });

  it("shows every acknowledged write to a linearizable read", async () => {
    const member = startOne();
    await Promise.all(Array.from({ length: 50 }, (_, n) => member.replica.propose(put(`k${n}`))));
    await member.replica.linearizableRead();
    expect(keys(member)).toHaveLength(50);
  });

  it("gives writes of one turn their own revisions in the order they came", async () => {
    const { replica } = startOne();
    const outcomes = await Promise.all(["a", "b", "c"].map((key) => replica.propose<"put">(put(key))));
    expect(outcomes.map(({ revision }) => revision)).toEqual([2, 3, 4]);
  });

  it("keeps all of it over a restart and goes on in the next term", async () => {
    const first = startOne();
    await first.replica.propose(put("a"));
    await first.replica.propose(put("b"));
    await closeOne(first);
    const second = startOne();
    expect((await second.replica.propose<"put">(put("c"))).revision).toBe(4);
    expect(keys(second)).toEqual(["a", "b", "c"]);
    expect(second.replica.status().term).toBe(3);
  });

  it("refuses a command above the request limit and takes one at it", async () => {
    const { replica } = startOne({ requestBytesMax: 1000 });
    await expect(replica.propose(put("k", "x".repeat(1000)))).rejects.toMatchObject(status.RequestTooLarge);
    expect((await replica.propose<"put">(put("k", "x".repeat(900)))).revision).toBe(2);
  });

  it("rejects what still waits when it is closed, and everything after", async () => {
    const member = openOne();
    const waiting = member.replica.propose(put("a"));
    const reading = member.replica.linearizableRead();
    const failures = Promise.allSettled([waiting, reading]);
    await closeOne(member);
    for (const failure of await failures) expect(failure).toMatchObject({ reason: status.Stopped });
    await expect(member.replica.propose(put("a"))).rejects.toMatchObject(status.Stopped);
    await expect(member.replica.linearizableRead()).rejects.toMatchObject(status.Stopped);
  });

  it("drops old log entries and keeps the catch-up tail", async () => {
    const member = startOne({ catchUpEntries: 10, logSlackEntries: 1000 });
    for (let batch = 0; batch < 12; batch += 1) {
      await Promise.all(Array.from({ length: 200 }, (_, n) => member.replica.propose(put(`k${n % 20}`))));
    }
    const { appliedIndex } = member.replica.status();
    await closeOne(member);
    const { initial } = openOne();
    expect(initial.firstIndex).toBeGreaterThan(1000);
    expect(initial.firstIndex).toBeLessThanOrEqual(appliedIndex - 9);
  });

  it("restores after a compaction of the log", async () => {
    const first = startOne({ catchUpEntries: 10, logSlackEntries: 1000 });
    for (let batch = 0; batch < 8; batch += 1) {
      await Promise.all(Array.from({ length: 200 }, (_, n) => first.replica.propose(put(`k${n % 20}`))));
    }
    const before = first.replica.state.revision();
    await closeOne(first);
    const second = startOne();
    expect((await second.replica.propose<"put">(put("after"))).revision).toBe(before + 1);
    expect(keys(second)).toHaveLength(21);
  });

  it("defragments while it serves, into a file that the next start opens", async () => {
    const first = startOne();
    await Promise.all(Array.from({ length: 300 }, (_, n) => first.replica.propose(put(`k${n}`, "x".repeat(2000)))));
    const request = {
      $case: "deleteRange",
      value: { key: text.encode("k"), rangeEnd: text.encode("l"), prevKv: false },
    } as const;
    await first.replica.propose(request);
    const revision = BigInt(first.replica.state.revision());
    await first.replica.propose({ $case: "compact", value: { revision, physical: true } });
    await first.replica.maintenance.compactionFinished();
    const before = first.replica.state.size().allocatedBytes;
    await first.replica.maintenance.defragment();
    expect(first.replica.state.size().allocatedBytes).toBeLessThan(before / 2);
    await first.replica.propose(put("after"));
    await closeOne(first);
    expect(keys(startOne())).toEqual(["after"]);
  });

  it("expires a lease with its keys by itself", async () => {
    const { replica } = startOne();
    await replica.propose({ $case: "leaseGrant", value: { id: 7n, ttlSeconds: 1n } });
    const held = PutRequest.fromPartial({ key: text.encode("held"), value: text.encode("v"), lease: 7n });
    await replica.propose({ $case: "put", value: held });
    expect((await replica.leases.timeToLive(7n, patient))?.remainingSeconds).toBe(0);
    await expect.poll(() => replica.state.lease(7n), { timeout: 5000 }).toBeUndefined();
    expect(replica.state.revision()).toBe(3);
    expect(await replica.leases.renew(7n, patient)).toBe(0);
  });

  it("gives a lease its full time again after a restart", async () => {
    const first = startOne();
    await first.replica.propose({ $case: "leaseGrant", value: { id: 7n, ttlSeconds: 100n } });
    await closeOne(first);
    const second = startOne();
    await second.replica.propose(put("a"));
    const time = await second.replica.leases.timeToLive(7n, patient);
    expect(time?.remainingSeconds).toBeGreaterThanOrEqual(100);
  });
});

describe("a member whose state file is unusable", () => {
  it("says so and lets go of its directory", async () => {
    const first = startOne({ catchUpEntries: 10, logSlackEntries: 100 });
    for (let batch = 0; batch < 8; batch += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => first.replica.propose(put(`k${n}`))));
    }
    await closeOne(first);
    const stateFile = join(dataDir, "member", "state-1.db");
    const spare = join(dataDir, "spare.db");
    renameSync(stateFile, spare);
    expect(() => openOne()).toThrow("state-1.db");
    renameSync(spare, stateFile);
    expect(keys(startOne())).toHaveLength(100);
  });
});

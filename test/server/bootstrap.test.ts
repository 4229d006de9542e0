/** How a member without data begins, by what the others answer. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Answer, ClusterViewAnswer } from "../../proto/gen/internal/peer.js";
import { beginning, firstPeersOf, hasData } from "../../src/server/bootstrap.js";
import { clusterIdOf, memberIdOf } from "../../src/server/config/identity.js";
import { systemClock } from "../../src/server/runtime/clock.js";
import { silentLogger } from "../../src/server/runtime/logger.js";
import { startTestServer } from "../../src/server/testing/index.js";
import { configOf } from "./config/parse.js";

const [a, b, c] = ["http://h:1", "http://h:2", "http://h:3"] as const;
const founders = `--name c --initial-advertise-peer-urls ${c} --initial-cluster a=${a},b=${b},c=${c}`;
const joiner = `${founders} --initial-cluster-state existing`;

type Member = ClusterViewAnswer["members"][number];

function member(id: bigint, url: string): Member {
  return { id, name: `m${id}`, peerUrls: [url], clientUrls: ["http://h:9"], learner: false };
}

function view(...members: readonly Member[]): Answer {
  const value = { clusterId: 77n, members: [...members], clusterVersion: "3.7.0", serverVersion: "3.7.0", removed: [] };
  return { kind: { $case: "clusterView", value } };
}

const never = new Promise<Answer>(() => undefined);
const { signal } = new AbortController();

/** A world in which these peer URLs answer; the others refuse connections. */
function asking(line: string, answers: Readonly<Record<string, Answer | Promise<Answer>>>) {
  const ask = async (url: string): Promise<Answer> => {
    const answer = answers[url];
    if (answer === undefined) throw new Error("connection refused");
    return answer;
  };
  return { config: configOf(line), logger: silentLogger, clock: systemClock, ask, signal };
}

/** A clock whose timers go off when the test says so. */
function patience() {
  const timers: (() => void)[] = [];
  const after = (_delayMs: number, callback: () => void): (() => void) => {
    timers.push(callback);
    return () => undefined;
  };
  return { timers, clock: { ...systemClock, after } };
}

const known = view(member(1n, a), member(2n, b), { ...member(3n, c), clientUrls: [] });
const notYet = view(member(1n, a), member(2n, b));

describe("a founder", () => {
  it("writes what every founder writes, whoever is up", async () => {
    const { bootstrap, firstPeers } = await beginning(asking(founders, {}));
    const { initialCluster } = configOf(founders);
    const ids = initialCluster.map(({ peerUrls }) => memberIdOf(peerUrls, "etcd-cluster"));
    expect(bootstrap).toMatchObject({
      kind: "found",
      identity: { clusterId: clusterIdOf(initialCluster, "etcd-cluster"), memberId: ids[2] },
      membership: { voters: ids, learners: [] },
    });
    expect(bootstrap.founders?.map(({ id, peerUrls }) => [id, peerUrls])).toEqual(
      ids.map((id, at) => [id, [[a, b, c][at]]]),
    );
    expect(firstPeers).toEqual([]);
  });

  it("does not found what it is not named in, nor where it has been before", async () => {
    await expect(beginning(asking(`${founders} --name d`, {}))).rejects.toThrow(/couldn't find local name "d"/);
    const self = memberIdOf([c], "etcd-cluster");
    const back = beginning(asking(founders, { [b]: view(member(1n, a), member(2n, b), member(self, c)) }));
    await expect(back).rejects.toMatchObject({ name: "BootstrapRefused", message: /already been bootstrapped/ });
  });
});

describe("a joiner", () => {
  it("takes its identity from any member that knows of it", async () => {
    const { bootstrap, firstPeers } = await beginning(asking(joiner, { [a]: notYet, [b]: known }));
    expect(bootstrap).toMatchObject({
      kind: "join",
      identity: { clusterId: 77n, memberId: 3n },
      membership: { voters: [], learners: [] },
    });
    expect(firstPeers.map(({ id }) => id)).toEqual([1n, 2n]);
  });

  it("needs an answer, and one that fits", async () => {
    await expect(beginning(asking(joiner, {}))).rejects.toThrow(/could not retrieve cluster information/);
    const failure: Answer = { kind: { $case: "failure", value: { code: 14, message: "not now" } } };
    await expect(beginning(asking(joiner, { [a]: failure }))).rejects.toThrow(/could not retrieve/);
    await expect(beginning(asking(joiner, { [a]: notYet }))).rejects.toThrow(/member count is unequal/);
  });

  it("hears the others out before it trusts the first one, which may lag", async () => {
    const lost = view(member(1n, a), member(2n, b), member(3n, c));
    const back = beginning(asking(joiner, { [a]: known, [b]: Promise.resolve().then(() => lost) }));
    await expect(back).rejects.toThrow(/member 3 has already been bootstrapped/);
  });

  it("does not wait long for those who do not answer once it is let in", async () => {
    const { timers, clock } = patience();
    const begun = beginning({ ...asking(joiner, { [a]: known, [b]: never }), clock });
    await expect.poll(() => timers.length).toBe(1);
    timers[0]?.();
    expect((await begun).bootstrap.identity.memberId).toBe(3n);
  });

  it("that is called off while it asks ends at once, with the reason", async () => {
    for (const line of [joiner, founders]) {
      const stopping = new AbortController();
      const begun = beginning({ ...asking(line, { [a]: never, [b]: never }), signal: stopping.signal });
      stopping.abort(new Error("enough"));
      await expect(begun).rejects.toThrow("enough");
    }
  });

  it("that comes back knowing nobody asks who the others are", async () => {
    expect((await firstPeersOf(asking(joiner, { [a]: notYet, [b]: known }), 3n)).map(({ id }) => id)).toEqual([1n, 2n]);
    expect(await firstPeersOf(asking(joiner, {}), 3n)).toEqual([]);
  });
});

describe("a data directory", () => {
  it("holds a member from the sentinel on, not from the first file on", () => {
    const dir = mkdtempSync(join(tmpdir(), "litecd-begun-"));
    try {
      expect(hasData(join(dir, "missing"))).toBe(false);
      for (const name of ["raft.db", "raft.db-wal", "raft.db-shm"]) writeFileSync(join(dir, name), "");
      expect(hasData(dir)).toBe(false);
      writeFileSync(join(dir, "raft.sentinel"), "");
      expect(hasData(dir)).toBe(true);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("in which a start was cut off before it wrote who it is serves the next start", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "litecd-begun-"));
    try {
      mkdirSync(join(dataDir, "member"));
      writeFileSync(join(dataDir, "member", "raft.db"), "");
      await using server = await startTestServer({ config: { dataDir } });
      expect(server.endpoint).not.toBe("");
    } finally {
      rmSync(dataDir, { recursive: true });
    }
  });
});

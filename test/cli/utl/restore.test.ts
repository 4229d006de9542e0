/** `utl snapshot restore` and what starts from it. Needs `dist`. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, quickTicks } from "../../support/cluster.js";
import { litecd, Member } from "../../support/member.js";
import { litectl } from "../captured.js";
import { ask, FilledMember, run } from "./worlds.js";

let source: FilledMember;
beforeAll(async () => {
  source = await FilledMember.start();
}, 30_000);
afterAll(() => source[Symbol.asyncDispose]());

const flagsOf = (member: Member, members: readonly Member[]): string[] => [
  `--data-dir=${member.dataDir}`,
  `--name=${member.name}`,
  `--initial-cluster=${members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",")}`,
  `--initial-advertise-peer-urls=${member.peerUrl}`,
];

async function restored(...extra: string[]): Promise<Member> {
  const member = await Member.create(litecd, ["--unsafe-no-fsync"]);
  try {
    expect(await run("utl", "snapshot", "restore", source.snapshot, ...flagsOf(member, [member]), ...extra)).toBe("");
    await member.start();
    return member;
  } catch (error) {
    await member.dispose();
    throw error;
  }
}

interface Pair {
  readonly create_revision: number;
  readonly mod_revision: number;
  readonly version: number;
  readonly lease?: unknown;
}

/** What the snapshot held, as a member says it. */
async function expectSnapshot(endpoint: string): Promise<void> {
  const { kvs, header } = await ask(endpoint, "get", "", "--prefix");
  expect(
    (kvs as Pair[]).map(({ create_revision, mod_revision, version }) => [create_revision, mod_revision, version]),
  ).toEqual([
    [2, 7, 3],
    [6, 6, 1],
  ]);
  expect(header).toMatchObject({ revision: 7 });
  expect(await run("get", "foo", "--rev=4", "--endpoints", endpoint)).toBe("foo\nbar\n");
  expect(await run("lease", "timetolive", source.leaseId, "--keys", "--endpoints", endpoint)).toMatch(
    /granted with TTL\(6000s\), remaining\(\d+s\), attached keys\(\[leased\]\)/,
  );
  expect(await run("user", "get", "ann", "--endpoints", endpoint)).toBe("User: ann\nRoles: reader\n");
}

describe("snapshot restore", () => {
  it("makes a data directory that a member starts from, with the snapshot's keys, revisions, leases and users", async () => {
    await using member = await restored();
    await expectSnapshot(member.endpoint);
    const { header, members } = await ask(member.endpoint, "member", "list");
    const before = await ask(source.member.endpoint, "member", "list");
    expect(header).not.toMatchObject({ cluster_id: (before["header"] as { cluster_id: number }).cluster_id });
    expect(members).toMatchObject([{ name: "m1", peerURLs: [member.peerUrl] }]);
    await ask(member.endpoint, "put", "next", "v");
    expect(await ask(member.endpoint, "get", "next")).toMatchObject({ kvs: [{ mod_revision: 8 }] });
  });

  it("goes on after a restart", async () => {
    await using member = await restored();
    await run("put", "more", "v", "--endpoints", member.endpoint);
    await member.end("SIGKILL");
    await member.start();
    expect(await run("get", "", "--prefix", "--keys-only", "--endpoints", member.endpoint)).toBe(
      "foo\n\nleased\n\nmore\n\n",
    );
  });

  it("makes three members one cluster, whose members agree and elect a leader when one dies", async () => {
    await using cluster = await Cluster.create({
      program: litecd,
      size: 3,
      flags: [...quickTicks, "--unsafe-no-fsync"],
    });
    const { members } = cluster;
    for (const member of members) {
      await run("utl", "snapshot", "restore", source.snapshot, ...flagsOf(member, members));
    }
    await Promise.all(members.map((member) => member.start()));
    for (const { endpoint } of members) await expectSnapshot(endpoint);
    await run("put", "k", "v", "--endpoints", cluster.endpoints.join(","));
    const list = cluster.endpoints.join(",");
    const hashes = JSON.parse(await run("endpoint", "hashkv", "--endpoints", list, "-w", "json")) as {
      HashKV: { hash: number };
    }[];
    expect(new Set(hashes.map(({ HashKV }) => HashKV.hash)).size).toBe(1);
    await cluster.member(1).end("SIGKILL");
    const rest = cluster.endpoints.slice(1).join(",");
    await run("put", "k", "after", "--endpoints", rest, "--command-timeout=20s");
    expect(await run("get", "k", "--endpoints", rest)).toBe("k\nafter\n");
  });

  it("raises the revision and compacts all history up to it", async () => {
    await using member = await restored("--bump-revision=1000", "--mark-compacted");
    expect(await ask(member.endpoint, "get", "foo")).toMatchObject({
      header: { revision: 1007 },
      kvs: [{ mod_revision: 7, version: 3 }],
    });
    await expect(litectl(["get", "foo", "--rev=7", "--endpoints", member.endpoint])).resolves.toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("mvcc: required revision has been compacted"),
    });
    expect(await ask(member.endpoint, "put", "k", "v")).toMatchObject({ header: { revision: 1008 } });
    await member.end("SIGTERM");
    await member.start();
    expect(await run("get", "foo", "--endpoints", member.endpoint)).toBe("foo\nbaz\n");
  });

  it("takes a state file from a data directory, whose digest is not there to be checked", async () => {
    await using member = await restored();
    await member.end("SIGTERM");
    const file = `${member.dataDir}/member/state-1.db`;
    const flags = ["--data-dir", source.path("copied")];
    await expect(litectl(["utl", "snapshot", "restore", file, ...flags])).resolves.toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("Error: snapshot missing hash but --skip-hash-check=false\n"),
    });
    await run("utl", "snapshot", "restore", file, ...flags, "--skip-hash-check");
    expect(await run("utl", "hashkv", source.path("copied"))).toBe(await run("utl", "hashkv", source.snapshot));
  });
});

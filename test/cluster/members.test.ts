/**
 * A live cluster of processes, reshaped by the real etcdctl: members come as learners, are promoted, lead, move house and
 * are removed, while every member serves. The cases follow one another on one cluster.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { status } from "../../proto/status.js";
import { Cluster, quickTicks } from "../support/cluster.js";
import { onOurCluster } from "../support/cluster-targets.js";
import type { Member } from "../support/member.js";
import { realEtcdMissing } from "../support/real-etcd.js";
import { leaderAmong, like, messageOf, on } from "./asking.js";
import { etcdctl, etcdctlUntilWell } from "./etcdctl.js";

const everything = { key: Buffer.from("\0"), rangeEnd: Buffer.from("\0") };
const quota = "--quota-backend-bytes=3000000";

onOurCluster("A cluster that is reshaped", ({ program, flags }) => {
  if (realEtcdMissing !== undefined) {
    it.skip(`skipped: ${realEtcdMissing}`, () => undefined);
    return;
  }
  let cluster: Cluster;
  let founders: readonly string[];
  let newcomer: Member;

  beforeAll(async () => {
    cluster = await Cluster.start({ program, size: 3, flags: [...flags, ...quickTicks, quota] });
    founders = cluster.endpoints;
  }, 60_000);

  afterAll(() => cluster?.dispose());

  async function idOf(member: Member): Promise<string> {
    const { members } = JSON.parse(await etcdctlUntilWell(founders, "member", "list", "-w", "json")) as {
      members: { ID: bigint; peerURLs: string[] }[];
    };
    const index = members.findIndex(({ peerURLs }) => peerURLs.includes(member.peerUrl));
    // JSON numbers lose the last digits of an id; the plain list has them in hex, in the same order.
    const lines = (await etcdctlUntilWell(founders, "member", "list")).trimEnd().split("\n");
    return lines[index]?.split(",")[0] ?? "no such member";
  }

  it("refuses a change while its members have hardly met", async () => {
    const { code, problem } = await etcdctl(founders, "member", "add", "x", "--peer-urls=http://127.0.0.1:1");
    expect([code, problem]).toEqual([1, `Error: ${status.Unhealthy.message}`]);
  });

  it("has one leader, known to all", async () => {
    const table = await etcdctlUntilWell(founders, "endpoint", "status", "--cluster");
    const lines = table.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.includes(", true, false, "))).toHaveLength(1);
    const leaders = await Promise.all(
      cluster.members.map((member) => on(member, async (t) => (await t.status()).leader)),
    );
    expect(new Set(leaders).size).toBe(1);
  });

  it("takes writes at each member and shows them at each other", async () => {
    for (const member of cluster.members) {
      await on(member, (t) => t.put({ key: Buffer.from(member.name), value: Buffer.from("here") }));
      for (const reader of cluster.members) {
        const { kvs } = await on(reader, (t) => t.range({ key: Buffer.from(member.name) }));
        expect(kvs).toHaveLength(1);
      }
    }
  });

  it("counts what passes between its members", async () => {
    const text = await (await fetch(`http://${cluster.member(1).endpoint}/metrics`)).text();
    const values = (name: string): number[] =>
      [...text.matchAll(new RegExp(`^${name}{[^}]*} (.*)$`, "gm"))].map(([, value]) => Number(value));
    expect(values("etcd_network_active_peers")).toEqual([1, 1]);
    for (const name of ["sent_bytes_total", "received_bytes_total", "round_trip_time_seconds_count"]) {
      const counts = values(`etcd_network_peer_${name}`);
      expect([counts.length, counts.every((count) => count > 0)]).toEqual([2, true]);
    }
    expect(text).toMatch(/^etcd_cluster_version\{cluster_version="3.7"\} 1$/m);
  });

  it("takes a learner, one at a time", async () => {
    newcomer = await cluster.prepare("m4");
    const said = await etcdctlUntilWell(
      founders,
      "member",
      "add",
      "m4",
      `--peer-urls=${newcomer.peerUrl}`,
      "--learner",
    );
    expect(said).toContain(`ETCD_INITIAL_CLUSTER_STATE="existing"`);
    const second = await etcdctl(founders, "member", "add", "m5", "--peer-urls=http://127.0.0.1:1", "--learner");
    expect(second.problem).toBe(`Error: ${status.TooManyLearners.message}`);
    const used = await etcdctl(founders, "member", "add", "m5", `--peer-urls=${cluster.member(1).peerUrl}`);
    expect(used.problem).toBe(`Error: ${status.PeerURLExist.message}`);
    expect(await etcdctlUntilWell(founders, "member", "list")).toMatch(/, unstarted, , .*, , true/);
  });

  it("does not promote a learner that has not been there yet", async () => {
    const { problem } = await etcdctl(founders, "member", "promote", await idOf(newcomer));
    expect(problem).toBe(`Error: ${status.LearnerNotReady.message}`);
  });

  it("brings the learner up to date and lets it serve little", async () => {
    await newcomer.start();
    await on(newcomer, async (t) => {
      expect((await t.range({ ...everything, serializable: true })).count).toBe(3n);
      expect(await t.status()).toMatchObject({ isLearner: true });
      await expect(t.range(everything)).rejects.toMatchObject(like(status.NotSupportedForLearner));
      await expect(t.put({ key: Buffer.from("a") })).rejects.toMatchObject(like(status.NotSupportedForLearner));
      await expect(t.memberList()).rejects.toMatchObject(like(status.NotSupportedForLearner));
    });
    expect((await fetch(`http://${newcomer.endpoint}/health`)).status).toBe(200);
    const ready = await fetch(`http://${newcomer.endpoint}/readyz`);
    expect([ready.status, (await ready.text()).includes("[-]non_learner failed")]).toEqual([503, true]);
  });

  it("keeps a learner a learner when its URLs are updated, and leads no learner to the top", async () => {
    const id = await idOf(newcomer);
    await etcdctlUntilWell(founders, "member", "update", id, `--peer-urls=${newcomer.peerUrl}`);
    expect(await etcdctlUntilWell(founders, "member", "list")).toMatch(/, started, m4, .*, true/);
    const { problem } = await etcdctl(founders, "move-leader", id);
    expect(problem).toContain(status.BadLeaderTransferee.message);
  });

  it("promotes the learner once it is up to date, and never twice", async () => {
    const id = await idOf(newcomer);
    await etcdctlUntilWell(founders, "member", "promote", id);
    expect(await etcdctlUntilWell(founders, "member", "list")).toMatch(/, started, m4, .*, false/);
    const { problem } = await etcdctl(founders, "member", "promote", id);
    expect(problem).toBe(`Error: ${status.MemberNotLearner.message}`);
    await on(newcomer, async (t) => {
      await vi.waitFor(async () => expect((await t.status()).isLearner).toBe(false));
      await t.put({ key: Buffer.from("m4"), value: Buffer.from("here") });
      expect((await t.range(everything)).count).toBe(4n);
    });
  });

  it("moves its leadership where it is told, and only from the leader", async () => {
    const id = await idOf(newcomer);
    expect(await etcdctlUntilWell(founders, "move-leader", id)).toContain(`Leadership transferred from`);
    expect(await leaderAmong(cluster.members)).toBe(newcomer);
    await on(cluster.member(1), async (t) => {
      const { header } = await t.status();
      await expect(t.moveLeader({ targetID: header?.memberId ?? 0n })).rejects.toMatchObject(like(status.NotLeader));
    });
    await on(newcomer, async (t) => {
      await expect(t.moveLeader({ targetID: 99n })).rejects.toMatchObject(like(status.BadLeaderTransferee));
    });
  });

  it("gives up moving its leadership to a member that does not answer", async () => {
    const silent = cluster.member(3);
    const { header } = await on(silent, (t) => t.status());
    silent.signal("SIGSTOP");
    try {
      await on(newcomer, async (t) => {
        const moved = t.moveLeader({ targetID: header?.memberId ?? 0n });
        await expect(moved).rejects.toMatchObject(like(status.LeaderTransferTimeout));
        await t.put({ key: Buffer.from("m4"), value: Buffer.from("still here") });
      });
    } finally {
      silent.signal("SIGCONT");
    }
  });

  it("has the same history everywhere, before and after a compaction and a defragmentation", async () => {
    const hashes = async (): Promise<Set<string>> => {
      const said = await etcdctlUntilWell(founders, "endpoint", "hashkv", "--cluster");
      return new Set(
        said
          .trimEnd()
          .split("\n")
          .map((line) => line.split(", ")[1] ?? ""),
      );
    };
    // The silent member may find, as it goes on, that it was told to lead, and do so.
    const revision = await vi.waitFor(
      () => on(newcomer, async (t) => (await t.range(everything)).header?.revision ?? 0n),
      { timeout: 5000 },
    );
    const settled = (): Promise<void> =>
      vi.waitFor(async () => expect((await hashes()).size).toBe(1), { timeout: 5000 });
    await settled();
    await etcdctlUntilWell(founders, "compaction", "--physical", String(revision));
    for (const member of cluster.members) {
      await on(member, async (t) => {
        const old = t.range({ ...everything, revision: revision - 1n });
        await expect(old).rejects.toMatchObject(like(status.Compacted));
      });
    }
    await settled();
    const said = await etcdctlUntilWell(founders, "defrag", "--cluster");
    expect(said.match(/Finished defragmenting etcd member/g)).toHaveLength(4);
    await settled();
  });

  it("raises the space alarm at every member when one is full, and serves again when it is not", async () => {
    const value = Buffer.alloc(300_000, 1);
    const full = await vi.waitFor(
      async () => {
        const said = await on(cluster.member(2), (t) =>
          t.put({ key: Buffer.from("big"), value }).then(() => "ok", messageOf),
        );
        expect(said).not.toBe("ok");
        return said;
      },
      { timeout: 15_000, interval: 0 },
    );
    expect(full).toBe(status.NoSpace.message);
    for (const member of cluster.members) {
      await vi.waitFor(() =>
        on(member, async (t) => {
          await expect(t.put({ key: Buffer.from("a") })).rejects.toMatchObject(like(status.NoSpace));
          await t.range(everything);
        }),
      );
    }
    expect(await etcdctlUntilWell(founders, "alarm", "list")).toContain("alarm:NOSPACE");
    const revision = await on(newcomer, async (t) => (await t.range(everything)).header?.revision ?? 0n);
    await etcdctlUntilWell(founders, "compaction", "--physical", String(revision));
    await etcdctlUntilWell(founders, "defrag", "--cluster");
    await etcdctlUntilWell(founders, "alarm", "disarm");
    for (const member of cluster.members) {
      await vi.waitFor(() => on(member, (t) => t.put({ key: Buffer.from(member.name) })), { timeout: 10_000 });
    }
  });

  it("lets a removed member go, for good", async () => {
    const gone = cluster.member(3);
    const id = await idOf(gone);
    expect(await etcdctlUntilWell(cluster.endpoints, "member", "remove", id)).toContain(
      `Member ${id.padStart(16)} removed from cluster`,
    );
    expect(await gone.gone()).toBe(0);
    expect(gone.log).toContain("the member has been permanently removed from the cluster");
    expect(gone.log).toContain("data-dir used by this member must be removed");
    gone.launch();
    expect(await gone.gone()).toBe(0);
    expect(gone.log).toContain("the member has been permanently removed from the cluster");
    const again = await etcdctl(founders.slice(0, 2), "member", "remove", id);
    expect(again.problem).toMatch(/member not found/i);
    founders = founders.slice(0, 2);
  });

  it("goes on without its leader when that is removed", async () => {
    await etcdctlUntilWell(
      cluster.endpoints.filter((endpoint) => endpoint !== cluster.member(3).endpoint),
      "move-leader",
      await idOf(newcomer),
    );
    const said = await etcdctlUntilWell(founders, "member", "remove", await idOf(newcomer));
    expect(said).toContain("removed from cluster");
    expect(await newcomer.gone()).toBe(0);
    const leader = await leaderAmong([cluster.member(1), cluster.member(2)]);
    await on(leader, (t) => t.put({ key: Buffer.from("after"), value: Buffer.from("all") }));
    expect(await etcdctlUntilWell(founders, "member", "list")).not.toContain("m4");
  });

  it("follows a member that moves to another URL", async () => {
    const mover = cluster.member(2);
    const moved = await cluster.prepare("elsewhere", []);
    const said = await etcdctlUntilWell(
      founders,
      "member",
      "update",
      await idOf(mover),
      `--peer-urls=${moved.peerUrl}`,
    );
    expect(said).toContain("updated in cluster");
    await mover.end("SIGKILL");
    await mover.start([`--listen-peer-urls=${moved.peerUrl}`]);
    await on(mover, (t) => t.put({ key: Buffer.from("moved"), value: Buffer.from("in") }));
  });
});

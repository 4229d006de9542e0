/** The life of a cluster of processes: founding, waiting, restarts, the death of a leader, loss of data, joining, recovery. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { Cluster, quickTicks } from "../support/cluster.js";
import { onOurCluster } from "../support/cluster-targets.js";
import { freePorts } from "../support/free-ports.js";
import type { Member } from "../support/member.js";
import { leaderAmong, on } from "./asking.js";

const value = Buffer.from("v");

onOurCluster("A cluster of processes", ({ program, flags: usual }) => {
  const flags = [...usual, ...quickTicks];
  const open: Cluster[] = [];

  afterEach(async () => {
    await Promise.all(open.splice(0).map((cluster) => cluster.dispose()));
  });

  function tracked(cluster: Cluster): Cluster {
    open.push(cluster);
    return cluster;
  }

  const founders = async (size: number, more: readonly string[] = []): Promise<Cluster> =>
    tracked(await Cluster.create({ program, size, flags: [...flags, ...more] }));
  const started = async (size: number): Promise<Cluster> => tracked(await Cluster.start({ program, size, flags }));

  it("founds itself as its members come, one waiting for the next, and none serves before", async () => {
    const cluster = await founders(3);
    const [first, second, third] = [cluster.member(1), cluster.member(2), cluster.member(3)];
    first.launch();
    await said(first, "failed to get the cluster's members");
    await said(first, "no link to a member");
    await expect(on(first, (t) => t.status({}, { timeoutMs: 300 }))).rejects.toMatchObject({ code: 4 });
    second.launch();
    await Promise.all([first.ready(), second.ready()]);
    await on(first, (t) => t.put({ key: Buffer.from("early"), value }));
    await third.start();
    await on(third, async (t) => {
      expect((await t.range({ key: Buffer.from("early") })).count).toBe(1n);
      expect((await t.memberList()).members.map(({ name }) => name).toSorted()).toEqual(["m1", "m2", "m3"]);
    });
  });

  it("is told to end while it waits for the others, and ends well", async () => {
    const cluster = await founders(3);
    const [metricsPort] = await freePorts(1);
    cluster.member(1).launch([`--listen-metrics-urls=http://127.0.0.1:${metricsPort}`]);
    await said(cluster.member(1), "no link to a member");
    // Whoever watches over it can see what is the matter.
    const health = await fetch(`http://127.0.0.1:${metricsPort}/health`);
    expect([health.status, await health.text()]).toEqual([503, expect.stringContaining("RAFT NO LEADER")]);
    expect(await cluster.member(1).end("SIGTERM")).toBe(0);
  });

  it("keeps every acknowledged write through the restart of each and the death of its leader", async () => {
    const cluster = await started(3);
    const written: string[] = [];
    const write = async (member: Member, name: string): Promise<void> => {
      await vi.waitFor(() => on(member, (t) => t.put({ key: Buffer.from(name), value })), { timeout: 15_000 });
      written.push(name);
    };
    for (const [at, member] of cluster.members.entries()) {
      expect(await member.end("SIGTERM")).toBe(0);
      await write(cluster.members[(at + 1) % 3] ?? member, `without-${member.name}`);
      await member.start();
      await write(member, `again-${member.name}`);
    }
    const leader = await leaderAmong(cluster.members);
    const others = cluster.members.filter((member) => member !== leader);
    await leader.end("SIGKILL");
    for (const member of others) await write(member, `orphan-${member.name}`);
    await leader.start();
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    // What the flags say about the cluster counts for nothing any more.
    const nonsense = ["--initial-cluster=x=http://127.0.0.1:1", "--initial-cluster-token=other"];
    await Promise.all(cluster.members.map((member) => member.start(nonsense)));
    for (const member of cluster.members) {
      const { kvs } = await on(member, (t) => t.range({ key: Buffer.from("\0"), rangeEnd: Buffer.from("\0") }));
      expect(kvs.map(({ key }) => Buffer.from(key).toString())).toEqual(written.toSorted());
    }
  });

  it("does not take back a member that lost its data, whether it comes to found or to join", async () => {
    const cluster = await started(3);
    const forgetful = cluster.member(2);
    await forgetful.end("SIGKILL");
    await rm(forgetful.dataDir, { recursive: true });
    for (const more of [[], ["--initial-cluster-state=existing"]]) {
      forgetful.launch(more);
      expect(await forgetful.gone()).toBe(1);
      expect(forgetful.log).toMatch(/member [0-9a-f]+ has already been bootstrapped/);
      expect(existsSync(join(forgetful.dataDir, "member"))).toBe(false);
    }
  });

  it("refuses to start on a peer port in use, and says so", async () => {
    const cluster = await started(1);
    const [other] = (await founders(1)).members;
    other?.launch([`--listen-peer-urls=${cluster.member(1).peerUrl}`]);
    expect(await other?.gone()).toBe(1);
    expect(other?.log).toMatch(/EADDRINUSE: address already in use 127\.0\.0\.1:\d+/);
  });

  it("lets nobody join who does not know it well", async () => {
    const cluster = await started(1);
    const stranger = await cluster.prepare("stranger", cluster.members.slice(0, 1));
    stranger.launch();
    expect(await stranger.gone()).toBe(1);
    expect(stranger.log).toContain("error validating peerURLs: member count is unequal");
    const lost = await cluster.prepare("lost", []);
    lost.launch();
    expect(await lost.gone()).toBe(1);
    expect(lost.log).toContain("could not retrieve cluster information from the given URLs");
    const { members } = await on(cluster.member(1), (t) => t.memberAdd({ peerURLs: ["http://127.0.0.1:9"] }));
    expect(members).toHaveLength(2);
    stranger.launch();
    expect(await stranger.gone()).toBe(1);
    expect(stranger.log).toMatch(/no match found for existing member \([0-9a-f]+, http:\/\/127\.0\.0\.1:9\)/);
  });

  it("keeps clusters with different tokens apart", async () => {
    const cluster = await founders(2);
    cluster.member(1).launch(["--initial-cluster-token=one"]);
    cluster.member(2).launch(["--initial-cluster-token=two"]);
    await said(cluster.member(1), "turned a member away");
    await said(cluster.member(2), "turned a member away");
    expect(await Promise.all(cluster.members.map((member) => member.end("SIGTERM")))).toEqual([0, 0]);
  });

  it("goes on alone when a survivor is told to forget the others", async () => {
    const cluster = await started(3);
    const survivor = cluster.member(2);
    await on(survivor, (t) => t.put({ key: Buffer.from("kept"), value }));
    const { header: before } = await on(survivor, (t) => t.memberList());
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    await survivor.start(["--force-new-cluster"]);
    await on(survivor, async (t) => {
      const { header, members } = await t.memberList();
      expect(members.map(({ name }) => name)).toEqual(["m2"]);
      expect(header?.clusterId).toBe(before?.clusterId);
      expect((await t.range({ key: Buffer.from("kept") })).count).toBe(1n);
      await t.put({ key: Buffer.from("alone"), value });
    });
    // One of the forgotten comes back and is told that it is none of them any more.
    const forgotten = cluster.member(1);
    forgotten.launch();
    expect(await forgotten.gone()).toBe(0);
    expect(forgotten.log).toContain("the member has been permanently removed from the cluster");
    await survivor.end("SIGTERM");
    await survivor.start();
    await on(survivor, async (t) => expect((await t.memberList()).members).toHaveLength(1));
  });
});

/** Waits for a line of a member's log. */
async function said(member: Member, words: string): Promise<void> {
  await vi.waitFor(() => expect(member.log).toContain(words), { timeout: 15_000, interval: 20 });
}

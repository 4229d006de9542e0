/** Three replicas together: who leads, what is acknowledged, and what a client of any member sees of it. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import type { Message } from "../../../src/server/raft/types.js";
import { limits } from "../raft/support.js";
import { ClusterWorld, type Life, patient, putOf } from "./cluster-world.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

function three(options: ConstructorParameters<typeof ClusterWorld>[0] = {}): ClusterWorld {
  world = new ClusterWorld(options);
  world.found(3);
  return world;
}

describe("three replicas", () => {
  it("elect one leader and apply the same writes, whoever is asked", async () => {
    three();
    const leader = await world.leader();
    expect(await world.put(1n, "a")).toBe(2);
    expect(await world.put(2n, "b")).toBe(3);
    expect(await world.put(3n, "c")).toBe(4);
    await world.until(() => [1n, 2n, 3n].every((id) => world.keys(id).length === 3), "all keys on all members");
    expect(new Set([1n, 2n, 3n].map((id) => world.replica(id).state.hashAll())).size).toBe(1);
    expect(world.running().filter(({ core }) => core.role === "leader")).toEqual([leader]);
  });

  it("show an acknowledged write to a linearizable read at any member", async () => {
    three();
    const leader = await world.leader();
    for (const { id } of world.running()) {
      await world.put(leader.id, `k${id}`);
      await world.settle(world.replica(id).linearizableRead());
      expect(world.keys(id)).toContain(`k${id}=v`);
    }
  });

  it("answer writes that came before there was a leader", async () => {
    three();
    const writes = [1n, 2n, 3n].map((id) => world.replica(id).propose<"put">(putOf(`k${id}`)));
    await world.leader();
    // At once, and not at the next tick.
    const outcomes = await world.settle(Promise.all(writes), 50);
    expect(outcomes.map(({ revision }) => revision).toSorted((a, b) => a - b)).toEqual([2, 3, 4]);
  });

  it("keep every acknowledged write when the leader is killed, and write on with the next one", async () => {
    three();
    const first = await world.leader();
    for (let n = 0; n < 20; n += 1) await world.put(first.id, `k${n}`);
    world.kill(first.id);
    const second = await world.leader();
    expect(second.id).not.toBe(first.id);
    expect(await world.put(second.id, "after")).toBe(22);
    world.restart(first.id);
    await world.leader();
    await world.until(() => world.keys(first.id).length === 21, "the restarted member has caught up");
  });

  it("apply a write once that is given up by one leader and taken by the next", async () => {
    three();
    const leader = await world.leader();
    await world.put(leader.id, "before");
    world.isolate(leader.id);
    const follower = world.running().find(({ id }) => id !== leader.id);
    await world.until(() => follower?.core.leader !== leader.id, "the others forget the leader");
    const write = world.replica(follower?.id ?? 0n).propose<"put">(putOf("once", "x"));
    expect((await world.settle(write)).revision).toBe(3);
    world.heal();
    await world.leader();
    expect(await world.put(leader.id, "next")).toBe(4);
  });
});

describe("a follower that cannot apply", () => {
  const lagBytesMax = 20_000;

  it("holds no more of the log than its limit, disturbs nobody, and catches up afterwards", async () => {
    three({ raft: { ...limits, messageBytesMax: 4096, followerLagBytesMax: lagBytesMax } });
    const leader = await world.leader();
    const follower = await world.follower();
    const { term } = leader.core;
    world.hangingState = follower.id;
    for (let n = 0; n < 100; n += 1) await world.put(leader.id, `k${n}`, "v".repeat(1000));
    const { core } = follower;
    expect(core.logBytes).toBeGreaterThan(lagBytesMax / 2);
    const isFor = (message: Message): boolean => message.kind === "append" && message.to === follower.id;
    world.delivered.length = 0;
    await world.run(10_000);
    expect(core.logBytes).toBeLessThan(lagBytesMax + 4096);
    // One probe a heartbeat, and what answers it.
    expect(world.delivered.filter(isFor).length).toBeLessThan(2 * 100 + 10);
    expect([leader.core.role, leader.core.term]).toEqual(["leader", term]);
    world.hangingState = undefined;
    await world.until(() => world.keys(follower.id).length === 100, "the follower has caught up");
    expect(leader.core.peer(follower.id)).toMatchObject({ state: "replicate", match: leader.core.lastIndex });
    expect(world.snapshotsSent).toBe(0);
  });
});

describe("a member without a quorum", () => {
  it("answers each call as the table of leader loss says, after the request timeout", async () => {
    three();
    const leader = await world.leader();
    const survivor = await world.follower();
    for (const { id } of world.running()) if (id !== survivor.id) world.kill(id);
    await world.until(() => survivor.core.leader === undefined, "the survivor notices");
    const startedMs = world.nowMs;
    const { replica } = survivor;
    const calls = {
      read: replica.linearizableRead(),
      put: replica.propose(putOf("a")),
      renew: replica.leases.renew(7n, patient()),
      time: replica.leases.timeToLive(7n, patient()),
    };
    const failures = Promise.allSettled(Object.values(calls));
    const add = replica.members.add({ peerUrls: ["http://n9:2380"], learner: false }, patient());
    await expect(world.settle(add, 100)).rejects.toMatchObject(status.Unhealthy);
    const answers = (await world.settle(failures)).map((answer) => answer.status === "rejected" && answer.reason);
    expect(answers).toMatchObject([status.Timeout, status.ContextDeadlineExceeded, status.NoLeader, status.NoLeader]);
    expect(world.nowMs - startedMs).toBeGreaterThanOrEqual(7000);
    expect(world.nowMs - startedMs).toBeLessThan(7300);
    expect(leader.alive).toBe(false);
  });

  it("sends a write again that went to a leader which was dead already, and applies it once", async () => {
    three();
    const leader = await world.leader();
    const follower = await world.follower();
    world.kill(leader.id);
    await world.run(500);
    // It still takes the dead member for the leader.
    expect(follower.core.leader).toBe(leader.id);
    const startedMs = world.nowMs;
    const { revision } = await world.settle(follower.replica.propose(putOf("again")));
    expect(revision).toBe(2);
    expect(world.nowMs - startedMs).toBeLessThan(5000);
    await world.settle(follower.replica.linearizableRead());
    expect(follower.replica.state.revision()).toBe(2);
  });

  it("sends a write again as soon as its transport says that it never left", async () => {
    three();
    await world.leader();
    const follower = await world.follower();
    let lost = 0;
    world.drops = (message) => {
      if (message.kind !== "proposeForward" || lost === 3) return false;
      lost += 1;
      queueMicrotask(() => follower.listener.unsent([message]));
      return true;
    };
    const startedMs = world.nowMs;
    const { revision } = await world.settle(follower.replica.propose(putOf("late")));
    expect([revision, lost]).toEqual([2, 3]);
    // Three heartbeats, and not the request timeout.
    expect(world.nowMs - startedMs).toBeLessThan(1000);
    await world.settle(follower.replica.linearizableRead());
    expect(follower.replica.state.revision()).toBe(2);
  });

  it("names the lost connection for a write that never left until its time was up", async () => {
    three();
    await world.leader();
    const follower = await world.follower();
    world.drops = (message) => {
      if (message.kind === "proposeForward") queueMicrotask(() => follower.listener.unsent([message]));
      return message.kind === "proposeForward";
    };
    world.claimsUnconnected = follower.id;
    await expect(world.settle(follower.replica.propose(putOf("lost")))).rejects.toMatchObject(
      status.TimeoutDueToConnectionLost,
    );
  });

  it("names the lost connection for a write that was under way when its link broke", async () => {
    three();
    await world.leader();
    const follower = await world.follower();
    world.drops = ({ kind }) => kind === "proposeForward";
    const write = world.settle(follower.replica.propose(putOf("lost")));
    // The messages pass, so that nobody elects; only what the transport says changes.
    world.claimsUnconnected = follower.id;
    await expect(write).rejects.toMatchObject(status.TimeoutDueToConnectionLost);
  });
});

describe("a leader whose disk hangs", () => {
  it("hands over, and writes go on at the next one", async () => {
    three();
    const first = await world.leader();
    await world.put(first.id, "before");
    world.hangingDisk = first.id;
    const [other] = world.running().filter(({ id }) => id !== first.id);
    void world
      .replica(first.id)
      .propose(putOf("owed"))
      .catch(() => undefined);
    await world.until(
      () => world.running().some(({ core, id }) => core.role === "leader" && id !== first.id),
      "a new leader",
    );
    await world.put(other?.id ?? 0n, "after");
    world.hangingDisk = undefined;
    await world.until(() => world.keys(first.id).includes("after=v"), "the old leader catches up");
  });

  it("goes over from a leader that cannot apply any more", async () => {
    three();
    const first = await world.leader();
    await world.put(first.id, "before");
    world.hangingState = first.id;
    const owed = world.replica(first.id).propose(putOf("owed"));
    const successor = (): Life | undefined =>
      world.running().find(({ core, id }) => core.role === "leader" && id !== first.id);
    await world.until(() => successor() !== undefined, "a new leader", 5000);
    await world.put(successor()?.id ?? 0n, "after");
    world.hangingState = undefined;
    await world.settle(owed);
    await world.until(() => world.keys(first.id).includes("after=v"), "the old leader catches up");
  });

  it("stays with a leader that applies nothing because it is told not to, and with one that has nothing to apply", async () => {
    three();
    const first = await world.leader();
    await world.run(5000);
    expect(first.core.role).toBe("leader");
    // The copy of a defragmentation takes as long as it takes.
    world.hangingState = first.id;
    const defragmented = first.replica.maintenance.defragment();
    await world.run(500);
    const owed = world.replica(first.id).propose(putOf("owed"));
    await world.run(5000);
    expect(first.core.commitIndex).toBeGreaterThan(first.core.appliedIndex);
    expect(first.core.role).toBe("leader");
    world.hangingState = undefined;
    await world.settle(Promise.all([defragmented, owed]));
  });
});

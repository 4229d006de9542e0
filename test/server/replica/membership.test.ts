/** Members that come, go and change: decided by the leader, whoever is asked, with etcd's checks and errors. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import type { Member } from "../../../src/server/state/types.js";
import { ClusterWorld, type Life, patient, urlOf } from "./cluster-world.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

/** A cluster whose links have held for long enough. */
async function healthy(count: number): Promise<Life> {
  world = new ClusterWorld();
  world.found(count);
  const leader = await world.leader();
  await world.run(5000);
  return leader;
}

function add(life: Life, id: bigint, learner = false): Promise<Member> {
  return world.settle(life.replica.members.add({ peerUrls: [urlOf(id)], learner }, patient()));
}

async function publish(life: Life): Promise<void> {
  const value = { id: life.id, name: `n${life.id}`, clientUrls: ["http://client"] };
  await world.settle(life.replica.propose({ $case: "memberPublish", value }));
}

describe("adding a member", () => {
  it("asked of a follower gives it a new id and lets it join by a snapshot", async () => {
    const leader = await healthy(3);
    await world.put(leader.id, "a");
    const follower = await world.follower();
    const added = await add(follower, 4n);
    expect(added).toMatchObject({ name: "", peerUrls: [urlOf(4n)], clientUrls: [], learner: false });
    expect(follower.replica.state.members()).toHaveLength(4);
    const joined = world.join(added.id);
    await world.until(() => world.keys(joined.id).length === 1, "the new member has the data");
    expect(joined.core.membership.voters).toContain(added.id);
    await publish(joined);
    expect(await world.put(joined.id, "b")).toBe(3);
    expect(joined.replica.state.hashAll()).toBe(leader.replica.state.hashAll());
  });

  it("grows a lone member to three", async () => {
    const first = await healthy(1);
    await world.put(1n, "a");
    for (const port of [2n, 3n]) {
      const added = await add(first, port);
      const joined = world.join(added.id);
      await world.until(() => joined.core.leader === 1n && world.keys(joined.id).length === 1, "it has joined");
      await publish(joined);
      await world.run(6000);
    }
    world.kill(1n);
    const leader = await world.leader();
    expect(await world.put(leader.id, "b")).toBe(3);
  });

  it("refuses a URL that is in use, a second learner, and a cluster that is not healthy", async () => {
    const leader = await healthy(3);
    await expect(add(leader, 2n)).rejects.toMatchObject(status.PeerURLExist);
    await add(leader, 8n, true);
    await expect(add(leader, 9n, true)).rejects.toMatchObject(status.TooManyLearners);
    const victim = await world.follower();
    world.kill(victim.id);
    await expect(add(leader, 9n)).rejects.toMatchObject(status.Unhealthy);
    await expect(add(await world.follower(), 9n)).rejects.toMatchObject(status.Unhealthy);
  });

  it("refuses right after the start, when links have not held for five seconds", async () => {
    world = new ClusterWorld();
    world.found(3);
    const leader = await world.leader();
    await expect(add(leader, 4n)).rejects.toMatchObject(status.Unhealthy);
  });

  it("lets two changes that are asked for at once follow each other", async () => {
    const leader = await healthy(3);
    const follower = await world.follower();
    const both = Promise.all([
      leader.replica.members.add({ peerUrls: [urlOf(8n)], learner: true }, patient()),
      follower.replica.members.update(2n, ["http://elsewhere:2380"], patient()),
    ]);
    await world.settle(both);
    const members = leader.replica.state.members();
    expect(members).toHaveLength(4);
    expect(members.find(({ id }) => id === 2n)?.peerUrls).toEqual(["http://elsewhere:2380"]);
  });
});

describe("updating a member", () => {
  it("changes its URLs and tells the transport of every other member", async () => {
    const leader = await healthy(3);
    await world.settle(leader.replica.members.update(3n, ["http://moved:2380"], patient()));
    await world.until(
      () => [1n, 2n].every((id) => world.life(id).linked.some(({ peerUrls }) => peerUrls[0] === "http://moved:2380")),
      "the links follow",
    );
    expect(leader.core.membership.voters).toEqual([1n, 2n, 3n]);
  });

  it("refuses a member that is not there and a URL of another one", async () => {
    const leader = await healthy(3);
    const { members } = leader.replica;
    await expect(world.settle(members.update(9n, ["http://x:1"], patient()))).rejects.toMatchObject(
      status.MemberNotFound,
    );
    await expect(world.settle(members.update(2n, [urlOf(3n)], patient()))).rejects.toMatchObject(status.PeerURLExist);
  });
});

describe("a change that the leader may or may not have heard of", () => {
  it("is not asked for again, and its caller is told that the connection was lost", async () => {
    const leader = await healthy(3);
    const follower = await world.follower();
    world.isolate(leader.id);
    const update = follower.replica.members.update(follower.id, ["http://moved:2380"], patient());
    await expect(world.settle(update)).rejects.toMatchObject(status.TimeoutDueToConnectionLost);
  });

  it("ends when its caller goes away, whoever leads or not", async () => {
    const leader = await healthy(3);
    const follower = await world.follower();
    for (const { id } of world.running()) if (id !== follower.id) world.kill(id);
    await world.run(3000);
    const controller = new AbortController();
    const update = follower.replica.members.update(2n, ["http://moved:2380"], controller);
    await world.run(20_000);
    controller.abort();
    await expect(world.settle(update, 500)).rejects.toMatchObject(status.Canceled);
    expect(leader.alive).toBe(false);
  });
});

describe("promoting a learner", () => {
  it("waits until it has caught up, then lets it vote", async () => {
    const leader = await healthy(3);
    for (let n = 0; n < 20; n += 1) await world.put(leader.id, `k${n}`);
    const { id } = await add(leader, 4n, true);
    const promote = (): Promise<void> => world.settle(leader.replica.members.promote(id, patient()));
    await expect(promote()).rejects.toMatchObject(status.LearnerNotReady);
    const learner = world.join(id);
    await world.until(() => world.keys(id).length === 20, "the learner has the data");
    expect(learner.replica.status().learner).toBe(true);
    await world.run(1000);
    await promote();
    await world.until(() => !learner.replica.status().learner, "the learner knows that it votes");
    expect(leader.core.membership.voters).toContain(id);
    await expect(promote()).rejects.toMatchObject(status.MemberNotLearner);
  });

  it("refuses a member that is not there", async () => {
    const follower = await healthy(3).then(() => world.follower());
    const promote = world.settle(follower.replica.members.promote(99n, patient()));
    await expect(promote).rejects.toMatchObject(status.MemberNotFound);
  });
});

describe("removing a member", () => {
  it("tells it, and the rest goes on without it", async () => {
    const leader = await healthy(3);
    const victim = await world.follower();
    await world.settle(leader.replica.members.remove(victim.id, patient()));
    expect(leader.core.membership.voters).toHaveLength(2);
    expect(leader.replica.state.isRemoved(victim.id)).toBe(true);
    await world.put(leader.id, "a");
    const again = world.settle(leader.replica.members.remove(victim.id, patient()));
    await expect(again).rejects.toMatchObject(status.MemberNotFound);
    await world.until(() => victim.removed, "it knows that it was removed", 3000);
  });

  it("reaches a member that was cut off by the word of a peer", async () => {
    const leader = await healthy(3);
    const victim = await world.follower();
    world.isolate(victim.id);
    await world.run(1500);
    await world.settle(leader.replica.members.remove(victim.id, patient()));
    expect(leader.replica.hasParted(victim.id)).toBe(false);
    await world.run(5200);
    expect(leader.replica.hasParted(victim.id)).toBe(true);
    expect(leader.linked.map(({ id }) => id)).not.toContain(victim.id);
    expect(victim.removed).toBe(false);
    // When it asks for a link, it is told.
    victim.listener.removed();
    victim.listener.removed();
    await world.until(() => victim.removed, "it knows that it was removed", 3000);
  });

  it("of the leader waits until those who stay know of it, however long they are away", async () => {
    const leader = await healthy(2);
    const other = await world.follower();
    world.drops = ({ kind, to }) => kind === "heartbeat" && to === other.id;
    void leader.replica.members.remove(leader.id, patient());
    await world.until(() => !leader.core.membership.voters.includes(leader.id), "the removal is committed");
    world.isolate(other.id);
    world.drops = () => false;
    await world.run(20_000);
    expect(leader.removed).toBe(false);
    world.heal();
    await world.until(() => other.core.role === "leader", "the other one leads alone");
    expect(other.core.membership.voters).toEqual([other.id]);
  });

  it("of the leader is answered by it when somebody else knows of it, too", async () => {
    const leader = await healthy(3);
    const others = world.running().filter(({ id }) => id !== leader.id);
    // They hold the change and do not hear that it is committed.
    world.drops = (message) =>
      message.kind === "heartbeat" || (message.kind === "append" && message.entries.length === 0);
    const isUnaware = ({ core }: Life): boolean => core.membership.voters.includes(leader.id);
    let answered = false;
    const removal = leader.replica.members.remove(leader.id, patient()).then(() => (answered = true));
    await world.until(() => leader.replica.state.isRemoved(leader.id), "the leader has applied it");
    await world.run(200);
    expect([answered, others.every(isUnaware)]).toEqual([false, true]);
    world.drops = () => false;
    await world.settle(removal, 1000);
    // The machine may be destroyed now.
    world.kill(leader.id);
    const next = await world.leader();
    expect(next.core.membership.voters).not.toContain(leader.id);
  });

  it("of the leader asked of a follower is answered, too", async () => {
    const leader = await healthy(2);
    const follower = await world.follower();
    await world.settle(follower.replica.members.remove(leader.id, patient()), 2000);
    world.kill(leader.id);
    await world.until(() => follower.core.role === "leader", "the other one leads alone");
  });

  it("of the leader reaches the only one left through the removed one, also when that comes back from a crash", async () => {
    const leader = await healthy(2);
    const other = await world.follower();
    // The other one holds the change, does not hear that it is committed, and so needs a vote that is not to be had.
    world.drops = (message) =>
      message.kind === "heartbeat" || (message.kind === "append" && message.entries.length === 0);
    void leader.replica.members.remove(leader.id, patient()).catch(() => undefined);
    await world.until(() => leader.replica.state.isRemoved(leader.id), "the leader has applied it");
    world.kill(leader.id);
    world.drops = () => false;
    await world.run(10_000);
    expect(other.core.role).not.toBe("leader");
    const back = world.restart(leader.id);
    await world.until(() => other.core.role === "leader", "the other one leads alone", 10_000);
    expect(other.replica.state.isRemoved(back.id)).toBe(true);
    expect(await world.put(other.id, "a")).toBe(2);
    expect(back.core.role).toBe("follower");
  });

  it("of the leader hands over, and the removed one says so about a second later", async () => {
    const leader = await healthy(3);
    await world.put(leader.id, "a");
    await world.settle(leader.replica.members.remove(leader.id, patient()));
    expect(leader.removed).toBe(false);
    const removedMs = world.nowMs;
    await world.until(() => leader.removed, "it knows that it was removed");
    expect(world.nowMs - removedMs).toBeLessThan(3000);
    world.kill(leader.id);
    const next = await world.leader();
    expect(await world.put(next.id, "b")).toBe(3);
    expect(next.core.membership.voters).not.toContain(leader.id);
  });

  it("asked of a follower about itself answers though it may never apply it", async () => {
    const leader = await healthy(3);
    const victim = await world.follower();
    await world.settle(victim.replica.members.remove(victim.id, patient()));
    expect(leader.replica.state.isRemoved(victim.id)).toBe(true);
  });

  it("is refused where the rest could not go on, and safe for a member that is down", async () => {
    const leader = await healthy(3);
    const down = await world.follower();
    const up = world.running().find(({ id }) => id !== leader.id && id !== down.id) as Life;
    world.kill(down.id);
    const { members } = leader.replica;
    await expect(world.settle(members.remove(up.id, patient()))).rejects.toMatchObject(status.Unhealthy);
    await world.settle(members.remove(down.id, patient()));
    expect(leader.core.membership.voters).toHaveLength(2);
  });

  it("never leaves a cluster without a voter", async () => {
    const leader = await healthy(1);
    const remove = world.settle(leader.replica.members.remove(1n, patient()));
    await expect(remove).rejects.toMatchObject(status.MemberNotEnoughStarted);
  });
});

describe("handing leadership over", () => {
  it("resolves when the target leads, and loses no write on the way", async () => {
    const leader = await healthy(3);
    const target = await world.follower();
    const transfer = leader.replica.members.transfer(target.id, patient());
    const writes = Array.from({ length: 5 }, (_, n) => world.put(leader.id, `k${n}`));
    await world.settle(transfer);
    expect(target.core.role).toBe("leader");
    expect((await Promise.all(writes)).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6]);
  });

  it("to the leader itself is done already", async () => {
    const leader = await healthy(3);
    await world.settle(leader.replica.members.transfer(leader.id, patient()));
    expect(leader.core.role).toBe("leader");
  });

  it("can only be asked of the leader, and only to a voter", async () => {
    const leader = await healthy(3);
    const follower = await world.follower();
    const { id: learner } = await add(leader, 4n, true);
    const transfer = (life: Life, to: bigint): Promise<void> =>
      world.settle(life.replica.members.transfer(to, patient()));
    await expect(transfer(follower, leader.id)).rejects.toMatchObject(status.NotLeader);
    await expect(transfer(leader, 99n)).rejects.toMatchObject(status.BadLeaderTransferee);
    await expect(transfer(leader, learner)).rejects.toMatchObject(status.BadLeaderTransferee);
  });

  it("to a member that is down ends after two election timeouts, and the leader goes on", async () => {
    const leader = await healthy(3);
    const target = await world.follower();
    world.kill(target.id);
    const startedMs = world.nowMs;
    const transfer = world.settle(leader.replica.members.transfer(target.id, patient()));
    const write = world.put(leader.id, "meanwhile");
    await expect(transfer).rejects.toMatchObject(status.LeaderTransferTimeout);
    expect(world.nowMs - startedMs).toBeLessThanOrEqual(2100);
    expect(await write).toBe(2);
    expect(leader.core.role).toBe("leader");
  });

  it("does not hold up a stop when all members stop at once", async () => {
    const leader = await healthy(3);
    // The others have passed the point at which they would take over, and are gone a moment later.
    world.drops = ({ kind }) => kind === "timeoutNow";
    const closed = leader.close({ transfer: true });
    await world.run(50);
    for (const { id } of world.running()) if (id !== leader.id) world.kill(id);
    const startedMs = world.nowMs;
    await world.settle(closed);
    leader.alive = false;
    expect(world.nowMs - startedMs).toBeLessThan(100);
  });

  it("goes to the next best when the best goes away meanwhile", async () => {
    const leader = await healthy(3);
    world.drops = ({ kind }) => kind === "timeoutNow";
    const handedOver = leader.replica.handOver();
    await world.run(50);
    const target = leader.core.transferTarget;
    world.drops = () => false;
    world.kill(target ?? 0n);
    await world.settle(handedOver, 500);
    const other = world.running().find(({ id }) => id !== leader.id);
    await world.until(() => other?.core.role === "leader", "the other one leads", 200);
  });

  it("comes before a graceful stop", async () => {
    const leader = await healthy(3);
    const { term } = leader.core;
    const closed = leader.close({ transfer: true });
    await world.settle(Promise.all([closed, leader.close()]));
    leader.alive = false;
    const next = await world.leader();
    expect(next.id).not.toBe(leader.id);
    expect(next.core.term).toBe(term + 1);
  });
});

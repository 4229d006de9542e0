/** Leases in a cluster: the leader keeps their time, every member answers for it, and no leader change shortens it. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import type { Message } from "../../../src/server/raft/types.js";
import { decodeCommand } from "../../../src/server/state/command.js";
import { ClusterWorld, type Life, patient } from "./cluster-world.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

async function three(options: ConstructorParameters<typeof ClusterWorld>[0] = {}): Promise<Life> {
  world = new ClusterWorld(options);
  world.found(3);
  return world.leader();
}

async function grant(life: Life, id: bigint, ttlSeconds: bigint): Promise<void> {
  await world.settle(life.replica.propose({ $case: "leaseGrant", value: { id, ttlSeconds } }));
}

function renew(life: Life, id: bigint): Promise<number> {
  return world.settle(life.replica.leases.renew(id, patient()));
}

async function remaining(life: Life, id: bigint): Promise<number | undefined> {
  return (await world.settle(life.replica.leases.timeToLive(id, patient())))?.remainingSeconds;
}

function holdsEntries(message: Message): boolean {
  return message.kind === "append" && message.entries.length > 0;
}

describe("a lease in a cluster", () => {
  it("is renewed and asked for at any member", async () => {
    const leader = await three();
    const follower = await world.follower();
    await grant(follower, 7n, 60n);
    await world.run(10_000);
    expect(await remaining(leader, 7n)).toBe(49);
    expect(await remaining(follower, 7n)).toBe(49);
    expect(await renew(follower, 7n)).toBe(60);
    expect(await remaining(leader, 7n)).toBe(59);
  });

  it("that is gone is renewed to 0 and has no time, at any member", async () => {
    const leader = await three();
    for (const life of [leader, await world.follower()]) {
      expect(await renew(life, 99n)).toBe(0);
      expect(await world.settle(life.replica.leases.timeToLive(99n, patient()))).toBeUndefined();
    }
  });

  it("expires on all members, by the leader alone", async () => {
    const leader = await three();
    await grant(leader, 7n, 5n);
    await world.run(4900);
    expect(world.running().every(({ replica }) => replica.state.lease(7n) !== undefined)).toBe(true);
    await world.until(
      () => world.running().every(({ replica }) => replica.state.lease(7n) === undefined),
      "it is gone",
      2000,
    );
  });

  it("has its full time again after a leader change, and never less", async () => {
    const leader = await three();
    await grant(leader, 7n, 20n);
    await world.run(12_000);
    const left = (await remaining(leader, 7n)) ?? 0;
    expect(left).toBeLessThan(8);
    world.kill(leader.id);
    const next = await world.leader();
    expect(await remaining(next, 7n)).toBeGreaterThanOrEqual(20);
    await world.run(19_000);
    expect(next.replica.state.lease(7n)).toBeDefined();
    await world.until(() => next.replica.state.lease(7n) === undefined, "it expires under the new leader", 5000);
  });

  it("is never expired by a leader that was cut off, however long it was", async () => {
    const old = await three();
    await grant(old, 7n, 5n);
    world.isolate(old.id);
    const others = world.running().filter(({ id }) => id !== old.id);
    await world.until(() => others.some(({ core }) => core.role === "leader"), "another one leads");
    const client = others[0] as Life;
    for (let n = 0; n < 10; n += 1) {
      await world.run(2000);
      expect(await renew(client, 7n)).toBe(5);
    }
    world.heal();
    await world.run(2000);
    expect(await renew(old, 7n)).toBe(5);
    expect(client.replica.state.lease(7n)).toBeDefined();
  });

  it("is renewed only by a leader that a quorum still follows", async () => {
    const leader = await three();
    await grant(leader, 7n, 60n);
    world.isolate(leader.id);
    const renewal = leader.replica.leases.renew(7n, patient());
    let answered = false;
    renewal.then(
      () => (answered = true),
      () => undefined,
    );
    await world.run(900);
    expect(leader.core.role).toBe("leader");
    expect(answered).toBe(false);
    world.heal();
    expect(await world.settle(renewal)).toBe(60);
  });

  it("does not expire while a renewal that came in time waits for the leader to be sure of itself", async () => {
    const leader = await three();
    await grant(leader, 7n, 5n);
    await world.run(4700);
    world.isolate(leader.id);
    const renewal = leader.replica.leases.renew(7n, patient());
    await world.run(900);
    expect(leader.core.role).toBe("leader");
    world.heal();
    expect(await world.settle(renewal)).toBe(5);
    await world.run(4000);
    expect(leader.replica.state.lease(7n)).toBeDefined();
    await world.until(() => leader.replica.state.lease(7n) === undefined, "it expires after all", 3000);
  });

  it("keeps a blocked renewal of an expired one waiting over a leader change, and then renews it", async () => {
    const leader = await three();
    const follower = await world.follower();
    await grant(leader, 7n, 5n);
    // Nothing commits any more, so the revocation hangs while the renewal waits for it.
    world.drops = (message) => message.from === leader.id && holdsEntries(message);
    await world.run(6500);
    const renewal = follower.replica.leases.renew(7n, patient());
    await world.run(100);
    world.isolate(leader.id);
    world.drops = () => false;
    expect(await world.settle(renewal)).toBe(5);
  });

  it("is not revoked after a stall before a quorum says that its leader still leads", async () => {
    const leader = await three();
    await grant(leader, 7n, 5n);
    await world.run(4850);
    const { lastIndex } = leader.core;
    world.isolate(leader.id);
    world.jump(400);
    await world.run(550);
    expect(leader.core.role).toBe("leader");
    expect(leader.core.lastIndex).toBe(lastIndex);
    world.heal();
    await world.until(() => leader.replica.state.lease(7n) === undefined, "it expires after all", 3000);
  });

  it("is revoked in the name of the leader's term alone", async () => {
    const leader = await three();
    await grant(leader, 7n, 5n);
    await world.until(() => leader.replica.state.lease(7n) === undefined, "it is gone");
    const entries = leader.core.entries({ from: leader.core.firstIndex, to: leader.core.lastIndex });
    const revocations = entries.flatMap(({ kind, data }) => {
      const body = kind === "command" ? decodeCommand(data).body : undefined;
      return body?.$case === "leaseRevoke" ? [body.value] : [];
    });
    expect(revocations).toEqual([{ id: 7n, onlyInTerm: BigInt(leader.core.term) }]);
  });

  it("does not expire because the process stood still", async () => {
    const leader = await three();
    await grant(leader, 7n, 5n);
    world.jump(60_000);
    await world.run(1000);
    const client = await world.leader();
    expect(await renew(client, 7n)).toBe(5);
  });

  it("is no longer asked for when the caller goes away", async () => {
    await three();
    const follower = await world.follower();
    for (const { id } of world.running()) if (id !== follower.id) world.kill(id);
    await world.run(3000);
    const controller = new AbortController();
    const renewal = follower.replica.leases.renew(7n, controller);
    await world.run(1000);
    controller.abort();
    await expect(world.settle(renewal, 200)).rejects.toMatchObject(status.Canceled);
  });

  it("is told nothing about by a member without a leader, until the request timeout", async () => {
    const leader = await three();
    const follower = await world.follower();
    for (const { id } of world.running()) if (id !== follower.id) world.kill(id);
    await world.run(3000);
    await expect(renew(follower, 7n)).rejects.toMatchObject(status.NoLeader);
    expect(leader.alive).toBe(false);
  });
});

describe("lease checkpoints", () => {
  const fiveMinutes = 300_000;

  it("let a long lease live on where it was, not anew, after a leader change", async () => {
    const leader = await three({ leaseCheckpoint: true });
    await grant(leader, 7n, 1000n);
    await world.run(fiveMinutes + 1000);
    world.kill(leader.id);
    const next = await world.leader();
    const left = (await remaining(next, 7n)) ?? 0;
    expect(left).toBeGreaterThan(680);
    expect(left).toBeLessThan(710);
  });

  it("are taken back by a renewal, so that no leader change shortens what was promised", async () => {
    const leader = await three({ leaseCheckpoint: true });
    await grant(leader, 7n, 1000n);
    await world.run(fiveMinutes + 1000);
    expect(leader.replica.state.lease(7n)?.remainingSeconds).toBeGreaterThan(0);
    expect(await renew(await world.follower(), 7n)).toBe(1000);
    expect(leader.replica.state.lease(7n)?.remainingSeconds).toBe(0);
    world.kill(leader.id);
    expect(await remaining(await world.leader(), 7n)).toBeGreaterThanOrEqual(1000);
  });

  it("come in entries of a thousand leases at most", async () => {
    const leader = await three({ leaseCheckpoint: true });
    const grants = Array.from({ length: 1500 }, (_, n) => {
      const value = { id: BigInt(n + 1), ttlSeconds: 1000n };
      return leader.replica.propose({ $case: "leaseGrant", value });
    });
    await world.settle(Promise.all(grants));
    const { lastIndex } = leader.core;
    await world.run(fiveMinutes + 1000);
    const entries = leader.core.entries({ from: lastIndex + 1, to: leader.core.lastIndex });
    const sizes = entries.map(({ data }) => {
      const { body } = decodeCommand(data);
      return body.$case === "leaseCheckpoint" ? body.value.leases.length : body.$case;
    });
    expect(sizes).toEqual([1000, 500]);
  });

  it("are not written without the option, nor for short leases", async () => {
    const leader = await three();
    await grant(leader, 7n, 1000n);
    const { appliedIndex } = leader.replica.status();
    await world.run(fiveMinutes + 1000);
    expect(leader.replica.status().appliedIndex).toBe(appliedIndex);
  });
});

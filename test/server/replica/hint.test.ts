/** The peer-down hint: a leader whose process is gone is replaced without waiting for the election timeout. */
import { afterEach, describe, expect, it } from "vitest";
import { ClusterWorld } from "./cluster-world.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

describe("a leader whose host refuses connections", () => {
  it("is replaced within a fraction of the election timeout, time after time", async () => {
    world = new ClusterWorld({ refuses: true });
    world.found(3);
    for (let round = 0; round < 10; round += 1) {
      const leader = await world.leader();
      await world.put(leader.id, `k${round}`);
      const killedMs = world.nowMs;
      world.kill(leader.id);
      const next = await world.leader();
      expect(world.nowMs - killedMs).toBeLessThan(500);
      expect(await world.put(next.id, `next${round}`)).toBe(2 * round + 3);
      world.restart(leader.id);
    }
  });

  it("keeps its place when it is the leader of a majority all the same", async () => {
    world = new ClusterWorld();
    world.found(3);
    const leader = await world.leader();
    const follower = await world.follower();
    const { term } = leader.core;
    follower.listener.refused(leader.id);
    await world.run(3000);
    expect((await world.leader()).id).toBe(leader.id);
    expect(leader.core.term).toBe(term);
  });

  it("is not doubted because another member refuses connections", async () => {
    world = new ClusterWorld();
    world.found(3);
    const leader = await world.leader();
    const follower = await world.follower();
    const other = world.running().find(({ id }) => id !== leader.id && id !== follower.id);
    follower.listener.refused(other?.id ?? 0n);
    expect(follower.core.leader).toBe(leader.id);
  });
});

/** Members that hold different states after the same entries: the leader notices and raises the alarm for the minority. */
import { afterEach, describe, expect, it } from "vitest";
import { differing } from "../../../src/server/replica/divergence.js";
import { ClusterWorld } from "./cluster-world.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

function marks(id: bigint, ...pairs: (readonly [index: number, hash: number])[]) {
  return { id, marks: pairs.map(([index, hash]) => ({ index, hash })) };
}

function blamed(...members: ReturnType<typeof marks>[]): bigint[] {
  return differing(members).map(({ id }) => id);
}

describe("comparing state marks", () => {
  it("blames nobody while all that share an index agree", () => {
    expect(blamed(marks(1n, [10, 1], [20, 2]), marks(2n, [10, 1]), marks(3n, [20, 2], [30, 3]))).toEqual([]);
  });

  it("blames the minority", () => {
    expect(blamed(marks(1n, [10, 1]), marks(2n, [10, 9]), marks(3n, [10, 1]))).toEqual([2n]);
  });

  it("blames the leader itself if it is the minority", () => {
    expect(blamed(marks(1n, [10, 9]), marks(2n, [10, 1]), marks(3n, [10, 1]))).toEqual([1n]);
  });

  it("blames all that differ where no hash has a majority", () => {
    expect(blamed(marks(1n, [10, 1]), marks(2n, [10, 9]))).toEqual([1n, 2n]);
  });

  it("prefers an index that shows who is in the minority", () => {
    const lagging = marks(3n, [10, 1]);
    expect(blamed(marks(1n, [10, 1], [20, 2]), marks(2n, [10, 9], [20, 8]), lagging)).toEqual([2n]);
  });
});

describe("a member whose state differs", () => {
  it("gets the CORRUPT alarm within seconds of the next mark", async () => {
    world = new ClusterWorld({ markIntervalEntries: 8 });
    world.found(3);
    const leader = await world.leader();
    const victim = await world.follower();
    await world.put(leader.id, "a");
    world.spoilMarks = victim.id;
    for (let n = 0; n < 20; n += 1) await world.put(leader.id, `k${n}`);
    await world.until(() => leader.replica.state.alarms().length > 0, "an alarm", 15_000);
    expect(leader.replica.state.alarms()).toEqual([{ memberId: victim.id, type: "CORRUPT" }]);
  });

  it("in what it has stored gets the alarm at the next comparison, if there are any", async () => {
    for (const corruptCheckIntervalMs of [0, 20_000]) {
      await world.close();
      world = new ClusterWorld({ corruptCheckIntervalMs });
      world.found(3);
      const leader = await world.leader();
      const victim = await world.follower();
      await world.put(leader.id, "a");
      world.spoilHashes = victim.id;
      await world.run(15_000);
      expect(leader.replica.state.alarms()).toEqual([]);
      await world.run(10_000);
      const expected = corruptCheckIntervalMs === 0 ? [] : [{ memberId: victim.id, type: "CORRUPT" }];
      expect(leader.replica.state.alarms()).toEqual(expected);
    }
  });

  it("is compared again and again while writes and compactions go on, and not suspected", async () => {
    world = new ClusterWorld({ corruptCheckIntervalMs: 200 });
    world.found(3);
    const leader = await world.leader();
    const lagging = await world.follower();
    let asked = 0;
    const { listener } = lagging;
    const answer = listener.answer.bind(listener);
    listener.answer = (from, question) => {
      if (question.kind?.$case === "hashKv") asked += 1;
      return answer(from, question);
    };
    for (let n = 0; n < 40; n += 1) {
      if (n === 20) world.isolate(lagging.id);
      if (n === 30) world.heal();
      const revision = BigInt(await world.put(leader.id, `k${n % 5}`));
      if (n % 10 === 9)
        await world.settle(leader.replica.propose({ $case: "compact", value: { revision, physical: false } }));
      await world.run(100);
    }
    expect(asked).toBeGreaterThan(10);
    expect(leader.replica.state.alarms()).toEqual([]);
  });

  it("is not suspected while all agree", async () => {
    world = new ClusterWorld({ markIntervalEntries: 8 });
    world.found(3);
    const leader = await world.leader();
    for (let n = 0; n < 20; n += 1) await world.put(leader.id, `k${n}`);
    await world.run(15_000);
    expect(leader.replica.state.alarms()).toEqual([]);
    expect(leader.replica.state.stateMarks().length).toBeGreaterThan(1);
  });
});

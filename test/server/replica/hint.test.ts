/** The peer-down hint: a leader whose process is gone is replaced without waiting for the election timeout. */
import { afterEach, describe, expect, it } from "vitest";
import type { RaftEvent } from "../../../src/server/raft/types.js";
import { PeerDown } from "../../../src/server/replica/peer-down.js";
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

/** A member that is told that its leader 1 refuses connections, with a clock that the test turns. */
function waiting() {
  const core = { leader: 1n as bigint | undefined, role: "follower" as const, term: 2 };
  const events: { readonly kind: RaftEvent["kind"]; readonly atMs: number }[] = [];
  let nowMs = 0;
  let next: { readonly atMs: number; readonly callback: () => void } | undefined;
  const clock = {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs: number, callback: () => void) => {
      const timer = { atMs: nowMs + delayMs, callback };
      next = timer;
      return () => {
        if (next === timer) next = undefined;
      };
    },
  };
  const hint = new PeerDown({
    core,
    clock,
    random: { below: (bound) => bound - 1, bytes: (length) => new Uint8Array(length) },
    electionMs: 1000,
    step: ({ kind }) => {
      events.push({ kind, atMs: nowMs });
      if (kind === "leaderUnreachable") core.leader = undefined;
    },
  });
  const run = (untilMs: number): void => {
    while (next !== undefined && next.atMs <= untilMs) {
      const { atMs, callback } = next;
      next = undefined;
      nowMs = atMs;
      callback();
    }
    nowMs = untilMs;
  };
  return { core, hint, events, run };
}

describe("a member whose leader is gone", () => {
  it("stands within 50 ms, and again with jitter until a leader is known", () => {
    const { core, hint, events, run } = waiting();
    hint.refused(1n);
    run(400);
    expect(events).toEqual([
      { kind: "leaderUnreachable", atMs: 0 },
      { kind: "campaign", atMs: 50 },
      { kind: "campaign", atMs: 200 },
      { kind: "campaign", atMs: 350 },
    ]);
    core.leader = 2n;
    run(2000);
    expect(events).toHaveLength(4);
  });

  it("leaves it to the core's own timeout after two election timeouts", () => {
    const { hint, events, run } = waiting();
    hint.refused(1n);
    run(60_000);
    expect(events.at(-1)?.atMs).toBeLessThan(2000);
  });
});

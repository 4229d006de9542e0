/** Snapshots between members: for one that lags, for one that is new, and whatever goes wrong on the way. */
import { EventEmitter, once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { drain, watching } from "../watch/hub-world.js";
import { ClusterWorld, type Life, patient, putOf } from "./cluster-world.js";
import { defaultLimits } from "./one-member.js";

let world = new ClusterWorld();

afterEach(async () => {
  const { fatal } = world;
  await world.close();
  expect(fatal).toEqual([]);
});

/** Logs stay short, so that whoever misses some entries needs a snapshot. */
async function shortLogs(): Promise<Life> {
  world = new ClusterWorld({ limits: { ...defaultLimits, catchUpEntries: 10, logSlackEntries: 10 } });
  world.found(3);
  return world.leader();
}

async function write(leader: Life, count: number): Promise<void> {
  for (let from = 0; from < count; from += 10) {
    const batch = Array.from({ length: 10 }, (_, n) => leader.replica.propose(putOf(`k${from + n}`)));
    await world.settle(Promise.all(batch));
  }
}

async function lagging(): Promise<{ readonly leader: Life; readonly lagging: Life }> {
  const leader = await shortLogs();
  const follower = await world.follower();
  world.isolate(follower.id);
  await write(leader, 100);
  await world.until(() => leader.core.firstIndex > 50, "the leader's log is short");
  return { leader, lagging: follower };
}

async function oneFollower(): Promise<Life> {
  await shortLogs();
  return world.follower();
}

function leftovers(life: Life): string[] {
  return readdirSync(dirname(world.stateFileOf(life.id))).filter((name) => name.includes("tmp"));
}

describe("a member that missed more than the log holds", () => {
  it("gets the state, keeps its watchers, and goes on with the log", async () => {
    const { leader, lagging: follower } = await lagging();
    const stream = follower.hub.open(() => undefined);
    stream.create(watching("k", { rangeEnd: "l" }));
    world.heal();
    await world.until(() => world.keys(follower.id).length === 100, "it has the data");
    expect(follower.replica.state.hashAll()).toBe(leader.replica.state.hashAll());
    const events = drain(stream).flatMap((message) => (message.kind === "events" ? message.events : []));
    expect(new Set(events.map(({ kv }) => kv?.modRevision)).size).toBe(100);
    stream.close();
    await world.put(leader.id, "next");
    await world.until(() => world.keys(follower.id).length === 101, "it follows the log");
    expect(follower.stores.state.file).not.toBe("state-1.db");
  });

  it("finds its new state after a restart", async () => {
    const { leader, lagging: follower } = await lagging();
    world.heal();
    await world.until(() => world.keys(follower.id).length === 100, "it has the data");
    world.kill(follower.id);
    await world.put(leader.id, "next");
    world.restart(follower.id);
    await world.until(() => world.keys(follower.id).length === 101, "it has caught up");
  });

  it("is served again when the first try breaks off, and nothing is left behind", async () => {
    const { leader, lagging: follower } = await lagging();
    world.breakSnapshots = 2;
    world.heal();
    await world.until(() => world.keys(follower.id).length === 100, "it has the data");
    expect(world.breakSnapshots).toBe(0);
    expect(leftovers(follower)).toEqual([]);
    await world.run(61_000);
    expect(leftovers(leader)).toEqual([]);
  });

  it("refuses a damaged snapshot and takes the next one", async () => {
    const { lagging: follower } = await lagging();
    world.damageSnapshots = 1;
    world.heal();
    await world.until(() => world.keys(follower.id).length === 100, "it has the data");
    expect(world.damageSnapshots).toBe(0);
  });

  it("finds the entries after its snapshot still in the leader's log, however long that was on its way", async () => {
    const { leader, lagging: follower } = await lagging();
    const gate = new EventEmitter();
    world.snapshotGate = once(gate, "open").then(() => undefined);
    world.heal();
    await world.until(() => world.snapshotsTried > 0, "it is served");
    await write(leader, 200);
    gate.emit("open");
    await world.until(() => world.keys(follower.id).length === 200, "it has caught up");
    expect(world.snapshotsSent).toBe(1);
  });

  it("is not served over and over when that fails: about once an election timeout", async () => {
    await lagging();
    world.breakSnapshots = 1000;
    world.heal();
    await world.run(10_000);
    expect(world.snapshotsTried).toBeGreaterThan(5);
    expect(world.snapshotsTried).toBeLessThanOrEqual(11);
  });

  it("answers what waits for the entries that the snapshot holds", async () => {
    const leader = await shortLogs();
    const follower = await world.follower();
    world.drops = ({ kind, to }) => kind === "append" && to === follower.id;
    const updated = follower.replica.members.update(follower.id, ["http://moved:2380"], patient());
    await write(leader, 100);
    await world.until(() => leader.core.firstIndex > 50, "the leader's log is short");
    const read = follower.replica.linearizableRead();
    world.drops = () => false;
    await world.settle(Promise.all([updated, read]), 3000);
    expect(world.snapshotsSent).toBe(1);
    expect(world.keys(follower.id)).toHaveLength(100);
  });
});

describe("receiving", () => {
  const head = { from: 1n, senderTerm: 99, index: 1000, term: 99, sizeBytes: 10 };

  it("refuses what is committed already and what an old leader sends", async () => {
    const { listener } = await oneFollower();
    expect(() => listener.receiveSnapshot({ ...head, index: 1 })).toThrow("is committed here already");
    expect(() => listener.receiveSnapshot({ ...head, senderTerm: 1 })).toThrow("leads in term 1");
  });

  it("takes one at a time, and a newer one instead of the one under way", async () => {
    const life = await oneFollower();
    const { listener } = life;
    const first = listener.receiveSnapshot(head);
    await first.write(new Uint8Array(5));
    expect(() => listener.receiveSnapshot(head)).toThrow("another state file is being written");
    const second = listener.receiveSnapshot({ ...head, index: 1001 });
    await expect(first.write(new Uint8Array(5))).rejects.toThrow("a newer snapshot came");
    await second.write(new Uint8Array(10));
    await expect(world.settle(second.finish())).rejects.toThrow("damaged or no state file");
    expect(readdirSync(dirname(world.stateFileOf(life.id)))).not.toContain("state-2.db");
    listener.receiveSnapshot(head).abort(new Error("the stream broke"));
  });

  it("does not write over the file of a defragmentation that was first in line", async () => {
    const life = await oneFollower();
    const { listener, replica } = life;
    const first = listener.receiveSnapshot(head);
    await first.write(new Uint8Array(5));
    const defragmented = replica.maintenance.defragment();
    await world.run(100);
    const second = listener.receiveSnapshot({ ...head, index: 1001 });
    await world.settle(defragmented);
    await world.settle(second.write(new Uint8Array(10)));
    await expect(world.settle(second.finish())).rejects.toThrow("damaged or no state file");
    expect(world.stateFileOf(life.id)).toMatch(/state-2\.db$/);
    expect(existsSync(world.stateFileOf(life.id))).toBe(true);
    await world.settle(replica.maintenance.defragment());
    expect(world.stateFileOf(life.id)).toMatch(/state-3\.db$/);
  });

  it("refuses more bytes than were announced", async () => {
    const { listener } = await oneFollower();
    const sink = listener.receiveSnapshot(head);
    await expect(sink.write(new Uint8Array(11))).rejects.toThrow("longer than announced");
  });

  it("does not run beside a defragmentation", async () => {
    const { listener, replica } = await oneFollower();
    const sink = listener.receiveSnapshot(head);
    const defragmented = replica.maintenance.defragment();
    await world.run(1000);
    sink.abort(new Error("enough"));
    await world.settle(defragmented);
    expect(() => listener.receiveSnapshot({ ...head, index: 1 })).toThrow("is committed here already");
  });
});

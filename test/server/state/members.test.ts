/** Members: how a founder and a joiner begin, what changes of the membership do, and what can not happen. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { InvariantError } from "../../../src/server/invariant.js";
import { encodeChange } from "../../../src/server/raft/change.js";
import type { MembershipChange } from "../../../src/server/raft/types.js";
import { openState, stateBootstrapOf } from "../../../src/server/state/state.js";
import type { Applied, CommandBody } from "../../../src/server/state/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { InitialState } from "../../../src/server/storage/types.js";
import { clusterId, failure, memberId, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

function add(id: bigint, learner = false): Applied {
  const peerUrls = [`http://m${id}:2380`];
  return world.change(learner ? "addLearner" : "addVoter", id, {
    $case: "memberAdd",
    value: { id, peerUrls, learner },
  });
}

function remove(id: bigint): Applied {
  return world.change("remove", id, { $case: "memberRemove", value: { id } });
}

function promote(id: bigint): Applied {
  return world.change("promote", id, { $case: "memberPromote", value: { id } });
}

function update(id: bigint, peerUrls: string[]): Applied {
  return world.change("update", id, { $case: "memberUpdate", value: { id, peerUrls } });
}

function publish(id: bigint, name: string): Applied {
  return world.apply({ $case: "memberPublish", value: { id, name, clientUrls: [`http://${name}:2379`] } });
}

const one = { id: memberId, name: "one", peerUrls: ["http://localhost:2380"], clientUrls: [], learner: false };
const two = { id: 2n, name: "", peerUrls: ["http://m2:2380"], clientUrls: [], learner: true };

describe("a change of the membership", () => {
  it("answers with all members, in order of id, and says what changed", () => {
    const applied = add(2n, true);
    expect(applied).toMatchObject({
      index: 2,
      request: { origin: memberId, boot: 1, sequence: 2 },
      result: { kind: "ok", revision: 1, response: { kind: "members", members: [two, one] } },
      changes: undefined,
      leases: [],
      membership: { op: "addLearner", member: 2n },
    });
    expect(world.reader.members()).toEqual([two, one]);
    expect(world.reader.membership()).toEqual({ voters: [memberId], learners: [2n] });
  });

  it("promotes a learner and leaves the rest of it as it was", () => {
    add(2n, true);
    publish(2n, "two");
    expect(promote(2n).membership).toEqual({ op: "promote", member: 2n });
    expect(world.reader.members()[0]).toEqual({ ...two, name: "two", clientUrls: ["http://two:2379"], learner: false });
    expect(world.reader.membership()).toEqual({ voters: [2n, memberId], learners: [] });
  });

  it("gives a member other peer URLs, a learner too, and touches nothing else", () => {
    add(2n, true);
    publish(2n, "two");
    update(2n, ["http://new:1", "http://new:2"]);
    expect(world.reader.members()[0]).toEqual({
      ...two,
      name: "two",
      clientUrls: ["http://two:2379"],
      peerUrls: ["http://new:1", "http://new:2"],
    });
  });

  it("removes a member for ever, over restarts and snapshots", () => {
    add(2n);
    expect(remove(2n).result).toMatchObject({ response: { members: [one] } });
    const removed = (): boolean[] => [2n, memberId, 9n].map((id) => world.reader.isRemoved(id));
    expect(removed()).toEqual([true, false, false]);
    world.reopen();
    expect(removed()).toEqual([true, false, false]);
    world.state.exportTo(`${world.dir}/state-2.db`);
    world.state.switchFile("state-2.db", () => undefined);
    expect(removed()).toEqual([true, false, false]);
    expect(failure(publish(2n, "two"))).toBe(status.MemberNotFound.message);
  });

  it("goes through under every alarm: the core has done it already", () => {
    for (const alarm of [1, 2] as const) {
      world.apply({ $case: "alarm", value: { action: 1, memberID: memberId, alarm } });
    }
    expect(add(2n).result.kind).toBe("ok");
  });

  it("is not part of the answer of anything else", () => {
    expect(Object.keys(publish(memberId, "x"))).not.toContain("membership");
  });
});

describe("what the leader has checked before", () => {
  it.each<[string, () => unknown]>([
    ["an unknown member is removed", () => remove(9n)],
    ["an unknown member is promoted", () => promote(9n)],
    ["an unknown member gets other URLs", () => update(9n, [])],
    ["a member is added again", () => add(memberId)],
    ["a voter is promoted", () => promote(memberId)],
  ])("ends this member if it does not hold: %s", (_what, apply) => {
    expect(apply).toThrow(InvariantError);
    expect(() => publish(memberId, "x")).toThrow("used after a failure");
  });

  it("ends this member if a removed one is added again", () => {
    add(2n);
    remove(2n);
    expect(() => add(2n)).toThrow("names a member that was removed");
  });

  it.each<[MembershipChange["op"], bigint, CommandBody]>([
    ["remove", 2n, { $case: "memberPromote", value: { id: 2n } }],
    ["promote", 2n, { $case: "memberRemove", value: { id: 2n } }],
    ["remove", memberId, { $case: "memberRemove", value: { id: 2n } }],
    ["addVoter", 3n, { $case: "memberAdd", value: { id: 3n, peerUrls: [], learner: true } }],
    ["addLearner", 3n, { $case: "memberAdd", value: { id: 3n, peerUrls: [], learner: false } }],
    ["update", 2n, { $case: "clusterVersionSet", value: { version: "1" } }],
  ])("ends this member if core and state machine were to do different things: %s of %s", (operation, id, body) => {
    add(2n, true);
    expect(() => world.change(operation, id, body)).toThrow("a change of the membership and its command differ");
  });

  it("ends this member if a change comes as a plain command", () => {
    expect(() => world.apply({ $case: "memberRemove", value: { id: memberId } })).toThrow("travels as a plain command");
  });

  it("ends this member if a change can not be read", () => {
    const good = encodeChange({ op: "remove", member: memberId }, new Uint8Array(0));
    const entry = { index: 2, term: 1, kind: "change" as const, data: good.subarray(0, 5) };
    expect(() => world.state.apply([entry])).toThrow("cannot be read");
  });
});

describe("the beginning", () => {
  const members = [one, { ...two, learner: false }];
  const bootstrap = {
    kind: "found",
    identity: { clusterId, memberId },
    membership: { voters: [2n, memberId], learners: [] },
    founders: members,
  } as const;

  /** What the log says after `work`, read at the next start. */
  function initialAfter(dir: string, work: (log: ReturnType<typeof openLogStore>) => void): InitialState {
    const log = openLogStore({ dir, bootstrap });
    work(log);
    log.close();
    const again = openLogStore({ dir });
    again.close();
    return again.initial;
  }

  it("of a founder is entry 1 of term 1, with all founders", () => {
    const founder = new World({ bootstrap: { kind: "found", members } });
    expect([founder.reader.appliedIndex(), founder.reader.appliedTerm(), founder.reader.revision()]).toEqual([1, 1, 1]);
    expect(founder.reader.membership()).toEqual({ voters: [2n, memberId], learners: [] });
    founder.close();
  });

  it("of a joiner is nothing but the id of its cluster", () => {
    const joiner = new World({ bootstrap: { kind: "join" } });
    expect([joiner.reader.appliedIndex(), joiner.reader.appliedTerm(), joiner.reader.members()]).toEqual([0, 0, []]);
    expect(() => joiner.reopen({ clusterId: 5n })).toThrow("belongs to cluster");
    joiner.close();
  });

  it("can be made again from the log as long as the log goes back to it, whatever the flags say", () => {
    const start = { truncateFrom: undefined, hardState: undefined, install: undefined, compact: undefined };
    const entries = [world.entry({ $case: "clusterVersionSet", value: { version: "3.7.0" } })];
    const initial = initialAfter(world.dir, (log) => log.append({ ...start, entries }));
    const found = stateBootstrapOf(initial);
    expect(found).toEqual({ kind: "found", members });
    const again = openState({ dir: world.dir, file: "state-5.db", clusterId, bootstrap: found });
    again.apply(initial.entries);
    expect([again.reader.members(), again.reader.clusterVersion()]).toEqual([
      [{ ...two, learner: false }, one],
      "3.7.0",
    ]);
    again.close();
    const compacted = initialAfter(world.dir, (log) =>
      log.append({ ...start, entries: [], compact: { to: 2, membership: bootstrap.membership } }),
    );
    expect(stateBootstrapOf(compacted)).toBeUndefined();
  });

  it("of a joiner can be made again until it has a snapshot", () => {
    const joiner = new World({ bootstrap: { kind: "join" } });
    const log = openLogStore({
      dir: joiner.dir,
      bootstrap: { kind: "join", identity: { clusterId, memberId }, membership: { voters: [], learners: [] } },
    });
    expect(stateBootstrapOf(log.initial)).toEqual({ kind: "join" });
    // The very snapshot of the founding: there is nothing that this member could make it from.
    expect(stateBootstrapOf({ ...log.initial, firstIndex: 2, previousTerm: 1 })).toBeUndefined();
    log.close();
    joiner.close();
  });
});

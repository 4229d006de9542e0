/** A cluster of one out of the survivor of several: who is left, what is kept, and when it is refused. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeChange } from "../../../src/server/raft/change.js";
import type { Entry, MemberId, MembershipChange } from "../../../src/server/raft/types.js";
import { encodeCommand } from "../../../src/server/state/command.js";
import { forceNewCluster } from "../../../src/server/state/force-new-cluster.js";
import type { CommandBody, Member } from "../../../src/server/state/types.js";
import { openLogStore } from "../../../src/server/storage/log-store.js";
import type { Bootstrap, LogBatch, LogStore } from "../../../src/server/storage/types.js";
import { clusterId, memberId, put, World } from "./world.js";

const nothing: LogBatch = {
  hardState: undefined,
  truncateFrom: undefined,
  entries: [],
  compact: undefined,
  install: undefined,
};
const founders: readonly Member[] = [memberId, 2n, 3n].map((id) => ({
  id,
  name: `m${id}`,
  peerUrls: [`http://m${id}:2380`],
  clientUrls: [],
  learner: false,
}));
const bootstrap: Bootstrap = {
  kind: "found",
  identity: { clusterId, memberId },
  membership: { voters: [memberId, 2n, 3n], learners: [] },
};

let world: World;
let log: LogStore;
beforeEach(() => {
  world = new World({ bootstrap: { kind: "found", members: founders } });
  log = openLogStore({ dir: world.dir, bootstrap });
});
afterEach(() => {
  log.close();
  world.close();
});

function reopen(): void {
  log.close();
  log = openLogStore({ dir: world.dir });
}

function command(index: number, value: string, term = 1): Entry {
  const data = encodeCommand({ origin: 2n, boot: 1, sequence: index }, { $case: "put", value: put("a", value) });
  return { index, term, kind: "command", data };
}

function change(index: number, op: MembershipChange["op"], member: MemberId, term = 1): Entry {
  const bodies: Record<MembershipChange["op"], CommandBody> = {
    addVoter: { $case: "memberAdd", value: { id: member, peerUrls: [], learner: false } },
    addLearner: { $case: "memberAdd", value: { id: member, peerUrls: [], learner: true } },
    promote: { $case: "memberPromote", value: { id: member } },
    remove: { $case: "memberRemove", value: { id: member } },
    update: { $case: "memberUpdate", value: { id: member, peerUrls: [] } },
  };
  const encoded = encodeCommand({ origin: 2n, boot: 1, sequence: index }, bodies[op]);
  return { index, term, kind: "change", data: encodeChange({ op, member }, encoded) };
}

/** Appends entries and says how far they are known to be committed. */
function append(entries: readonly Entry[], commit: number): void {
  log.append({ ...nothing, entries, hardState: { term: entries.at(-1)?.term ?? 1, vote: undefined, commit } });
  reopen();
}

/** What a normal start does: everything up to the commit index is applied. */
function replay(): void {
  const { entries, hardState } = log.initial;
  const applied = world.reader.appliedIndex();
  world.state.apply(entries.filter(({ index }) => index > applied && index <= hardState.commit));
}

function force(): readonly MemberId[] {
  const left = forceNewCluster(log, world.reader);
  reopen();
  replay();
  return left;
}

describe("a forced new cluster", () => {
  it("has this member only, under the same cluster id, and remembers the others as removed", () => {
    append([command(2, "1"), change(3, "addLearner", 4n)], 3);
    expect(force()).toEqual([2n, 3n, 4n]);
    expect(world.reader.members().map(({ id, peerUrls }) => [id, peerUrls])).toEqual([
      [memberId, [`http://m${memberId}:2380`]],
    ]);
    expect(world.reader.membership()).toEqual({ voters: [memberId], learners: [] });
    expect([2n, 3n, 4n, memberId].map((id) => world.reader.isRemoved(id))).toEqual([true, true, true, false]);
    expect(log.initial.identity).toEqual(bootstrap.identity);
    expect(world.list("a")).toEqual(["a=1"]);
  });

  it("keeps writes that may have been acknowledged although this member did not know", () => {
    append([command(2, "1"), command(3, "2"), command(4, "3")], 2);
    force();
    expect(world.list("a")).toEqual(["a=3"]);
  });

  it("keeps what it has applied already, however old the commit index on disk is", () => {
    const entries = [command(2, "1"), command(3, "2")];
    append(entries, 1);
    world.state.apply(entries);
    force();
    expect(world.reader.appliedIndex()).toBe(5);
    expect(world.list("a")).toEqual(["a=2"]);
  });

  it("lets a learner vote before it removes the voters", () => {
    log.close();
    world.close();
    world = new World({ bootstrap: { kind: "found", members: founders } });
    log = openLogStore({ dir: world.dir, bootstrap: { ...bootstrap, identity: { clusterId, memberId: 9n } } });
    append([change(2, "addLearner", 9n)], 2);
    expect(new Set(force())).toEqual(new Set([2n, 3n, memberId]));
    expect(world.reader.membership()).toEqual({ voters: [9n], learners: [] });
  });

  it("starts from the membership at the start of a compacted log", () => {
    append([change(2, "remove", 2n), command(3, "1"), change(4, "addVoter", 5n)], 4);
    replay();
    log.append({ ...nothing, compact: { to: 3, membership: { voters: [memberId, 3n], learners: [] } } });
    reopen();
    expect(force()).toEqual([3n, 5n]);
    expect(world.reader.membership().voters).toEqual([memberId]);
  });

  it("takes back a removal of this very member that was never committed, and what comes after it", () => {
    append([command(2, "1"), change(3, "remove", memberId), command(4, "2")], 2);
    force();
    expect(world.reader.membership().voters).toEqual([memberId]);
    expect(world.list("a")).toEqual(["a=1"]);
  });

  it("is refused to a member that was removed", () => {
    const entries = [change(2, "remove", memberId)];
    append(entries, 2);
    expect(() => forceNewCluster(log, world.reader)).toThrow(expect.objectContaining({ name: "StorageRefused" }));
    world.state.apply(entries);
    expect(() => forceNewCluster(log, world.reader)).toThrow("was removed from its cluster");
  });

  it("is refused to a member that joined and has not received anything", () => {
    log.close();
    world.close();
    world = new World({ bootstrap: { kind: "join" } });
    log = openLogStore({
      dir: world.dir,
      bootstrap: { ...bootstrap, kind: "join", membership: { voters: [], learners: [] } },
    });
    expect(() => forceNewCluster(log, world.reader)).toThrow("has not received the state of its cluster yet");
  });

  it("may be asked for again", () => {
    append([command(2, "1", 7)], 2);
    expect([force(), force()]).toEqual([[2n, 3n], []]);
    expect([log.initial.hardState, log.initial.entries.map(({ term }) => term)]).toEqual([
      { term: 9, vote: memberId, commit: 4 },
      [7, 8, 8],
    ]);
    expect(world.reader.membership().voters).toEqual([memberId]);
  });
});

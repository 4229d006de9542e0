/** Snapshots, one rule at a time: notes 1.14, chapter 5 of the thesis. */
import { describe, expect, it } from "vitest";
import { RaftCore } from "../../../src/server/raft/core.js";
import type { Effects, Membership, RaftEvent, RestoredState, SnapshotMeta } from "../../../src/server/raft/types.js";
import {
  accepted,
  bytes,
  changeEntry,
  config,
  durable,
  echo,
  entry,
  from,
  leading,
  messages,
  proposeChange,
  restored,
  terms,
  threeMembers,
  ticks,
  turn,
} from "./support.js";

/** A leader of three whose log begins at 4, and whose peer 3 has nothing. */
function compactedLeader(): RaftCore {
  const core = leading(threeMembers());
  const values = ["a", "b", "c"].map(
    (value, requestId) => ({ kind: "propose", requestId, data: bytes(value) }) as const,
  );
  core.step(durable(turn(core, ...values)));
  core.step({ kind: "applied", index: turn(core, accepted(2n, 1, 4)).apply?.last ?? 0 });
  core.step(durable(turn(core, { kind: "compact", index: 3 })));
  core.take();
  return core;
}

const refused = (index: number): RaftEvent =>
  from(3n, "appendReply", { term: 1, rejected: true, index, hintIndex: 0, hintTerm: 0 });

/** The same, after the peer has refused what is left. */
function asked(): RaftCore {
  const core = compactedLeader();
  expect(turn(core, refused(3)).needSnapshot).toEqual([3n]);
  return core;
}

function quiet(core: RaftCore): boolean {
  const { send, needSnapshot } = core.take() ?? {};
  return needSnapshot?.length !== 1 && !send?.some(({ kind, to }) => kind === "append" && to === 3n);
}

const sent = (ok: boolean): RaftEvent => ({ kind: "snapshotSent", peer: 3n, ok });

describe("a leader whose peer needs what is compacted", () => {
  it("names the peer once and sends it nothing until the driver has reported", () => {
    const core = asked();
    core.step({ kind: "propose", requestId: 9, data: bytes("d") });
    core.step(refused(3));
    core.step(echo(3n, 1));
    expect(quiet(core)).toBe(true);
    expect(core.peer(3n)?.state).toBe("snapshot");
  });

  it("names it only while it is heard", () => {
    const core = compactedLeader();
    core.step(refused(3));
    core.step(echo(2n, 1));
    // The check of the quorum forgets who was heard.
    ticks(core, 10);
    expect(quiet(core)).toBe(true);
    expect(turn(core, echo(3n, 1)).needSnapshot).toEqual([3n]);
  });

  it("replicates again when the peer acknowledges an entry that is followed by one of the log, whatever the snapshot was", () => {
    const core = asked();
    core.step(sent(true));
    core.step(accepted(3n, 1, 2));
    expect(core.peer(3n)?.state).not.toBe("replicate");
    const effects = turn(core, accepted(3n, 1, 3));
    expect(core.peer(3n)).toMatchObject({ state: "replicate", match: 3 });
    expect(effects.send).toContainEqual(
      expect.objectContaining({ to: 3n, previousIndex: 3, entries: [expect.anything()] }),
    );
  });

  it("does so even if the driver has not reported yet, and does not ask twice at a time", () => {
    const core = asked();
    core.step(accepted(3n, 1, 4));
    expect(core.peer(3n)?.state).toBe("replicate");
    core.step({ kind: "peerUnreachable", peer: 3n });
    core.step(sent(true));
    expect(core.peer(3n)?.state).toBe("probe");
  });

  it("asks the peer again after a failure, when it answers, and then names it again", () => {
    const core = asked();
    core.step(sent(false));
    expect(quiet(core)).toBe(true);
    turn(core, { kind: "tick" });
    expect(turn(core, echo(3n, 1)).send).toContainEqual(
      expect.objectContaining({ kind: "append", to: 3n, previousIndex: 3 }),
    );
    expect(turn(core, refused(3)).needSnapshot).toEqual([3n]);
  });

  it("asks a peer that took a snapshot and does not acknowledge it within an election timeout", () => {
    const core = asked();
    core.step(sent(true));
    core.step(echo(2n, 1));
    ticks(core, 9);
    expect(quiet(core)).toBe(true);
    core.step({ kind: "tick" });
    expect(core.take()?.send).toContainEqual(expect.objectContaining({ kind: "append", to: 3n, previousIndex: 3 }));
  });

  it("names it again if what comes after the snapshot is compacted by now", () => {
    const core = asked();
    core.step(sent(true));
    expect(turn(core, accepted(3n, 1, 2)).send).toContainEqual(
      expect.objectContaining({ kind: "append", to: 3n, previousIndex: 3 }),
    );
    expect(turn(core, refused(3)).needSnapshot).toEqual([3n]);
  });

  it("takes a report on a stranger, or after its leadership, for nothing", () => {
    const core = asked();
    core.step({ kind: "snapshotSent", peer: 9n, ok: true });
    core.step(from(2n, "heartbeat", { term: 2, commit: 0, readRound: 0 }));
    core.step(sent(true));
    expect(core.role).toBe("follower");
  });
});

const wider: Membership = { voters: [1n, 2n, 3n], learners: [4n] };

function snapshot(index: number, term: number, membership = wider): SnapshotMeta {
  return { index, term, membership, file: `state at ${index}` };
}

function received(index: number, term: number, senderTerm = 3): RaftEvent {
  return { kind: "snapshotReceived", from: 2n, term: senderTerm, snapshot: snapshot(index, term) };
}

/** Entries 1 to 4 of terms 1 1 2 2, of which 2 are committed and applied. */
function follower(changes: Partial<RestoredState> = {}, appendsInflightMax = 1): RaftCore {
  const log = { hardState: { term: 2, vote: undefined, commit: 2 }, entries: terms(1, 1, 2, 2), applied: 2 };
  return threeMembers({ ...log, ...changes }, { limits: { appendsInflightMax } });
}

const append = (previousIndex: number, previousTerm: number, count: number, commit: number): RaftEvent => {
  const entries = Array.from({ length: count }, (_none, offset) => entry(previousIndex + offset + 1, 3));
  return from(2n, "append", { term: 3, previousIndex, previousTerm, entries, commit });
};

describe("a snapshot that arrives", () => {
  it("from a leader of an older term is refused, and the leader learns the term", () => {
    const effects = turn(follower({ hardState: { term: 5, vote: undefined, commit: 2 } }), received(9, 3));
    expect(messages(effects)).toMatchObject([{ kind: "appendReply", to: 2n, term: 5, index: 0 }]);
    expect(effects.append).toBeUndefined();
  });

  it("makes its sender the leader", () => {
    const core = follower();
    turn(core, received(9, 3));
    expect(core).toMatchObject({ role: "follower", term: 3, leader: 2n });
  });

  it("with nothing new is answered with what is committed", () => {
    const core = follower();
    const effects = turn(core, received(2, 1));
    expect(effects.append?.install).toBeUndefined();
    expect(messages(effects)).toMatchObject([{ kind: "appendReply", rejected: false, index: 2 }]);
    expect(core).toMatchObject({ firstIndex: 1, lastIndex: 4, installs: [] });
  });

  it("whose last entry is in the log only moves the commit index, and brings changes into force", () => {
    const core = follower({ entries: [...terms(1, 1), changeEntry(3, 2, "addLearner", 4n), entry(4, 2)] });
    const effects = turn(core, received(3, 2));
    expect(effects.append?.install).toBeUndefined();
    expect(messages(effects)).toMatchObject([{ kind: "appendReply", rejected: false, index: 3 }]);
    expect(core).toMatchObject({ firstIndex: 1, lastIndex: 4, commitIndex: 3, membership: wider });
  });

  it("replaces the log, the membership and the state in one write, and is acknowledged after it", () => {
    const core = follower();
    const effects = turn(core, received(9, 3));
    expect(effects.append).toMatchObject({
      hardState: { term: 3, vote: undefined, commit: 9 },
      entries: [],
      truncateFrom: undefined,
      compact: undefined,
      install: snapshot(9, 3),
      sendAfter: [{ kind: "appendReply", to: 2n, index: 9 }],
    });
    expect(effects.membership).toEqual(wider);
    expect(core).toMatchObject({ firstIndex: 10, lastIndex: 9, commitIndex: 9, appliedIndex: 2 });
    expect(core.termAt(9)).toBe(3);

    core.step(durable(effects));
    expect(core).toMatchObject({ appliedIndex: 9, stableIndex: 9, installs: [] });
  });

  it("replaces a log that holds another entry at its index", () => {
    const core = follower();
    expect(turn(core, received(4, 3)).append?.install?.index).toBe(4);
    expect(core).toMatchObject({ firstIndex: 5, lastIndex: 4 });
  });

  it("lets nothing be applied before it is durable", () => {
    const core = follower({}, 2);
    const install = turn(core, received(9, 3));
    const write = turn(core, append(9, 3, 1, 10));
    core.step({ kind: "compact", index: 2 });
    expect(write.apply).toBeUndefined();
    expect(core.commitIndex).toBe(10);
    core.step(durable(install));
    expect(turn(core, durable(write)).apply).toMatchObject({ first: 10, last: 10 });
  });

  it("keeps the member from standing, whoever asks, until it is durable", () => {
    const core = follower();
    const install = turn(core, received(9, 3));
    core.step({ kind: "campaign" });
    core.step(from(2n, "timeoutNow", { term: 3 }));
    ticks(core, 40);
    expect(core.role).toBe("follower");
    core.step(durable(install));
    core.step({ kind: "campaign" });
    expect(core.role).toBe("preCandidate");
  });

  it("goes first, and what follows it is written and acknowledged with the next write", () => {
    const core = follower();
    const install = turn(core, received(9, 3), append(9, 3, 2, 11));
    expect(install.append).toMatchObject({ entries: [], hardState: { commit: 9 }, sendAfter: [{ index: 9 }] });
    const write = turn(core, durable(install));
    expect(write.append).toMatchObject({
      entries: [{ index: 10 }, { index: 11 }],
      hardState: { commit: 11 },
      sendAfter: [{ index: 11 }],
    });
  });
});

/** Entries 3 and 4 of term 3 are on their way to the disk, and 3 is committed. */
function writing(core: RaftCore): Effects {
  return turn(core, append(2, 1, 2, 3));
}

describe("a snapshot that meets work under way", () => {
  it("an older write may end before it, and proves nothing about the new log", () => {
    const core = follower({}, 2);
    const older = writing(core);
    const install = turn(core, received(9, 4, 4));
    core.step(durable(older));
    expect(core).toMatchObject({ stableIndex: 3, appliedIndex: 2 });
    core.step(durable(install));
    expect(core).toMatchObject({ stableIndex: 9, appliedIndex: 9 });
  });

  it("waits for an older write if only one may be under way", () => {
    const core = follower();
    const older = writing(core);
    core.step(received(9, 4, 4));
    expect(core.take()?.append).toBeUndefined();
    expect(core.installs).toEqual([snapshot(9, 4)]);
    expect(turn(core, durable(older)).append?.install?.index).toBe(9);
  });

  it.each(["before", "after"] as const)("an older range may be reported as applied %s it is durable", (order) => {
    const core = follower({ hardState: { term: 2, vote: undefined, commit: 4 } });
    expect(turn(core).apply).toMatchObject({ first: 3, last: 4 });
    const install = turn(core, received(9, 3));
    const reports: RaftEvent[] = [{ kind: "applied", index: 4 }, durable(install)];
    for (const event of order === "before" ? reports : reports.toReversed()) core.step(event);
    expect(core.appliedIndex).toBe(9);
    const write = turn(core, append(9, 3, 1, 10));
    expect(turn(core, durable(write)).apply).toMatchObject({ first: 10, last: 10 });
  });

  it("holds back the next range until the older one is reported", () => {
    const core = follower({ hardState: { term: 2, vote: undefined, commit: 4 } });
    turn(core);
    core.step(durable(turn(core, received(9, 3))));
    core.step(durable(turn(core, append(9, 3, 1, 10))));
    expect(core.take()?.apply).toBeUndefined();
    core.step({ kind: "applied", index: 3 });
    expect(core.take()?.apply).toBeUndefined();
    expect(turn(core, { kind: "applied", index: 4 }).apply).toMatchObject({ first: 10, last: 10 });
  });

  it("a second one takes the place of a first that was not handed out", () => {
    const core = follower();
    const older = writing(core);
    core.step(received(9, 4, 4));
    core.step(received(12, 4, 4));
    expect(core.installs).toEqual([snapshot(12, 4)]);
    const install = turn(core, durable(older));
    expect(install.append).toMatchObject({ install: { index: 12 }, sendAfter: [{ index: 9 }, { index: 12 }] });
    core.step(durable(install));
    expect(core).toMatchObject({ appliedIndex: 12, stableIndex: 12, installs: [] });
  });

  it("a second one follows a first that is on its way", () => {
    const core = follower({}, 2);
    const first = turn(core, received(9, 3));
    const second = turn(core, received(12, 3));
    expect(core.installs.map(({ index }) => index)).toEqual([9, 12]);
    core.step(durable(first));
    expect(core).toMatchObject({ appliedIndex: 9, stableIndex: 9 });
    core.step({ kind: "campaign" });
    expect(core.role).toBe("follower");
    core.step(durable(second));
    expect(core).toMatchObject({ appliedIndex: 12, stableIndex: 12 });
  });
});

function joiner(): RaftCore {
  return new RaftCore(config(1n), restored([]));
}

describe("a member that joins", () => {
  it("never stands, and follows whoever leads", () => {
    const core = joiner();
    ticks(core, 50);
    core.step({ kind: "campaign" });
    expect(core).toMatchObject({ role: "follower", term: 0 });
    core.step(from(2n, "heartbeat", { term: 7, commit: 0, readRound: 0 }));
    expect(core).toMatchObject({ role: "follower", term: 7, leader: 2n });
  });

  it("takes no entries, not even from the first on, before a snapshot tells it who the members are", () => {
    const core = joiner();
    const early = turn(
      core,
      from(2n, "append", { term: 1, previousIndex: 5, previousTerm: 1, entries: [], commit: 5 }),
    );
    expect(messages(early)).toMatchObject([{ rejected: true, index: 5, hintIndex: 0, hintTerm: 0 }]);
    core.step(durable(early));
    const first = { term: 1, previousIndex: 0, previousTerm: 0, entries: terms(1), commit: 1 };
    expect(messages(turn(core, from(2n, "append", first)))).toMatchObject([{ rejected: true, index: 0 }]);
    expect(core.lastIndex).toBe(0);
  });

  it("begins with the snapshot, and may begin before it was added", () => {
    const core = joiner();
    const early = { voters: [2n, 3n], learners: [] };
    const event = { kind: "snapshotReceived", from: 2n, term: 3, snapshot: snapshot(9, 3, early) } as const;
    core.step(durable(turn(core, event)));
    const add = changeEntry(10, 3, "addLearner", 1n);
    const entries = { term: 3, previousIndex: 9, previousTerm: 3, entries: [add], commit: 10 };
    core.step(durable(turn(core, from(2n, "append", entries))));
    expect(core).toMatchObject({ membership: { voters: [2n, 3n], learners: [1n] }, removed: false });
  });

  it("is asked for a snapshot by a founder's log, which never holds the first entry", () => {
    const founded = { firstIndex: 2, previousTerm: 1, applied: 1, hardState: { term: 1, vote: undefined, commit: 1 } };
    const core = leading(threeMembers(founded));
    const added = turn(core, proposeChange("addLearner", 4n));
    core.step(durable(added));
    const effects = turn(core, accepted(2n, 2, 3));
    expect(effects.send).toContainEqual(expect.objectContaining({ to: 4n, kind: "append", previousIndex: 3 }));
    const nothing = { term: 2, rejected: true, index: 3, hintIndex: 0, hintTerm: 0 };
    expect(turn(core, from(4n, "appendReply", nothing)).needSnapshot).toEqual([4n]);
  });
});

/** One test for each rule of replication, commit and flow control. Sections of the thesis, or of the Raft notes where the rule is ours. */
import { describe, expect, it } from "vitest";
import { RaftCore } from "../../../src/server/raft/core.js";
import {
  accepted,
  bytes,
  config,
  durable,
  elected,
  entry,
  from,
  leading,
  messages,
  restored,
  terms,
  threeMembers,
  ticks,
  turn,
} from "./support.js";

const followerLog = { hardState: { term: 2, vote: undefined, commit: 1 }, entries: terms(1, 1, 2), applied: 1 };

function propose(core: RaftCore, ...values: string[]): ReturnType<typeof turn> {
  return turn(core, ...values.map((value, requestId) => ({ kind: "propose" as const, requestId, data: bytes(value) })));
}

/** Lets member 3 acknowledge the empty entry too, so that both peers are past their probe. */
function bothReplicating(core: RaftCore): RaftCore {
  core.step(accepted(3n, core.term, core.lastIndex));
  core.take();
  return core;
}

describe("thesis 3.5, a follower's log", () => {
  it("takes entries that follow one it has, and acknowledges them once they are durable", () => {
    const core = threeMembers(followerLog);
    const effects = turn(
      core,
      from(2n, "append", { term: 2, previousIndex: 3, previousTerm: 2, entries: [entry(4, 2)], commit: 1 }),
    );
    expect(effects.send).toEqual([]);
    expect(effects.append).toMatchObject({ entries: [{ index: 4 }], truncateFrom: undefined });
    expect(effects.append?.sendAfter).toMatchObject([{ kind: "appendReply", to: 2n, rejected: false, index: 4 }]);
  });

  it("refuses entries after one that it lacks or has of another term", () => {
    for (const previous of [
      { previousIndex: 5, previousTerm: 2 },
      { previousIndex: 3, previousTerm: 1 },
    ]) {
      const core = threeMembers(followerLog);
      const effects = turn(core, from(2n, "append", { term: 3, ...previous, entries: [], commit: 1 }));
      expect(messages(effects)).toMatchObject([{ kind: "appendReply", rejected: true, index: previous.previousIndex }]);
      expect(core.lastIndex).toBe(3);
    }
  });

  it("drops its own entries where they differ, on disk too", () => {
    const core = threeMembers(followerLog);
    const effects = turn(
      core,
      from(2n, "append", { term: 3, previousIndex: 1, previousTerm: 1, entries: [entry(2, 3)], commit: 1 }),
    );
    expect(effects.append).toMatchObject({ truncateFrom: 2, entries: [{ index: 2, term: 3 }] });
    expect(core.lastIndex).toBe(2);
  });

  it("keeps what follows if a late message holds only entries that it has", () => {
    const core = threeMembers(followerLog);
    const effects = turn(
      core,
      from(2n, "append", { term: 2, previousIndex: 1, previousTerm: 1, entries: [entry(2, 1)], commit: 1 }),
    );
    expect(core.lastIndex).toBe(3);
    expect(effects.append).toBeUndefined();
    expect(effects.send).toMatchObject([{ kind: "appendReply", rejected: false, index: 2 }]);
  });

  it("answers old news with its commit index", () => {
    const core = threeMembers({ ...followerLog, hardState: { term: 2, vote: undefined, commit: 3 } });
    core.take();
    const effects = turn(
      core,
      from(2n, "append", { term: 2, previousIndex: 0, previousTerm: 0, entries: terms(1), commit: 1 }),
    );
    expect(effects.send).toMatchObject([{ kind: "appendReply", rejected: false, index: 3 }]);
  });

  it("commits no further than the entries that the message covers", () => {
    const core = threeMembers(followerLog);
    // Entry 3 may differ from the leader's: this message says nothing about it.
    core.step(from(2n, "append", { term: 3, previousIndex: 1, previousTerm: 1, entries: [entry(2, 1)], commit: 3 }));
    expect(core.commitIndex).toBe(2);
  });

  it("never lets go of a committed entry", () => {
    const core = threeMembers({ ...followerLog, hardState: { term: 2, vote: undefined, commit: 3 } });
    core.take();
    expect(() =>
      core.step(from(2n, "append", { term: 3, previousIndex: 3, previousTerm: 2, entries: [entry(3, 3)], commit: 1 })),
    ).toThrow(/committed entry|gap/);
  });
});

describe("thesis 3.5, a leader", () => {
  it("commits what a majority holds, and tells the others at once", () => {
    const core = bothReplicating(leading(threeMembers()));
    core.step(durable(propose(core, "a")));
    const effects = turn(core, accepted(3n, 1, 2));
    expect(effects.apply).toMatchObject({ first: 2, last: 2 });
    expect(effects.send).toMatchObject([
      { kind: "append", to: 2n, previousIndex: 2, entries: [], commit: 2 },
      { kind: "append", to: 3n, previousIndex: 2, entries: [], commit: 2 },
    ]);
  });

  it("names in a heartbeat no more than what the peer is known to hold", () => {
    const core = leading(threeMembers());
    core.step({ kind: "tick" });
    expect(core.take()?.send).toMatchObject([
      { kind: "heartbeat", to: 2n, commit: 1 },
      { kind: "heartbeat", to: 3n, commit: 0 },
    ]);
  });

  it("sends all proposals of a turn in one message", () => {
    const core = bothReplicating(leading(threeMembers()));
    expect(propose(core, "a", "b", "c").send).toMatchObject([
      { to: 2n, entries: [{ index: 2 }, { index: 3 }, { index: 4 }] },
      { to: 3n, entries: [{ index: 2 }, { index: 3 }, { index: 4 }] },
    ]);
  });
});

describe("thesis 3.6.2, commit by counting", () => {
  it("an entry of an older term on a majority is not committed, until one of the own term is", () => {
    const core = threeMembers({ hardState: { term: 2, vote: undefined, commit: 0 }, entries: terms(1, 2) });
    core.step(durable(elected(core)));
    core.step(accepted(2n, 3, 2));
    core.step(accepted(3n, 3, 2));
    expect(core.commitIndex).toBe(0);
    core.step(accepted(2n, 3, 3));
    expect(core.commitIndex).toBe(3);
  });
});

describe("thesis 10.2.1, writing and sending at the same time", () => {
  it("messages leave while the leader's own write is under way", () => {
    const core = leading(threeMembers());
    const effects = propose(core, "a");
    expect(effects.send.map(({ to }) => to)).toContain(2n);
    expect(effects.append?.entries).toHaveLength(1);
  });

  it("the leader's own copy counts only when it is durable", () => {
    const membership = { voters: [1n, 2n], learners: [] };
    const core = new RaftCore(config(1n), restored([], { membership }));
    leading(core);
    const write = propose(core, "a");
    core.step(accepted(2n, 1, 2));
    expect(core.commitIndex).toBe(1);
    core.step(durable(write));
    expect(core.commitIndex).toBe(2);
  });

  it("a majority of followers may commit before the leader's disk, which then applies later", () => {
    const core = bothReplicating(leading(threeMembers()));
    const write = propose(core, "a");
    const effects = turn(core, accepted(2n, 1, 2), accepted(3n, 1, 2));
    expect(core.commitIndex).toBe(2);
    expect(effects.apply).toBeUndefined();
    expect(turn(core, durable(write)).apply).toMatchObject({ first: 2, last: 2 });
  });
});

describe("notes 1.1, the commit index", () => {
  it("goes to disk with every batch of entries of a follower", () => {
    const core = threeMembers(followerLog);
    const effects = turn(
      core,
      from(2n, "append", { term: 2, previousIndex: 3, previousTerm: 2, entries: [entry(4, 2)], commit: 4 }),
    );
    expect(effects.append?.hardState).toEqual({ term: 2, vote: undefined, commit: 4 });
  });

  it("needs no write of its own", () => {
    const core = threeMembers(followerLog);
    const effects = turn(core, from(2n, "heartbeat", { term: 2, commit: 3, readRound: 0 }));
    expect(effects.append).toBeUndefined();
    expect(effects.apply).toMatchObject({ first: 2, last: 3 });
  });
});

describe("notes 1.11, a follower whose state machine does not keep up", () => {
  const limits = { followerLagBytesMax: 600 };
  const head = { term: 2, previousTerm: 2 };

  /** Three entries are committed and none of them applied, which is too much. */
  function behind(): RaftCore {
    const core = threeMembers({ hardState: { term: 2, vote: undefined, commit: 0 } }, { limits });
    const entries = [entry(1, 2), entry(2, 2), entry(3, 2)];
    const first = turn(core, from(2n, "append", { ...head, previousIndex: 0, previousTerm: 0, entries, commit: 3 }));
    expect(first.append?.sendAfter).toMatchObject([{ kind: "appendReply", rejected: false, index: 3 }]);
    core.step(durable(first));
    core.take();
    return core;
  }

  function append(previousIndex: number, count: number, commit = 0) {
    const entries = Array.from({ length: count }, (_, n) => entry(previousIndex + 1 + n, 2));
    return from(2n, "append", { ...head, previousIndex, entries, commit });
  }

  it("takes no more, and says nothing of what it left out", () => {
    const core = behind();
    core.step(append(3, 1, 4));
    expect([core.lastIndex, core.commitIndex, core.take()]).toEqual([3, 3, undefined]);
    // What follows it is not there either, so that the leader stops to send ahead.
    expect(turn(core, append(4, 1)).send).toMatchObject([{ kind: "appendReply", rejected: true, index: 4 }]);
  });

  it("answers what brings nothing new", () => {
    const core = behind();
    expect(turn(core, append(2, 1)).send).toMatchObject([{ kind: "appendReply", rejected: false, index: 3 }]);
    expect(turn(core, append(3, 0)).send).toMatchObject([{ kind: "appendReply", rejected: false, index: 3 }]);
  });

  it("does not stand for election: it hears its leader", () => {
    const core = behind();
    for (let beat = 0; beat < 50; beat += 1) {
      core.step({ kind: "tick" });
      core.step(append(3, 1));
    }
    expect(core).toMatchObject({ role: "follower", leader: 2n, term: 2 });
    expect(turn(core, from(2n, "heartbeat", { term: 2, commit: 3, readRound: 5 })).send).toMatchObject([
      { kind: "heartbeatReply", readRound: 5 },
    ]);
  });

  it("takes more once it has applied enough", () => {
    const core = behind();
    core.step({ kind: "applied", index: 3 });
    const effects = turn(core, append(3, 1));
    expect(effects.append).toMatchObject({ entries: [{ index: 4 }], sendAfter: [{ kind: "appendReply", index: 4 }] });
  });

  it("takes what is not committed yet, for a quorum may need it", () => {
    const core = threeMembers({ hardState: { term: 2, vote: undefined, commit: 0 } }, { limits });
    core.step(from(2n, "append", { ...head, previousIndex: 0, previousTerm: 0, entries: [entry(1, 2)], commit: 0 }));
    core.step(append(1, 5));
    core.step(append(6, 5));
    expect(core.lastIndex).toBe(11);
  });
});

describe("notes 1.8, flow control", () => {
  const small = { limits: { inflightMessagesMax: 2, messageBytesMax: 10 } };

  it("a peer is probed with one message until it answers", () => {
    const core = leading(threeMembers());
    expect(core.peer(3n)).toMatchObject({ state: "probe", match: 0 });
    expect(propose(core, "a").send.filter(({ to }) => to === 3n)).toEqual([]);
    core.step(accepted(3n, 1, 1));
    expect(core.peer(3n)).toMatchObject({ state: "replicate", match: 1 });
    expect(core.take()?.send.filter(({ to }) => to === 3n)).toMatchObject([{ entries: [{ index: 2 }] }]);
  });

  it("an answer that moves nothing ends the probe too", () => {
    const core = leading(threeMembers());
    core.step(accepted(3n, 1, 0));
    expect(core.peer(3n)?.state).toBe("replicate");
  });

  it("a lost probe is repeated once in a heartbeat interval, however many reads there are", () => {
    const core = leading(threeMembers());
    const probes = (): number =>
      (core.take()?.send ?? []).filter(({ kind, to }) => kind === "append" && to === 3n).length;
    core.step(from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
    expect(probes()).toBe(0);
    core.step({ kind: "tick" });
    core.step(from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
    expect(probes()).toBe(1);
    core.step(from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
    expect(probes()).toBe(0);
  });

  it("a full window holds back entries, and each acknowledgement lets more out", () => {
    const core = bothReplicating(leading(threeMembers({}, small)));
    const sent = propose(core, "123456", "123456", "123456", "123456").send.filter(({ to }) => to === 3n);
    expect(sent).toMatchObject([{ entries: [{ index: 2 }] }, { entries: [{ index: 3 }] }]);
    const more = turn(core, accepted(3n, 1, 2)).send;
    expect(more).toMatchObject([{ to: 3n, previousIndex: 3, entries: [{ index: 4 }] }]);
  });

  it("the window is bounded by bytes as well", () => {
    const core = bothReplicating(leading(threeMembers({}, { limits: { inflightBytesMax: 10, messageBytesMax: 8 } })));
    const sent = propose(core, "12345678", "12345678", "12345678").send.filter(({ to }) => to === 3n);
    expect(sent).toHaveLength(2);
  });

  it("an entry larger than a message may be travels alone", () => {
    const core = bothReplicating(leading(threeMembers({}, small)));
    const sent = propose(core, "a value above the limit", "b").send.filter(({ to }) => to === 3n);
    expect(sent).toMatchObject([{ entries: [{ index: 2 }] }, { entries: [{ index: 3 }] }]);
  });

  it("a full window still lets an empty append through after a heartbeat", () => {
    const core = bothReplicating(leading(threeMembers({}, small)));
    propose(core, "123456", "123456", "123456");
    core.step({ kind: "tick" });
    core.take();
    const effects = turn(core, from(3n, "heartbeatReply", { term: 1, readRound: 0 }));
    expect(effects.send).toMatchObject([{ kind: "append", to: 3n, previousIndex: 3, entries: [] }]);
  });

  it("a rejection sends a peer back to its last known entry", () => {
    const core = bothReplicating(leading(threeMembers()));
    propose(core, "a", "b");
    const lost = { term: 1, rejected: true, index: 3, hintIndex: 1, hintTerm: 1 };
    const effects = turn(core, from(3n, "appendReply", lost));
    expect(effects.send).toMatchObject([
      { kind: "append", to: 3n, previousIndex: 1, entries: [{ index: 2 }, { index: 3 }] },
    ]);
    expect(core.peer(3n)).toMatchObject({ state: "probe", match: 1, next: 2 });
  });

  it("a peer whose messages were dropped is probed", () => {
    const core = bothReplicating(leading(threeMembers()));
    propose(core, "a");
    core.step({ kind: "peerUnreachable", peer: 3n });
    expect(core.peer(3n)).toMatchObject({ state: "probe", next: 2 });
  });

  it("a peer that lacks compacted entries is asked once from the first that is left, then waits for a snapshot", () => {
    const core = leading(threeMembers());
    core.step(durable(propose(core, "a", "b", "c")));
    const commit = turn(core, accepted(2n, 1, 4));
    core.step({ kind: "applied", index: commit.apply?.last ?? 0 });
    const asked = turn(core, { kind: "compact", index: 3 });
    expect(asked.send).toMatchObject([{ to: 3n, previousIndex: 3, entries: [{ index: 4 }] }]);
    core.step(from(3n, "appendReply", { term: 1, rejected: true, index: 3, hintIndex: 0, hintTerm: 0 }));
    expect(core.peer(3n)?.state).toBe("snapshot");
    expect(propose(core, "d").send.filter(({ to }) => to === 3n)).toEqual([]);
    core.step(accepted(3n, 1, 3));
    expect(core.peer(3n)).toMatchObject({ state: "replicate", match: 3 });
  });
});

describe("notes 1.9, back-off", () => {
  it("a rejection names the last entry of the follower that can match, so that a term costs one probe", () => {
    const follower = threeMembers({
      hardState: { term: 3, vote: undefined, commit: 0 },
      entries: terms(1, 1, 1, 2, 2, 2, 3, 3, 3),
    });
    const effects = turn(
      follower,
      from(2n, "append", { term: 7, previousIndex: 9, previousTerm: 1, entries: [], commit: 0 }),
    );
    expect(messages(effects)).toMatchObject([{ rejected: true, index: 9, hintIndex: 3, hintTerm: 1 }]);
  });

  it("the leader goes back to its own last entry that is not newer than the hint", () => {
    const core = threeMembers({ hardState: { term: 6, vote: undefined, commit: 0 }, entries: terms(1, 1, 4, 4, 5, 6) });
    elected(core);
    const effects = turn(
      core,
      from(3n, "appendReply", { term: 7, rejected: true, index: 6, hintIndex: 6, hintTerm: 3 }),
    );
    expect(effects.send).toMatchObject([{ to: 3n, previousIndex: 2, previousTerm: 1 }]);
  });

  it("a rejection of anything but the probe is old and changes nothing", () => {
    const core = threeMembers({ hardState: { term: 1, vote: undefined, commit: 0 }, entries: terms(1, 1, 1) });
    elected(core);
    core.step(from(3n, "appendReply", { term: 2, rejected: true, index: 2, hintIndex: 0, hintTerm: 0 }));
    expect(core.peer(3n)?.next).toBe(4);
  });
});

describe("notes 1.13, applying", () => {
  it("one range at a time, within the limits of entries and bytes, but at least one entry", () => {
    const core = new RaftCore(
      config(1n, { limits: { applyEntriesMax: 2, applyBytesMax: 6 } }),
      restored([1n, 2n, 3n], {
        hardState: { term: 1, vote: undefined, commit: 5 },
        entries: ["aaa", "bbb", "c", "a long one", "d"].map((value, offset) => entry(offset + 1, 1, value)),
      }),
    );
    const ranges: (readonly [number, number])[] = [];
    for (let effects = core.take(); effects?.apply !== undefined; effects = core.take()) {
      ranges.push([effects.apply.first, effects.apply.last]);
      expect(core.take()).toBeUndefined();
      core.step({ kind: "applied", index: effects.apply.last });
    }
    expect(ranges).toEqual([
      [1, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ]);
  });
});

describe("thesis 3.9, time", () => {
  it("a leader beats once in each heartbeat interval", () => {
    const core = leading(threeMembers({}, { heartbeatTicks: 3 }));
    ticks(core, 6);
    expect(core.take()?.send.filter(({ kind }) => kind === "heartbeat")).toHaveLength(4);
  });
});

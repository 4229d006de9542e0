/** When a member that starts stands for election before its time. */
import { describe, expect, it } from "vitest";
import { hurryFirstElection } from "../../src/server/first-election.js";
import type { StateReader } from "../../src/server/state/types.js";

/** A member in a cluster whose links and leader the test sets; time passes when it says so. */
class Starting {
  connected: readonly bigint[] = [];
  leader: bigint | undefined;
  term = 1;
  campaigns = 0;
  readonly stop: () => void;
  private nowMs = 0;
  private timer: { readonly atMs: number; readonly callback: () => void } | undefined;

  constructor(memberId: bigint, { voters = [1n, 2n, 3n], learners = [] as readonly bigint[] } = {}) {
    const members = [...voters, ...learners].map((id) => {
      return { id, name: "", peerUrls: [], clientUrls: [], learner: learners.includes(id) };
    });
    const { replica, peers, clock } = this.parts(memberId, members);
    this.stop = hurryFirstElection({ replica: replica as never, peers, clock, heartbeatMs: 100, electionMs: 1000 });
  }

  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.timer !== undefined && this.timer.atMs <= endMs) {
      const { atMs, callback } = this.timer;
      this.nowMs = atMs;
      this.timer = undefined;
      callback();
    }
    this.nowMs = endMs;
  }

  private parts(memberId: bigint, members: ReturnType<StateReader["members"]>) {
    const learner = members.some((member) => member.id === memberId && member.learner);
    return {
      replica: {
        status: () => ({ memberId, leader: this.leader, term: this.term, learner }),
        state: { members: () => members },
        campaign: () => (this.campaigns += 1),
      },
      peers: { connectedSinceMs: (id: bigint) => (this.connected.includes(id) ? 0 : undefined) },
      clock: {
        wallMs: () => 0,
        monotonicMs: () => this.nowMs,
        after: (delayMs: number, callback: () => void) => {
          this.timer = { atMs: this.nowMs + delayMs, callback };
          return () => (this.timer = undefined);
        },
      },
    };
  }
}

describe("a founder", () => {
  it("stands as soon as a quorum can be reached, the one with the lowest id first", () => {
    const [first, second, third] = [new Starting(1n), new Starting(2n), new Starting(3n)];
    for (const member of [first, second, third]) member.pass(500);
    expect(first.campaigns).toBe(0);
    first.connected = [2n];
    second.connected = [1n];
    third.connected = [1n, 2n];
    for (const member of [first, second, third]) member.pass(20);
    expect([first.campaigns, second.campaigns, third.campaigns]).toEqual([1, 0, 0]);
    for (const member of [first, second, third]) member.pass(100);
    expect([first.campaigns, second.campaigns, third.campaigns]).toEqual([1, 1, 0]);
    for (const member of [first, second, third]) member.pass(1000);
    expect([first.campaigns, second.campaigns, third.campaigns]).toEqual([1, 1, 1]);
  });

  it("does not when somebody leads, when it is told to stop, or once its own timeout has come", () => {
    const led = new Starting(1n);
    led.leader = 2n;
    const stopped = new Starting(1n);
    stopped.stop();
    const late = new Starting(1n);
    late.pass(2000);
    for (const member of [led, stopped, late]) {
      member.connected = [2n, 3n];
      member.pass(5000);
      expect(member.campaigns).toBe(0);
    }
  });
});

it("a member that comes back listens for a leader first, without a break in its quorum", () => {
  const member = new Starting(1n);
  member.term = 7;
  member.connected = [2n];
  member.pass(200);
  member.connected = [];
  member.pass(50);
  member.connected = [2n];
  member.pass(250);
  expect(member.campaigns).toBe(0);
  member.pass(100);
  expect(member.campaigns).toBe(1);
});

it("a learner never stands, and learners are no quorum", () => {
  const learner = new Starting(4n, { learners: [4n] });
  const voter = new Starting(1n, { learners: [4n, 5n] });
  for (const member of [learner, voter]) {
    member.connected = [4n, 5n];
    member.pass(3000);
    expect(member.campaigns).toBe(0);
  }
});

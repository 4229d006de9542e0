/** What a leader remembers of one peer, against any order of answers: notes 1.8. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Progress } from "../../../src/server/raft/progress.js";
import { limits } from "./support.js";

const window = { ...limits, inflightMessagesMax: 4, inflightBytesMax: 100 };

type Step =
  | { readonly kind: "send"; readonly entries: number; readonly bytes: number }
  | { readonly kind: "accept" | "reject"; readonly share: number }
  | { readonly kind: "unreachable" | "heartbeat" | "echo" };

describe("any order of answers", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant("send" as const), entries: fc.nat(5), bytes: fc.nat(40) }),
    fc.record({ kind: fc.constantFrom("accept" as const, "reject" as const), share: fc.nat(100) }),
    fc.record({ kind: fc.constantFrom("unreachable" as const, "heartbeat" as const, "echo" as const) }),
  );

  it("leaves match below next, match at the highest answer, and the window within its bounds", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const peer = new Progress(10, window);
        let lastIndex = 9;
        let acknowledged = 0;
        for (const each of steps) {
          if (each.kind === "send" && peer.open) {
            lastIndex = Math.max(lastIndex, peer.next - 1 + each.entries);
            peer.sent(peer.next - 1 + each.entries, each.bytes);
          } else if (each.kind === "accept") {
            const index = Math.floor((lastIndex * each.share) / 100);
            acknowledged = Math.max(acknowledged, index);
            peer.accepted(index, 1);
          } else if (each.kind === "reject") {
            const index = Math.floor((lastIndex * each.share) / 100);
            peer.rejected(index, Math.floor(index / 2), 1);
          } else if (each.kind === "unreachable") peer.probe(peer.match + 1);
          else if (each.kind === "heartbeat") peer.repairDue = true;
          else if (each.kind === "echo") peer.echoed(lastIndex);
          expect(peer.match).toBe(acknowledged);
          expect(peer.next).toBeGreaterThan(peer.match);
          expect(peer.window.count).toBeLessThanOrEqual(4);
          if (peer.state === "probe") expect(peer.window.count).toBe(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("the window", () => {
  it("frees what is acknowledged, in order, however often it goes round its ring", () => {
    const peer = new Progress(1, window);
    peer.accepted(0, 1);
    for (let index = 1; index <= 40; index += 2) {
      peer.sent(index, 10);
      peer.sent(index + 1, 10);
      expect(peer.window.count).toBe(2);
      peer.accepted(index, 1);
      expect(peer.window.count).toBe(1);
      peer.accepted(index + 1, 1);
      expect(peer.window.count).toBe(0);
    }
  });

  it("is full by count or by bytes", () => {
    const byCount = new Progress(1, window);
    byCount.accepted(0, 1);
    for (const index of [1, 2, 3, 4]) byCount.sent(index, 0);
    expect(byCount.open).toBe(false);
    const byBytes = new Progress(1, window);
    byBytes.accepted(0, 1);
    byBytes.sent(1, 99);
    expect(byBytes.open).toBe(true);
    byBytes.sent(2, 1);
    expect(byBytes.open).toBe(false);
  });
});

describe("old answers", () => {
  it("an acknowledgement below match does not end a probe", () => {
    const peer = new Progress(10, window);
    peer.accepted(9, 1);
    peer.probe(peer.match + 1);
    peer.accepted(5, 1);
    expect(peer.state).toBe("probe");
    peer.accepted(9, 1);
    expect(peer.state).toBe("replicate");
  });

  it("a rejection of what is known to match changes nothing", () => {
    const peer = new Progress(10, window);
    peer.accepted(9, 1);
    peer.sent(12, 1);
    peer.rejected(8, 3, 1);
    expect(peer).toMatchObject({ state: "replicate", next: 13 });
  });

  it("a peer that waits for a snapshot ignores rejections and old acknowledgements", () => {
    const peer = new Progress(10, window);
    peer.rejected(9, 2, 8);
    expect(peer.state).toBe("snapshot");
    peer.rejected(0, 0, 8);
    peer.accepted(6, 8);
    expect(peer).toMatchObject({ state: "snapshot", open: false });
    peer.accepted(7, 8);
    expect(peer.state).toBe("replicate");
  });
});

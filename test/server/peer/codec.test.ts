/** Raft messages as bytes, and bytes as Raft messages. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EntryKind, Frame, ProposeRejectReason, type RaftMessage } from "../../../proto/gen/internal/raft.js";
import { dataBytes, decodeFrame, encodeFrame } from "../../../src/server/peer/codec.js";
import { FrameError } from "../../../src/server/peer/frame-data.js";
import type { Message, RejectReason } from "../../../src/server/raft/types.js";

const number = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 });
const request = { boot: number, requestId: number };
const reasons: readonly RejectReason[] = [
  "noLeader",
  "leaderChanged",
  "tooManyUncommitted",
  "tooManyUnapplied",
  "transferring",
  "changePending",
  "changeInvalid",
];

const append = fc
  .record({
    previousIndex: fc.maxSafeNat().map((index) => Math.floor(index / 2)),
    previousTerm: fc.nat({ max: 50 }),
    parts: fc.array(
      fc.record({ step: fc.nat({ max: 2 }), kind: fc.constantFrom("noop", "command", "change"), data: bytes }),
      { maxLength: 20 },
    ),
    commit: number,
    quiet: fc.constantFrom({}, { quiet: true as const }),
  })
  .map(({ previousIndex, previousTerm, parts, commit, quiet: more }) => {
    let term = previousTerm;
    const entries = parts.map(({ step, kind, data }, offset) => {
      term += step;
      return { index: previousIndex + 1 + offset, term, kind, data };
    });
    return { kind: "append" as const, previousIndex, previousTerm, entries, commit, term: term + 1, ...more };
  });

const vote = { lastIndex: number, lastTerm: number, forced: fc.boolean() };
const voteRequest = fc.record({ kind: fc.constantFrom("preVote" as const, "vote" as const), term: number, ...vote });
const reply = fc.record({
  kind: fc.constantFrom("preVoteReply" as const, "voteReply" as const),
  term: number,
  granted: fc.boolean(),
});
const committed = fc.record({ committed: fc.record({ index: number, term: number }) });
const told = fc.oneof(fc.constant({}), committed);
const body = fc.oneof(
  fc.tuple(voteRequest, told).map(([message, more]) => ({ ...message, ...more })),
  fc.tuple(reply, told).map(([message, more]) => ({ ...message, ...more })),
  fc.record({ kind: fc.constant("timeoutNow" as const), term: number }),
  append,
  fc.record({
    kind: fc.constant("appendReply" as const),
    term: number,
    rejected: fc.boolean(),
    index: number,
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({ kind: fc.constant("heartbeat" as const), term: number, commit: number, readRound: number }),
  fc.record({ kind: fc.constant("heartbeatReply" as const), term: number, readRound: number }),
  fc.record({ kind: fc.constant("readForward" as const), term: number, ...request }),
  fc.record({ kind: fc.constant("readReply" as const), term: number, ...request, index: number }),
  fc.record({
    kind: fc.constant("proposeForward" as const),
    term: number,
    ...request,
    sequence: number,
    data: bytes,
  }),
  fc.record({
    kind: fc.constant("proposeRejected" as const),
    term: number,
    ...request,
    reason: fc.constantFrom(...reasons),
  }),
);

/** A frame with one message, changed on the way. */
function forged(kind: RaftMessage["kind"], options: { readonly term?: bigint; readonly data?: Uint8Array[] } = {}) {
  const { term = 9n, data = [] } = options;
  return Frame.encode({ to: 2n, messages: [{ term, kind }], pingMs: 0, data }).finish();
}

const oneByte = new Uint8Array([1]);

type AppendValue = Extract<RaftMessage["kind"], { $case: "append" }>["value"];

function forgedAppend(change: Partial<AppendValue>, data = [oneByte]): Uint8Array {
  const value = { previousIndex: 4n, previousTerm: 5n, commit: 3n, runs: [run], quiet: false, ...change };
  return forged({ $case: "append", value }, { data });
}

const run = { term: 5n, kind: EntryKind.ENTRY_KIND_COMMAND, count: 1 };
const beyond = 2n ** 53n;

describe("a frame", () => {
  it("arrives as it was sent, whatever it holds", () => {
    fc.assert(
      fc.property(id, id, fc.array(body, { maxLength: 5 }), fc.nat(), (from, to, bodies, pingMs) => {
        const messages = bodies.map((each) => ({ ...each, from, to }));
        expect(decodeFrame(encodeFrame({ to, messages, pingMs }), from)).toEqual({ to, messages, pingMs });
      }),
    );
  });

  it("gives entries that share one exact buffer, and no view into the frame", () => {
    const entries = [3, 0, 5].map((length, offset) => ({
      index: offset + 1,
      term: 1,
      kind: "command" as const,
      data: new Uint8Array(length).fill(7),
    }));
    const message: Message = {
      kind: "append",
      from: 1n,
      to: 2n,
      term: 1,
      previousIndex: 0,
      previousTerm: 0,
      commit: 0,
      entries,
    };
    const frame = encodeFrame({ to: 2n, messages: [message], pingMs: 0 });
    const { messages } = decodeFrame(frame, 1n);
    const [decoded] = messages;
    expect(decoded?.kind).toBe("append");
    const buffers = new Set(decoded?.kind === "append" ? decoded.entries.map((entry) => entry.data.buffer) : []);
    expect([...buffers].map((buffer) => buffer.byteLength)).toEqual([8]);
    expect(dataBytes(message)).toBe(8);
    frame.fill(0);
    expect(messages).toEqual([message]);
  });

  it("gives a proposal of its own bytes", () => {
    const data = new Uint8Array(10).fill(3);
    const message: Message = {
      kind: "proposeForward",
      from: 1n,
      to: 2n,
      term: 1,
      boot: 1,
      requestId: 1,
      sequence: 1,
      data,
    };
    const [decoded] = decodeFrame(encodeFrame({ to: 2n, messages: [message], pingMs: 0 }), 1n).messages;
    expect(decoded?.kind === "proposeForward" ? decoded.data.buffer.byteLength : 0).toBe(10);
  });

  it("is what the schema says, however long its data are", () => {
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_152]) {
      const data = new Uint8Array(length).fill(9);
      const head = { from: 1n, to: 2n, term: 1, previousIndex: 0, previousTerm: 0, commit: 0 };
      const entries = [oneByte, data].map((each, offset) => {
        return { index: offset + 1, term: 1, kind: "command" as const, data: each };
      });
      const frame = Frame.decode(encodeFrame({ to: 2n, messages: [{ kind: "append", ...head, entries }], pingMs: 0 }));
      expect(frame.data.map((each) => each.length)).toEqual([1, length]);
      expect(Buffer.compare(frame.data[1] ?? oneByte, data)).toBe(0);
    }
  });

  it("cannot be made of entries with a gap", () => {
    const entries = [1, 3].map((index) => ({ index, term: 1, kind: "noop" as const, data: new Uint8Array() }));
    const head = { from: 1n, to: 2n, term: 1, previousIndex: 0, previousTerm: 0, commit: 0 };
    const frame = { to: 2n, messages: [{ kind: "append" as const, ...head, entries }], pingMs: 0 };
    expect(() => encodeFrame(frame)).toThrow("entries to be sent have a gap");
  });
});

describe("a forged frame is refused if", () => {
  it("nothing is wrong with it, it is not", () => {
    expect(decodeFrame(forgedAppend({}), 1n).messages).toMatchObject([{ kind: "append", previousIndex: 4 }]);
  });

  it.each<[string, Uint8Array]>([
    ["it is noise", new Uint8Array([255, 255, 255, 255])],
    ["it is cut short", forgedAppend({}, [new Uint8Array(40)]).subarray(0, 50)],
    ["its clock is no number", Frame.encode({ to: 2n, messages: [], pingMs: Number.NaN, data: [] }).finish()],
    ["it holds a message of no kind", forged(undefined)],
    ["its term is beyond 2^53", forged({ $case: "timeoutNow", value: {} }, { term: beyond })],
    ["a number is beyond 2^53", forged({ $case: "heartbeat", value: { commit: beyond, readRound: 0n } })],
    ["an index is beyond 2^53", forgedAppend({ previousIndex: beyond })],
    ["its last entry would be beyond 2^53", forgedAppend({ previousIndex: beyond - 1n })],
    ["it holds fewer entries than it says", forgedAppend({ runs: [{ ...run, count: 2 }] })],
    ["it holds more entries than it says", forgedAppend({}, [oneByte, oneByte])],
    ["it holds data of no message", forged({ $case: "timeoutNow", value: {} }, { data: [oneByte] })],
    [
      "it holds no data for a proposal",
      forged({ $case: "proposeForward", value: { boot: 1n, requestId: 1n, sequence: 1n } }),
    ],
    ["it holds an empty run", forgedAppend({ runs: [run, { ...run, count: 0 }] })],
    [
      "it says to hold as many entries as there are numbers",
      forgedAppend({ runs: [{ ...run, count: 4_294_967_295 }] }),
    ],
    ["an entry is of no kind", forgedAppend({ runs: [{ ...run, kind: EntryKind.ENTRY_KIND_UNSPECIFIED }] })],
    ["an entry is of an unknown kind", forgedAppend({ runs: [{ ...run, kind: 77 as EntryKind }] })],
    ["terms go backwards", forgedAppend({ runs: [{ ...run, term: 4n }] })],
    ["an entry is of a later term than the message", forgedAppend({ runs: [{ ...run, term: 10n }] })],
    [
      "a reason is unknown",
      forged({
        $case: "proposeRejected",
        value: { boot: 1n, requestId: 1n, reason: ProposeRejectReason.PROPOSE_REJECT_REASON_UNSPECIFIED },
      }),
    ],
  ])("%s", (_why, frame) => {
    expect(() => decodeFrame(frame, 1n)).toThrow(FrameError);
  });

  it("it is any bytes at all, or it is a frame", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          decodeFrame(noise, 1n);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

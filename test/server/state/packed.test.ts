/** Applied entries on their way to another thread: nothing is lost, and what nobody there waits for stays behind. */
import { join } from "node:path";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStateReader, type StateReaderHandle } from "../../../src/server/state/open-reader.js";
import { type PackedApplied, packApplied, unpackApplied } from "../../../src/server/state/packed.js";
import type { Applied } from "../../../src/server/state/types.js";
import { command } from "./commands.js";
import { del, memberId, op, put, World } from "./world.js";

let world: World;
let handle: StateReaderHandle;
beforeEach(() => {
  world = new World();
  handle = openStateReader({ dir: world.dir, file: "state-1.db" });
});
afterEach(() => {
  handle.close();
  world.close();
});

/** As another thread would get it: cloned, with the buffer handed over. */
function send(packed: PackedApplied): PackedApplied {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(packed, [packed.buffer]);
  const received = receiveMessageOnPort(port2);
  port1.close();
  expect(packed.buffer.byteLength).toBe(0);
  return received?.message as PackedApplied;
}

/** Everything about applied entries in a form that can be compared: bytes as text, and what changes replaced. */
function plain(applied: readonly Applied[]): unknown {
  const seen = applied.map((entry) => {
    const changes = entry.changes?.changes.map((change) => [change.kind, change.kv, change.previous()]);
    return { ...entry, changes: entry.changes && { ...entry.changes, changes } };
  });
  return JSON.parse(
    JSON.stringify(seen, (_key, value: unknown) => {
      if (typeof value === "bigint") return `${value}n`;
      return isBytes(value) ? Buffer.from(value).toString("latin1") : value;
    }),
  );
}

/** A Buffer has turned into what `toJSON` makes of it when a replacer sees it. */
function isBytes(value: unknown): value is Uint8Array | number[] {
  if (value instanceof Uint8Array) return true;
  const json = value as { type?: unknown; data?: unknown } | null;
  return typeof value === "object" && json?.type === "Buffer";
}

function trip(applied: readonly Applied[], own?: Parameters<typeof packApplied>[1]): readonly Applied[] {
  return unpackApplied(send(packApplied(applied, own)), handle);
}

describe("applied entries", () => {
  it("come out of another thread as they went in, whatever they hold", { timeout: 60_000 }, () => {
    const bodies = fc.sample(command, { seed: 99, numRuns: 400 });
    let changes = 0;
    for (let at = 0; at < bodies.length; at += 10) {
      const applied = world.applyBatch(bodies.slice(at, at + 10));
      expect(plain(trip(applied))).toEqual(plain(applied));
      changes += applied.reduce((sum, entry) => sum + (entry.changes?.changes.length ?? 0), 0);
    }
    expect(changes).toBeGreaterThan(100);
  });

  it("keep the empty entry of a leader, alarms, leases, failures and changes of the membership", () => {
    const noop = world.state.apply([{ index: 2, term: 1, kind: "noop", data: new Uint8Array(0) }]);
    const others = world.applyBatch([
      { $case: "leaseGrant", value: { id: -7n, ttlSeconds: 60n } },
      {
        $case: "leaseCheckpoint",
        value: { leases: [{ id: -7n, remainingSeconds: 5n }], onlyInTerm: 0n },
      },
      { $case: "alarm", value: { action: 1, memberID: 2n ** 64n - 1n, alarm: 1 } },
      { $case: "leaseRevoke", value: { id: -7n, onlyInTerm: 0n } },
      { $case: "leaseRevoke", value: { id: 9n, onlyInTerm: 0n } },
    ]);
    const added = world.change("addLearner", 5n, {
      $case: "memberAdd",
      value: { id: 5n, peerUrls: ["http://five:2380"], learner: true },
    });
    for (const applied of [noop, others, [added]]) expect(plain(trip(applied))).toEqual(plain(applied));
    expect(trip([])).toEqual([]);
  });

  it("leave the pairs behind that only somebody else's caller wants to see", () => {
    world.put("a", "former");
    const applied = world.applyBatch([
      { $case: "put", value: put("a", "1", { prevKv: true }) },
      { $case: "txn", value: { compare: [], success: [op.range("a"), op.put("a", "2")], failure: [] } },
      { $case: "deleteRange", value: del("a", "b", true) },
    ]);
    const responses = (boot: number): unknown =>
      trip(applied, { origin: memberId, boot }).map(({ result }) => result.kind === "ok" && result.response);
    expect(responses(2)).toEqual([
      { kind: "put", previous: undefined },
      { kind: "txn", response: { header: undefined, succeeded: true, responses: [] } },
      { kind: "deleteRange", deleted: 1, previous: [] },
    ]);
    expect(responses(1)).toMatchObject([
      { previous: { version: 1n } },
      { response: { responses: [{}, {}] } },
      { previous: [{ version: 3n }] },
    ]);
    // What the watchers want is there all the same.
    const foreign = trip(applied, { origin: memberId, boot: 2 });
    expect(plain(foreign.map((entry) => ({ ...entry, result: applied[0]?.result }) as Applied))).toEqual(
      plain(applied.map((entry) => ({ ...entry, result: applied[0]?.result }) as Applied)),
    );
  });

  it("do not keep a large batch alive for one small pair", () => {
    const large = world.applyBatch([
      { $case: "put", value: put("large", "x".repeat(100_000)) },
      { $case: "put", value: put("small", "1") },
    ]);
    const small = trip(large)[1]?.changes?.changes[0]?.kv;
    expect(small?.value.buffer.byteLength).toBe(1);
  });

  it("tell what they replaced although the file has moved on, until it is compacted", () => {
    world.put("a", "1");
    const [applied] = trip(world.applyBatch([{ $case: "put", value: put("a", "2") }]));
    const previous = (): string | undefined => {
      const pair = applied?.changes?.changes[0]?.previous();
      return pair && Buffer.from(pair.value).toString();
    };
    world.put("a", "3");
    world.state.exportTo(join(world.dir, "state-2.db"));
    handle.switchFile("state-2.db");
    expect(previous()).toBe("1");
    handle.switchFile("state-1.db");
    world.compact(4);
    expect(previous()).toBeUndefined();
  });
});

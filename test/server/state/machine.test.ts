/** Commands end to end: what they change, what they answer, and that failures change nothing. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { failure, op, put, text, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

describe("applying", () => {
  it("starts at revision 1 and gives the first write revision 2", () => {
    expect(world.reader.revision()).toBe(1);
    expect(world.put("a", "1")).toBe(2);
    expect(world.list("a")).toEqual(["a=1"]);
  });

  it("advances the index for the empty entry of a leader", () => {
    const [applied] = world.state.apply([{ index: 2, term: 3, kind: "noop", data: new Uint8Array(0) }]);
    expect(applied).toMatchObject({ index: 2, term: 3, request: undefined, changes: undefined });
    expect(world.reader.appliedIndex()).toBe(2);
    expect(world.reader.appliedTerm()).toBe(3);
  });

  it("advances the index for a failed command", () => {
    const applied = world.apply({ $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } });
    expect(failure(applied)).toBe(status.LeaseNotFound.message);
    expect(world.reader.appliedIndex()).toBe(2);
  });

  it("keeps what was applied over a restart", () => {
    world.put("a", "1");
    world.put("b", "2");
    world.reopen();
    expect(world.reader.revision()).toBe(3);
    expect(world.reader.appliedIndex()).toBe(3);
    expect(world.list("a", "c")).toEqual(["a=1", "b=2"]);
  });

  it("refuses an entry that does not follow the last one", () => {
    const entry = world.entry({ $case: "put", value: put("a", "1") }, 2);
    expect(() => world.state.apply([entry])).toThrow("out of order");
  });

  it("runs a transaction with one revision and headers that follow it", () => {
    const applied = world.txn({ success: [op.range("a"), op.put("a", "1"), op.put("b", "2"), op.range("a", "c")] });
    expect(applied.result.revision).toBe(2);
    expect(applied.changes?.changes.map(({ kv }) => text(kv.key))).toEqual(["a", "b"]);
  });
});

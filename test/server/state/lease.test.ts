/** Leases: granting, attaching, revoking (spec/server.md 5). */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import type { Applied } from "../../../src/server/state/types.js";
import { failure, op, text, toEnd, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

function grant(id: bigint, ttlSeconds = 60n): Applied {
  return world.apply({ $case: "leaseGrant", value: { id, ttlSeconds } });
}

function revoke(id: bigint, onlyInTerm = 0n): Applied {
  return world.apply({ $case: "leaseRevoke", value: { id, onlyInTerm } });
}

function checkpoint(leases: [id: bigint, remainingSeconds: bigint][], onlyInTerm = 0n): Applied {
  const value = { leases: leases.map(([id, remainingSeconds]) => ({ id, remainingSeconds })), onlyInTerm };
  return world.apply({ $case: "leaseCheckpoint", value });
}

function attached(id: bigint): string[] {
  return world.reader.leaseKeys(id).map(text);
}

describe("granting", () => {
  it("answers with id and TTL and takes no revision", () => {
    const applied = grant(7n, 30n);
    expect(applied.result).toEqual({
      kind: "ok",
      revision: 1,
      response: { kind: "leaseGrant", id: 7n, ttlSeconds: 30 },
    });
    expect(applied.leases).toEqual([{ kind: "granted", id: 7n, ttlSeconds: 30 }]);
    expect(world.reader.lease(7n)).toEqual({ id: 7n, ttlSeconds: 30, remainingSeconds: 0 });
  });

  it("takes every id of 64 bits, negative ones too, but not 0", () => {
    const ids = [-(2n ** 63n), -1n, 2n ** 63n - 1n];
    for (const id of ids) expect(failure(grant(id))).toBeUndefined();
    expect(failure(grant(0n))).toBe(status.LeaseNotFound.message);
    world.reopen();
    expect(world.reader.leases().map(({ id }) => id)).toEqual(ids);
  });

  it("refuses an id that exists and a TTL that is too large, the TTL first", () => {
    grant(7n);
    expect(failure(grant(7n))).toBe(status.LeaseExist.message);
    expect(failure(grant(7n, 9_000_000_001n))).toBe(status.LeaseTTLTooLarge.message);
    expect(failure(grant(8n, 9_000_000_000n))).toBeUndefined();
    expect(world.reader.lease(8n)?.ttlSeconds).toBe(9_000_000_000);
  });
});

describe("attaching", () => {
  beforeEach(() => {
    grant(7n);
    grant(-8n);
  });

  it("follows the last put", () => {
    world.put("a", "1", { lease: 7n });
    expect([attached(7n), attached(-8n)]).toEqual([["a"], []]);
    world.put("a", "1", { lease: -8n });
    expect([attached(7n), attached(-8n)]).toEqual([[], ["a"]]);
    world.put("a", "1");
    expect([attached(7n), attached(-8n)]).toEqual([[], []]);
  });

  it("survives a restart", () => {
    world.put("b", "1", { lease: 7n });
    world.put("a", "1", { lease: 7n });
    world.reopen();
    expect(attached(7n)).toEqual(["a", "b"]);
  });
});

describe("revoking", () => {
  it("deletes the keys in byte order and in one revision", () => {
    grant(7n);
    for (const key of ["b", "a", "c"]) world.put(key, "1", { lease: 7n });
    world.put("d", "1");
    const applied = revoke(7n);
    expect(applied.result).toEqual({ kind: "ok", revision: 6, response: { kind: "leaseRevoke" } });
    expect(applied.changes?.changes.map(({ kind, kv }) => `${kind} ${text(kv.key)}`)).toEqual([
      "delete a",
      "delete b",
      "delete c",
    ]);
    expect(applied.changes?.changes[0]?.previous()?.lease).toBe(7n);
    expect(applied.leases).toEqual([{ kind: "revoked", id: 7n }]);
    expect(world.list("\0", toEnd)).toEqual(["d=1"]);
    expect(world.reader.lease(7n)).toBeUndefined();
  });

  it("takes no revision if there are no keys", () => {
    grant(7n);
    expect(revoke(7n).result.revision).toBe(1);
  });

  it("fails for a lease that does not exist, or no longer", () => {
    grant(7n);
    revoke(7n);
    expect(failure(revoke(7n))).toBe(status.LeaseNotFound.message);
    expect(failure(revoke(0n))).toBe(status.LeaseNotFound.message);
  });

  it("by expiry counts only in the term it was decided in", () => {
    grant(7n);
    world.put("a", "1", { lease: 7n });
    world.term = 3;
    const stale = revoke(7n, 2n);
    expect([failure(stale), stale.leases, stale.changes]).toEqual([undefined, [], undefined]);
    expect(attached(7n)).toEqual(["a"]);
    expect(revoke(7n, 3n).leases).toEqual([{ kind: "revoked", id: 7n }]);
    expect(world.list("a")).toEqual([]);
  });

  it("makes the lease unusable for the next put of the same batch", () => {
    grant(7n);
    const request = op.put("a", "1", { lease: 7n }).request;
    if (request?.$case !== "requestPut") throw new Error("not a put");
    const [, second] = world.applyBatch([
      { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } },
      { $case: "put", value: request.value },
    ]);
    expect(second && failure(second)).toBe(status.LeaseNotFound.message);
  });
});

describe("checkpoints", () => {
  beforeEach(() => {
    grant(7n);
    grant(-8n);
  });

  it("remember what is left, over restarts and in copies, and pass over leases that are gone", () => {
    const applied = checkpoint([
      [7n, 12n],
      [99n, 5n],
      [-8n, 60n],
    ]);
    expect([applied.result, applied.leases]).toEqual([
      { kind: "ok", revision: 1, response: { kind: "none" } },
      [
        { kind: "checkpointed", id: 7n, remainingSeconds: 12 },
        { kind: "checkpointed", id: -8n, remainingSeconds: 60 },
      ],
    ]);
    const leases = [
      { id: -8n, ttlSeconds: 60, remainingSeconds: 60 },
      { id: 7n, ttlSeconds: 60, remainingSeconds: 12 },
    ];
    expect(world.reader.leases()).toEqual(leases);
    world.reopen();
    expect(world.reader.leases()).toEqual(leases);
    world.state.exportTo(`${world.dir}/state-2.db`);
    world.state.switchFile("state-2.db", () => undefined);
    expect(world.reader.lease(7n)).toEqual({ id: 7n, ttlSeconds: 60, remainingSeconds: 12 });
  });

  it("are taken back with 0, and never say more than was granted", () => {
    checkpoint([[7n, 12n]]);
    expect(checkpoint([[7n, 0n]]).leases).toEqual([{ kind: "checkpointed", id: 7n, remainingSeconds: 0 }]);
    expect(world.reader.lease(7n)?.remainingSeconds).toBe(0);
    checkpoint([[7n, 61n]]);
    expect(world.reader.lease(7n)?.remainingSeconds).toBe(60);
  });

  it("are gone with their lease: a new one of the same id has its full time", () => {
    checkpoint([[7n, 12n]]);
    revoke(7n);
    grant(7n);
    expect(world.reader.lease(7n)?.remainingSeconds).toBe(0);
  });

  it("of another term change nothing", () => {
    world.term = 3;
    const stale = checkpoint([[7n, 12n]], 2n);
    expect([failure(stale), stale.leases, world.reader.lease(7n)?.remainingSeconds]).toEqual([undefined, [], 0]);
    expect(checkpoint([[7n, 12n]], 3n).leases).toHaveLength(1);
  });

  it("go on under alarms", () => {
    for (const alarm of [1, 2] as const) {
      world.apply({ $case: "alarm", value: { action: 1, memberID: 1n, alarm } });
    }
    expect(checkpoint([[7n, 12n]]).leases).toHaveLength(1);
  });
});

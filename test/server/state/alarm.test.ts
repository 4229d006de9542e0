/** Alarms, and the cluster's knowledge of its members and versions. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AlarmRequest, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import { status } from "../../../proto/status.js";
import type { Alarm, CommandBody } from "../../../src/server/state/types.js";
import { del, failure, memberId, op, put, txn, World } from "./world.js";

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  world.close();
});

const action = { get: 0, activate: 1, deactivate: 2 } as const;
const type = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const;

function alarm(name: keyof typeof action, memberID: bigint, alarmType: AlarmType): readonly Alarm[] {
  const value = { action: action[name], memberID, alarm: alarmType };
  return world.ok<"alarm">({ $case: "alarm", value }).alarms;
}

const noSpace: Alarm = { memberId: 5n, type: "NOSPACE" };
const corrupt: Alarm = { memberId: 2n ** 64n - 1n, type: "CORRUPT" };

describe("alarms", () => {
  it("are raised once, listed by type, and dropped for exactly their member", () => {
    expect(alarm("activate", 5n, type.NOSPACE)).toEqual([noSpace]);
    expect(alarm("activate", 5n, type.NOSPACE)).toEqual([noSpace]);
    expect(alarm("activate", 2n ** 64n - 1n, type.CORRUPT)).toEqual([corrupt]);
    expect(alarm("get", 0n, type.NONE)).toEqual([noSpace, corrupt]);
    expect(alarm("get", 0n, type.CORRUPT)).toEqual([corrupt]);
    expect(alarm("deactivate", 0n, type.NOSPACE)).toEqual([]);
    expect(alarm("deactivate", 5n, type.NONE)).toEqual([]);
    expect(alarm("deactivate", 5n, type.NOSPACE)).toEqual([noSpace]);
    expect(world.reader.alarms()).toEqual([corrupt]);
  });

  it("of no type are not raised", () => {
    expect(alarm("activate", 5n, type.NONE)).toEqual([]);
    expect(world.reader.alarms()).toEqual([]);
  });

  it("survive a restart", () => {
    alarm("activate", 5n, type.NOSPACE);
    world.reopen();
    expect(world.reader.alarms()).toEqual([noSpace]);
    expect(failure(world.apply({ $case: "put", value: put("a", "1") }))).toBe(status.NoSpace.message);
  });

  it("with an action that does not exist fail instead of ending the process", () => {
    const value = { action: 9, memberID: 0n, alarm: 0 } as unknown as AlarmRequest;
    expect(failure(world.apply({ $case: "alarm", value }))).toBe(status.UnknownMethod.message);
  });
});

const bodies: Readonly<Record<string, CommandBody>> = {
  put: { $case: "put", value: put("b", "1") },
  deletion: { $case: "deleteRange", value: del("a") },
  grant: { $case: "leaseGrant", value: { id: 8n, ttlSeconds: 5n } },
  revocation: { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } },
  compaction: { $case: "compact", value: { revision: 2n, physical: false } },
  "txn with a put": { $case: "txn", value: txn({ success: [op.put("b", "1")] }) },
  "txn with a put in the other branch": { $case: "txn", value: txn({ failure: [op.put("b", "1")] }) },
  "txn with a nested put": {
    $case: "txn",
    value: txn({ success: [op.txn({ failure: [op.txn({ success: [op.put("b", "1")] })] })] }),
  },
  "txn that only deletes": { $case: "txn", value: txn({ success: [op.del("a"), op.range("a")] }) },
  "cluster version": { $case: "clusterVersionSet", value: { version: "3.7.0" } },
};

describe("while an alarm is active", () => {
  beforeEach(() => {
    world.put("a", "1");
    world.grant(7n);
  });

  it.each([
    ["put", true, true],
    ["grant", true, true],
    ["txn with a put", true, true],
    ["txn with a put in the other branch", true, true],
    ["txn with a nested put", true, true],
    ["txn that only deletes", false, true],
    ["deletion", false, true],
    ["revocation", false, true],
    ["compaction", false, true],
    ["cluster version", false, false],
  ])("%s: refused for want of space %s, for corruption %s", (name, byNoSpace, byCorrupt) => {
    const body = bodies[name] as CommandBody;
    alarm("activate", memberId, type.CORRUPT);
    alarm("activate", memberId, type.NOSPACE);
    expect(failure(world.apply(body))).toBe(byCorrupt ? status.Corrupt.message : undefined);
    alarm("deactivate", memberId, type.CORRUPT);
    const applied = world.apply(body);
    if (byNoSpace) expect(failure(applied)).toBe(status.NoSpace.message);
    else expect(failure(applied)).not.toBe(status.NoSpace.message);
  });
});

describe("the cluster", () => {
  it("starts with the members of its bootstrap, who publish name and client URLs", () => {
    const value = { id: memberId, name: "infra1", clientUrls: ["http://localhost:2379"] };
    world.ok({ $case: "memberPublish", value });
    world.reopen({ bootstrap: undefined });
    expect(world.reader.members()).toEqual([
      {
        id: memberId,
        name: "infra1",
        peerUrls: ["http://localhost:2380"],
        clientUrls: ["http://localhost:2379"],
        learner: false,
      },
    ]);
  });

  it("does not know a member that publishes under another id", () => {
    const value = { id: 1n, name: "x", clientUrls: [] };
    expect(failure(world.apply({ $case: "memberPublish", value }))).toBe(status.MemberNotFound.message);
  });

  it("remembers its version", () => {
    expect(world.reader.clusterVersion()).toBeUndefined();
    world.ok({ $case: "clusterVersionSet", value: { version: "3.7.0" } });
    world.reopen();
    expect(world.reader.clusterVersion()).toBe("3.7.0");
  });

  it("remembers a downgrade until it is canceled, and allows one at a time", () => {
    const downgrade = (name: 0 | 1 | 2, version: string): string | undefined =>
      failure(world.apply({ $case: "downgrade", value: { action: name, version } }));
    expect(downgrade(1, "3.6.0")).toBeUndefined();
    expect(world.reader.downgradeTarget()).toBe("3.6.0");
    expect(downgrade(1, "3.6.0")).toBe(status.DowngradeInProcess.message);
    expect(downgrade(2, "")).toBeUndefined();
    expect(downgrade(0, "3.6.0")).toBeUndefined();
    expect(world.reader.downgradeTarget()).toBeUndefined();
  });
});

/** The Maintenance service over a real state. */
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { AlarmRequest_AlarmAction as Action, AlarmType, type DowngradeResponse } from "../../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../../proto/status.js";
import { all, like, next, put } from "./wire.js";
import { type ApiWorld, clusterId, memberId, worlds } from "./world.js";

const world = worlds(afterEach);

async function setClusterVersion({ replica }: ApiWorld, version = "3.7.0"): Promise<void> {
  await replica.propose({ $case: "clusterVersionSet", value: { version } });
}

describe("status", () => {
  it("tells versions, sizes, indexes and the leader", async () => {
    const { services, context, state } = world();
    await services.kv.put(put("a"), context());
    const { allocatedBytes, inUseBytes } = state.reader.size();
    expect(await services.maintenance.status({}, context())).toEqual({
      header: { clusterId, memberId, revision: 2n, raftTerm: 2n },
      version: "3.7.0",
      dbSize: BigInt(allocatedBytes),
      leader: memberId,
      raftIndex: 3n,
      raftTerm: 2n,
      raftAppliedIndex: 2n,
      errors: [],
      dbSizeInUse: BigInt(inUseBytes),
      isLearner: false,
      storageVersion: "3.7.0",
      dbSizeQuota: 2_147_483_648n,
      downgradeInfo: { enabled: false, targetVersion: "" },
    });
  });

  it("names what is wrong: no leader, then each alarm in text form", async () => {
    const { services, context, replica } = world();
    replica.statusNow = { leader: undefined };
    for (const [memberID, alarm] of [
      [7n, AlarmType.NOSPACE],
      [0n, AlarmType.CORRUPT],
    ] as const) {
      await services.maintenance.alarm({ action: Action.ACTIVATE, memberID, alarm }, context());
    }
    const { errors, leader } = await services.maintenance.status({}, context());
    expect(leader).toBe(0n);
    expect(errors[0]).toBe("etcdserver: no leader");
    expect(errors.slice(1).toSorted()).toEqual(["alarm:CORRUPT", "memberID:7 alarm:NOSPACE"]);
  });

  it("needs no leader, no barrier and no proposal", async () => {
    const { services, context, replica } = world();
    replica.refusal = status.Timeout;
    await services.maintenance.status({}, context());
  });
});

describe("alarms", () => {
  it("go through the log, also to be read", async () => {
    const { services, context, replica } = world();
    const on = { action: Action.ACTIVATE, memberID: 7n, alarm: AlarmType.NOSPACE };
    const get = { action: Action.GET, memberID: 99n, alarm: AlarmType.NONE };
    const alarms = [{ memberID: 7n, alarm: AlarmType.NOSPACE }];
    expect((await services.maintenance.alarm(on, context())).alarms).toEqual(alarms);
    expect((await services.maintenance.alarm(get, context())).alarms).toEqual(alarms);
    expect((await services.maintenance.alarm({ ...on, action: Action.DEACTIVATE }, context())).alarms).toEqual(alarms);
    expect((await services.maintenance.alarm(get, context())).alarms).toEqual([]);
    expect(replica.proposed).toHaveLength(4);
  });

  it("with values that the API does not name never reach the log", async () => {
    const { services, context, replica } = world();
    for (const odd of [
      { action: 9 as never, alarm: AlarmType.NOSPACE },
      { action: -1 as never, alarm: AlarmType.NOSPACE },
      { action: Action.ACTIVATE, alarm: 9 as never },
    ]) {
      const call = services.maintenance.alarm({ memberID: 1n, ...odd }, context());
      await expect(call).rejects.toMatchObject({ code: Code.INVALID_ARGUMENT });
    }
    expect(replica.proposed).toEqual([]);
  });
});

describe("hashes", () => {
  it("of a revision come with the revision that was hashed and the current one", async () => {
    const { services, context } = world();
    for (let n = 0; n < 3; n += 1) await services.kv.put(put("a"), context());
    const at = (revision: bigint) => services.maintenance.hashKv({ revision }, context());
    expect(await at(3n)).toMatchObject({ header: { revision: 4n }, compactRevision: -1n, hashRevision: 3n });
    expect((await at(0n)).hash).toBe((await at(4n)).hash);
    expect((await at(3n)).hash).not.toBe((await at(4n)).hash);
    await expect(at(5n)).rejects.toMatchObject(like(status.FutureRev));
    await expect(at(2n ** 63n - 1n)).rejects.toMatchObject(like(status.FutureRev));
    await expect(at(-1n)).rejects.toMatchObject(like(status.Compacted));
    await services.kv.compact({ revision: 3n, physical: false }, context());
    await expect(at(2n)).rejects.toMatchObject(like(status.Compacted));
  });

  it("of everything move with the state", async () => {
    const { services, context } = world();
    const before = await services.maintenance.hash({}, context());
    await services.kv.put(put("a"), context());
    const after = await services.maintenance.hash({}, context());
    expect(after.header?.revision).toBe(2n);
    expect(after.hash).not.toBe(before.hash);
  });
});

describe("a snapshot", () => {
  it("is blobs of 32 KiB, what remains after each, and their SHA-256 at the end; the file is gone", async () => {
    const { services, context, dir } = world();
    await services.kv.put(put("a", "x".repeat(100_000)), context());
    const messages = await all(services.maintenance.snapshot({}, context()));
    const blobs = messages.slice(0, -1);
    const size = blobs.reduce((sum, { blob }) => sum + blob.length, 0);
    let left = size;
    for (const { blob, remainingBytes, version, header } of blobs) {
      left -= blob.length;
      expect([remainingBytes, version, header]).toEqual([BigInt(left), "3.7.0", undefined]);
    }
    for (const { blob } of blobs.slice(0, -1)) expect(blob.length).toBe(32_768);
    const digest = createHash("sha256");
    for (const { blob } of blobs) digest.update(blob);
    expect(messages.at(-1)).toEqual({
      header: undefined,
      remainingBytes: 0n,
      blob: digest.digest(),
      version: "3.7.0",
    });
    expect(Buffer.from(blobs[0]?.blob.subarray(0, 15) ?? []).toString()).toBe("SQLite format 3");
    expect(existsSync(join(dir, "snapshot.db"))).toBe(false);
  });

  it("leaves no file behind when its caller goes", async () => {
    const { services, context, dir } = world();
    await services.kv.put(put("a", "x".repeat(100_000)), context());
    const abort = new AbortController();
    const stream = services.maintenance.snapshot({}, context(abort.signal))[Symbol.asyncIterator]();
    await next(stream);
    expect(existsSync(join(dir, "snapshot.db"))).toBe(true);
    abort.abort();
    await expect(stream.next()).rejects.toMatchObject(like(status.Canceled));
    expect(existsSync(join(dir, "snapshot.db"))).toBe(false);
  });

  it("stops rather than end short", async () => {
    const { services, context, replica, dir } = world();
    replica.maintenance.exportSnapshot = async () => {
      const path = join(dir, "short.db");
      writeFileSync(path, "short");
      return { path, sizeBytes: 50 };
    };
    await expect(all(services.maintenance.snapshot({}, context()))).rejects.toThrow(/as long as/);
  });
});

describe("defragment and move leader", () => {
  it("answer without a header", async () => {
    const { services, context, replica } = world();
    expect(await services.maintenance.defragment({}, context())).toEqual({ header: undefined });
    expect(replica.defragmented).toBe(1);
    expect(await services.maintenance.moveLeader({ targetID: 5n }, context())).toEqual({ header: undefined });
    expect(replica.changes).toEqual(["transfer 5"]);
  });

  it("fail as the replica says", async () => {
    const { services, context, replica } = world();
    replica.refusal = status.BadLeaderTransferee;
    const move = services.maintenance.moveLeader({ targetID: 9n }, context());
    await expect(move).rejects.toMatchObject(like(status.BadLeaderTransferee));
  });
});

function ask({ services, context }: ApiWorld, action: number, version = ""): Promise<DowngradeResponse> {
  return services.maintenance.downgrade({ action: action as never, version }, context());
}

describe("downgrade", () => {
  it("validates the form, then that it is one minor version back", async () => {
    const one = world();
    await setClusterVersion(one);
    for (const version of ["3.6", "3.6.0", "3.6.5-rc.1"]) expect((await ask(one, 0, version)).version).toBe("3.7");
    for (const version of ["", "3", "xyz", "3.6.", "v3.6"]) {
      await expect(ask(one, 0, version)).rejects.toMatchObject(like(status.WrongDowngradeVersionFormat));
    }
    for (const version of ["3.5", "3.7", "3.8", "2.6"]) {
      await expect(ask(one, 0, version)).rejects.toMatchObject(like(status.InvalidDowngradeTargetVersion));
    }
  });

  it("needs a cluster version", async () => {
    await expect(ask(world(), 0, "3.6")).rejects.toMatchObject(like(status.ClusterVersionUnavailable));
  });

  it("enables one job at a time, which status shows, and cancels it, also if there is none", async () => {
    const one = world();
    await setClusterVersion(one);
    expect((await ask(one, 2)).version).toBe("3.7");
    expect((await ask(one, 1, "3.6")).version).toBe("3.7");
    const shown = await one.services.maintenance.status({}, one.context());
    expect(shown.downgradeInfo).toEqual({ enabled: true, targetVersion: "3.6.0" });
    for (const action of [0, 1]) {
      await expect(ask(one, action, "3.6")).rejects.toMatchObject(like(status.DowngradeInProcess));
    }
    await ask(one, 2);
    expect((await one.services.maintenance.status({}, one.context())).downgradeInfo?.enabled).toBe(false);
  });

  it("knows no other action", async () => {
    await expect(ask(world(), 9)).rejects.toMatchObject(like(status.UnknownMethod));
  });
});

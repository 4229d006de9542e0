/** Conformance: status, defragmentation, snapshot, leader transfer and downgrade on one member. */

import { createHash } from "node:crypto";
import { expect } from "vitest";
import { DowngradeRequest_DowngradeAction as Action, type SnapshotResponse } from "../../proto/gen/etcd/rpc.js";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { headerOf } from "./words.js";

const QUOTA_DEFAULT = 2n * 1024n ** 3n;
const BLOB_BYTES = 32_768;

conformance("Status", (test) => {
  test("version is plain x.y.z", async (t) => {
    const { version } = await t.client.status();
    expect(version).toMatch(t.target.isEtcd35 ? /^3\.5\.\d+$/ : /^3\.7\.\d+$/);
  });

  test("the only member leads, and the raft numbers fit together", async (t) => {
    await t.put("a");
    const response = await t.client.status();
    const header = headerOf(response);
    expect(response.leader).toBe(header.memberId);
    expect(response.raftTerm).toBe(header.raftTerm);
    expect(response.raftTerm).toBeGreaterThan(0n);
    expect(response.raftAppliedIndex).toBeGreaterThan(0n);
    expect(response.raftIndex).toBeGreaterThanOrEqual(response.raftAppliedIndex);
    expect(response.isLearner).toBe(false);
    expect(response.errors).toEqual([]);
    expect(t.since(header.revision)).toBe(1);
  });

  test("the applied index grows with each write and not with reads", async (t) => {
    const before = (await t.client.status()).raftAppliedIndex;
    await t.putAll("a", "b");
    const after = (await t.client.status()).raftAppliedIndex;
    expect(after - before).toBe(2n);
    await t.list();
    expect((await t.client.status()).raftAppliedIndex).toBe(after);
  });

  test("sizes: what is in use is part of what is allocated", async (t) => {
    await t.put("a", "x".repeat(100_000));
    const { dbSize, dbSizeInUse } = await t.client.status();
    expect(dbSizeInUse).toBeGreaterThan(0n);
    expect(dbSize).toBeGreaterThanOrEqual(dbSizeInUse);
  });

  test("the allocated size grows with the data", async (t) => {
    const before = (await t.client.status()).dbSize;
    for (let index = 0; index < 8; index += 1) await t.put(`k${index}`, "x".repeat(1_000_000));
    await t.eventually(async () => {
      expect((await t.client.status()).dbSize - before).toBeGreaterThan(4_000_000n);
    });
  });

  test("the fields that came with 3.6", async (t) => {
    const { storageVersion, dbSizeQuota, downgradeInfo } = await t.client.status();
    expect({ storageVersion, dbSizeQuota, downgradeInfo }).toEqual(
      t.differs({
        etcd35: { storageVersion: "", dbSizeQuota: 0n, downgradeInfo: undefined },
        ours: {
          storageVersion: expect.stringMatching(/^3\.7\.0$/),
          dbSizeQuota: QUOTA_DEFAULT,
          downgradeInfo: { enabled: false, targetVersion: "" },
        },
        why: "3.5 does not have these fields",
      }),
    );
  });

  test(
    "the quota is the one that was asked for",
    async (t) => {
      expect((await t.client.status()).dbSizeQuota).toBe(123_456_789n);
    },
    { fresh: { "quota-backend-bytes": "123456789" }, oursOnly: "the field came with 3.6" },
  );
});

conformance("Defragment", (test) => {
  test("answers without a header and keeps the data", async (t) => {
    await t.putAll("a", "b", "c");
    await t.del("b");
    const response = await t.client.defragment();
    expect(response.header).toBeUndefined();
    expect(t.names((await t.list()).kvs)).toEqual(["a", "c"]);
    expect((await t.list({ revision: t.base + 3n })).count).toBe(3n);
    expect(await t.revision()).toBe(t.base + 4n);
  });

  test(
    "gives space back after a compaction",
    async (t) => {
      for (let index = 0; index < 8; index += 1) await t.put("a", "x".repeat(1_000_000));
      await t.client.compact({ revision: await t.revision(), physical: true });
      const before = (await t.client.status()).dbSize;
      await t.client.defragment();
      expect(before - (await t.client.status()).dbSize).toBeGreaterThan(4_000_000n);
      expect(t.facts((await t.get("a")).kvs[0])?.version).toBe(8);
    },
    { fresh: true },
  );

  test("leases and watchers live through it", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    const watch = await t.watch();
    await t.client.defragment();
    await t.client.leaseRevoke({ ID: lease });
    expect(t.eventWords(await watch.events(1))).toEqual(["delete a @2"]);
  });

  test("concurrent writes all arrive", async (t) => {
    const puts = Array.from({ length: 50 }, (_, index) => t.put(`k${index}`));
    await Promise.all([t.client.defragment(), ...puts]);
    expect((await t.list()).count).toBe(50n);
  });
});

async function takeSnapshot(t: Context): Promise<SnapshotResponse[]> {
  const { messages, end } = await t.client.snapshot().drain();
  expect(end.code).toBe(Code.OK);
  return messages;
}

conformance("Snapshot", (test) => {
  test("the last message is the SHA-256 of all blobs before it", async (t) => {
    await t.put("a", "x".repeat(200_000));
    const messages = await takeSnapshot(t);
    const sum = createHash("sha256");
    for (const { blob } of messages.slice(0, -1)) sum.update(blob);
    const last = messages.at(-1);
    expect(Buffer.from(last?.blob ?? []).toString("hex")).toBe(sum.digest("hex"));
    expect(last?.remainingBytes).toBe(0n);
  });

  test("blobs are of 32768 bytes, only the last may be shorter", async (t) => {
    const blobs = (await takeSnapshot(t)).slice(0, -1).map(({ blob }) => blob.length);
    expect(blobs.length).toBeGreaterThan(0);
    expect(blobs.slice(0, -1).every((size) => size === BLOB_BYTES)).toBe(true);
    expect(blobs.at(-1)).toBeLessThanOrEqual(BLOB_BYTES);
  });

  test("remaining_bytes counts down to 0 with the last blob", async (t) => {
    const messages = (await takeSnapshot(t)).slice(0, -1);
    const total = messages.reduce((sum, { blob }) => sum + blob.length, 0);
    let left = BigInt(total);
    for (const { blob, remainingBytes } of messages) {
      left -= BigInt(blob.length);
      expect(remainingBytes).toBe(left);
    }
    expect(left).toBe(0n);
  });

  test("there is no header", async (t) => {
    const messages = await takeSnapshot(t);
    expect(messages.every(({ header }) => header === undefined)).toBe(true);
  });

  test("version names the storage version", async (t) => {
    const versions = new Set((await takeSnapshot(t)).map(({ version }) => version));
    const why = "the field came with 3.6";
    expect(versions).toEqual(new Set([t.differs({ etcd35: "", ours: "3.7.0", why })]));
  });

  test("writes go on while it is read", async (t) => {
    await t.put("a", "x".repeat(1_000_000));
    const stream = t.client.snapshot();
    await stream.next();
    await t.put("b");
    expect((await stream.ended()).code).toBe(Code.OK);
    expect((await t.list()).count).toBe(2n);
  });

  test("a reader that goes away harms nothing", async (t) => {
    await t.put("a", "x".repeat(1_000_000));
    const stream = t.client.snapshot();
    await stream.next();
    stream.cancel();
    expect((await stream.ended()).code).toBe(Code.CANCELLED);
    await t.put("b");
    expect((await takeSnapshot(t)).length).toBeGreaterThan(1);
  });
});

conformance("Move leader", (test) => {
  test("to the leader itself is fine, without a header", async (t) => {
    const { leader, raftTerm } = await t.client.status();
    const response = await t.client.moveLeader({ targetID: leader });
    expect(response.header).toBeUndefined();
    expect(await t.client.status()).toMatchObject({ leader, raftTerm });
  });

  for (const targetID of [0n, 12345n]) {
    test(`to ${targetID}, who is no member, is refused`, async (t) => {
      await t.rejects(t.client.moveLeader({ targetID }), status.BadLeaderTransferee);
    });
  }
});

/** The version one minor below the cluster's own. */
function oneBelow(t: Context): string {
  return t.differs({ etcd35: "3.4", ours: "3.6", why: "each may go one minor version back" });
}

function clusterVersion(t: Context): string {
  return t.differs({ etcd35: "3.5.0", ours: "3.7", why: "3.5 answers with the full version, 3.6 and later with M.m" });
}

conformance("Downgrade", (test) => {
  test("to one minor below is valid", async (t) => {
    await t.eventually(async () => {
      const response = await t.client.downgrade({ action: Action.VALIDATE, version: oneBelow(t) });
      expect(response.version).toBe(clusterVersion(t));
      expect(headerOf(response).revision).toBe(t.base);
    });
  });

  test("a full version is taken as well", async (t) => {
    const { version } = await t.client.downgrade({ action: Action.VALIDATE, version: `${oneBelow(t)}.0` });
    expect(version).toBe(clusterVersion(t));
  });

  for (const version of ["xyz", "3.x", "3.4.5.6"]) {
    test(`the version "${version}" has the wrong format`, async (t) => {
      await t.rejects(t.client.downgrade({ action: Action.VALIDATE, version }), status.WrongDowngradeVersionFormat);
    });
  }

  for (const version of ["3.1", "3.9", "2.4", "4.6"]) {
    test(`to ${version} is refused`, async (t) => {
      await t.rejects(t.client.downgrade({ action: Action.VALIDATE, version }), status.InvalidDowngradeTargetVersion);
    });
  }

  test("to the version it has is refused", async (t) => {
    const version = t.differs({ etcd35: "3.5", ours: "3.7", why: "the level of each" });
    await t.rejects(t.client.downgrade({ action: Action.VALIDATE, version }), status.InvalidDowngradeTargetVersion);
  });

  test("a cancel with no job", async (t) => {
    const call = t.client.downgrade({ action: Action.CANCEL });
    if (t.target.isEtcd35)
      await t.rejects(call, status.NoInflightDowngrade); // 3.6 and later answer OK
    else expect((await call).version).toBe(clusterVersion(t));
  });

  test("an unknown action is refused with code UNKNOWN", async (t) => {
    await t.rejects(t.client.downgrade({ action: 9 as never, version: "3.4" }), status.UnknownMethod);
  });

  test(
    "enable starts a job that status shows, a second is refused, cancel ends it",
    async (t) => {
      const version = oneBelow(t);
      expect((await t.client.downgrade({ action: Action.ENABLE, version })).version).toBe(clusterVersion(t));
      expect((await t.client.status()).downgradeInfo).toEqual({ enabled: true, targetVersion: `${version}.0` });
      await t.rejects(t.client.downgrade({ action: Action.ENABLE, version }), status.DowngradeInProcess);
      await t.rejects(t.client.downgrade({ action: Action.VALIDATE, version }), status.DowngradeInProcess);
      await t.client.downgrade({ action: Action.CANCEL });
      expect((await t.client.status()).downgradeInfo).toEqual({ enabled: false, targetVersion: "" });
    },
    { fresh: true, oursOnly: "3.5.30 does it, yet answers that the request timed out after 7 s" },
  );
});

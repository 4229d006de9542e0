/** Running a cluster: members, alarms, hashes, downgrades, and servers that are too old. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TransportError } from "../../src/client/connection/transport.js";
import { createClient, type EtcdClient, type Transport, UnsupportedError } from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const peer = (port: number): string[] => [`http://127.0.0.1:${port}`];

describe.each(targets)("admin", (target) => {
  describe.skipIf(skips(target))(blockName("admin", target), () => {
    let server: RealEtcd;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--quota-backend-bytes=33554432"] });
      client = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });

    it("adds, moves, refuses to promote and removes a learner", async () => {
      const [self] = await client.cluster.members();
      const learner = await client.cluster.addLearner(peer(1));
      expect(learner).toMatchObject({ name: "", peerUrls: peer(1), clientUrls: [], learner: true });
      const moved = await client.cluster.update(learner.id, peer(2));
      expect(moved.find(({ id }) => id === learner.id)?.peerUrls).toEqual(peer(2));
      await expect(client.cluster.promote(learner.id)).rejects.toMatchObject({
        code: "LearnerNotReady",
        outcome: "not-applied",
      });
      expect(await client.cluster.members()).toHaveLength(2);
      expect(await client.cluster.remove(learner.id)).toEqual([self]);
      expect(await client.cluster.members({ consistency: "serializable" })).toEqual([self]);
      const unknown = { code: "MemberNotFound" };
      await expect(client.cluster.remove(1n)).rejects.toMatchObject(unknown);
      await expect(client.cluster.update(1n, peer(3))).rejects.toMatchObject(unknown);
      await expect(client.cluster.promote(1n)).rejects.toMatchObject(unknown);
    });

    it("adds a voter, which counts at once", async () => {
      await using lone = await target.start();
      await using there = createClient({ endpoints: lone.endpoint });
      expect(await there.cluster.add(peer(1))).toMatchObject({ peerUrls: peer(1), learner: false });
      expect(await there.cluster.members({ consistency: "serializable" })).toHaveLength(2);
      const put = there.put("no-quorum", "1", { timeoutMs: 400 });
      await expect(put).rejects.toMatchObject({ name: "EtcdError" });
    });

    it("reports and disarms the alarm of a member that has no space left", async () => {
      await using full = await target.start({ flags: ["--quota-backend-bytes=2097152"] });
      await using there = createClient({ endpoints: full.endpoint });
      const value = "x".repeat(1024 * 1024);
      const fill = async (): Promise<void> => {
        for (let index = 0; index < 20; index++) await there.put(`fill/${index}`, value);
      };
      await expect(fill()).rejects.toMatchObject({ code: "NoSpace", outcome: "not-applied", retryable: false });
      const { header } = await there.maintenance.status();
      const alarm = { memberId: header.memberId, alarm: "nospace" as const };
      expect(await there.maintenance.alarms()).toEqual([alarm]);
      const other = { memberId: header.memberId, alarm: "corrupt" as const };
      expect(await there.maintenance.disarm([other, alarm])).toEqual([alarm]);
      expect(await there.maintenance.alarms()).toEqual([]);
    });

    it("hashes the whole database and the keys of a revision", async () => {
      const { header } = await client.put("hashed", "1");
      const { hash } = await client.maintenance.hash();
      expect(Number.isInteger(hash)).toBe(true);
      const keys = await client.maintenance.hashKv({ revision: header.revision });
      await client.put("hashed", "2");
      expect(await client.maintenance.hashKv({ revision: header.revision })).toMatchObject({ hash: keys.hash });
      expect((await client.maintenance.hashKv()).hash).not.toBe(keys.hash);
      await expect(client.maintenance.hashKv({ revision: 10n ** 9n })).rejects.toMatchObject({ code: "FutureRev" });
    });

    it("validates, enables, shows and cancels a downgrade", async () => {
      const { downgrade } = client.maintenance;
      const { version } = await client.maintenance.status();
      const [major = 0, minor = 0] = version.split(".").map(Number);
      const [current, previous] = [`${major}.${minor}`, `${major}.${minor - 1}`];
      const tooFar = downgrade.validate(`${major}.${minor - 2}`);
      await expect(tooFar).rejects.toMatchObject({ code: "InvalidDowngradeTargetVersion" });
      await expect(downgrade.validate("old")).rejects.toMatchObject({ code: "WrongDowngradeVersionFormat" });
      expect((await downgrade.validate(previous)).startsWith(current)).toBe(true);
      if (minor < 6) {
        // These servers do it and then answer nothing until they time out.
        await expect(downgrade.cancel()).rejects.toMatchObject({ code: "NoInflightDowngrade" });
        return;
      }
      expect(await downgrade.enable(previous)).toBe(current);
      expect((await client.maintenance.status()).downgradeTo?.startsWith(previous)).toBe(true);
      expect(await downgrade.cancel()).toBe(current);
      expect((await client.maintenance.status()).downgradeTo).toBeUndefined();
    });

    it("says of a method that this server lacks which one it is", async () => {
      const { version } = await client.maintenance.status();
      const read = async (): Promise<number> => {
        let count = 0;
        for await (const { rangeResponse } of client.raw.kv.rangeStream({ key: new TextEncoder().encode("hashed") })) {
          count += rangeResponse?.kvs.length ?? 0;
        }
        return count;
      };
      if (!version.startsWith("3.5.")) return expect(await read()).toBe(1);
      return expect(read()).rejects.toMatchObject({ method: "/etcdserverpb.KV/RangeStream" });
    });
  });
});

describe("a server from before a method", () => {
  it("is an UnsupportedError, not applied, after one attempt", async () => {
    const refusal = new TransportError("unknown method AuthStatus", { grpcStatus: 12, sent: true });
    const unary = (): Promise<never> => Promise.reject(refusal);
    const connection = { isReady: () => true, ready: () => Promise.resolve(), unary, close: () => {} };
    const transport = { connect: () => connection } as unknown as Transport;
    await using client = createClient({ endpoints: "old", transport });
    const failure: unknown = await client.auth.status().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnsupportedError);
    expect(failure).toMatchObject({
      code: "Unsupported",
      method: "/etcdserverpb.Auth/AuthStatus",
      outcome: "not-applied",
      attempts: 1,
      retryable: false,
    });
  });
});

/** Three members: leaders that die and move, watches that change members, writes without a quorum. */
import { beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, isEtcdError } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

/** Puts that a member has proposed for its clients. */
async function putCount(member: RealEtcd): Promise<number> {
  const text = await (await fetch(`${member.endpoint}/metrics`)).text();
  const pattern = /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Put".*\} (\d+)/m;
  return Number(pattern.exec(text)?.[1] ?? 0);
}

describe.each(targets)("three members", (target) => {
  describe.skipIf(skips(target))(blockName("three members", target), { timeout: 40_000 }, () => {
    let members: RealEtcd[];
    let client: EtcdClient;
    beforeEach(async () => {
      members = await target.startCluster(3);
      client = createClient({ endpoints: members.map((member) => member.endpoint) });
      return async () => {
        await client.close();
        await Promise.all(members.map((member) => member.stop()));
      };
    });

    /** The members, the leader first, with their ids. */
    const leaderFirst = async (): Promise<{ member: RealEtcd; id: bigint }[]> => {
      const found: { member: RealEtcd; id: bigint; leads: boolean }[] = [];
      for (const member of members) {
        const { header, leader } = await client.maintenance.status({ target: { endpoint: member.endpoint } });
        found.push({ member, id: header.memberId, leads: leader === header.memberId });
      }
      return found.toSorted((a, b) => Number(b.leads) - Number(a.leads));
    };

    it("sends writes to the leader, before and after it moves", async () => {
      const [leader, next] = await leaderFirst();
      if (leader === undefined || next === undefined) throw new Error("there are three members");
      const write = async (count: number): Promise<void> => {
        for (let index = 0; index < count; index++) await client.put("routed", String(index));
      };
      await write(20);
      await expect
        .poll(async () => (await client.maintenance.status({ target: "leader" })).header.memberId)
        .toBe(leader.id);
      const before = await putCount(leader.member);
      await write(300);
      expect((await putCount(leader.member)) - before).toBeGreaterThanOrEqual(297);

      await client.maintenance.moveLeader(next.id);
      await expect
        .poll(
          async () => {
            const count = await putCount(next.member);
            await write(10);
            return (await putCount(next.member)) - count;
          },
          { timeout: 2_000 },
        )
        .toBe(10);
    });

    it("keeps acknowledged writes, applies none twice, and goes on soon after the leader is killed", async () => {
      const [leader] = await leaderFirst();
      const acknowledged: string[] = [];
      const unknown: string[] = [];
      let gapMs = 0;
      for (let index = 0; index < 400; index++) {
        const key = `load/${String(index).padStart(4, "0")}`;
        if (index === 100) await leader?.member.kill();
        const startMs = performance.now();
        try {
          await client.put(key, "1");
          acknowledged.push(key);
        } catch (error) {
          if (!isEtcdError(error)) throw error;
          if (error.outcome === "unknown") unknown.push(key);
        }
        gapMs = Math.max(gapMs, performance.now() - startMs);
      }
      const { kvs } = await client.list({ prefix: "load/" });
      expect(kvs.map((kv) => kv.key)).toEqual(expect.arrayContaining(acknowledged));
      expect(kvs.filter((kv) => kv.version !== 1)).toEqual([]);
      const surplus = kvs.filter((kv) => !acknowledged.includes(kv.key) && !unknown.includes(kv.key));
      expect(surplus).toEqual([]);
      expect(acknowledged.length).toBeGreaterThan(390);
      expect(gapMs).toBeLessThan(3_500);
    });

    it("moves a watch to another member when its own is killed, and loses and repeats nothing", async () => {
      const proxies: TcpProxy[] = [];
      for (const member of members) proxies.push(await startTcpProxy(member.endpoint));
      await using watcher = createClient({ endpoints: proxies.map((proxy) => proxy.endpoint) });
      await using watch = watcher.watch({ prefix: "moved/" });
      const first = await watch.started;
      const served = members.filter((_, index) => (proxies[index]?.connectionCount ?? 0) > 0);
      const revisions: bigint[] = [];
      const reading = (async () => {
        for await (const event of watch.events()) {
          if (event.type === "put" && revisions.push(event.kv.modRevision) === 100) break;
        }
      })();
      const last = served.at(-1);
      for (let index = 0; index < 100; index++) {
        if (index === 50) await last?.kill();
        await client.put(`moved/${index}`, "", { retry: "safe" }).catch((error: unknown) => {
          if (!isEtcdError(error) || error.outcome !== "unknown") throw error;
          return client.put(`moved/${index}`, "");
        });
      }
      await reading;
      expect(revisions[0]).toBe(first);
      expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => Number(a - b)));
      await Promise.all(proxies.map((proxy) => proxy.stop()));
    });

    it("fails a write in under a second as not applied when no quorum is left", async () => {
      const [, second, third] = members;
      await using lone = createClient({ endpoints: members.slice(0, 1).map((member) => member.endpoint) });
      const inFirst = async (): Promise<string | undefined> =>
        (await lone.get("quorum", { consistency: "serializable" }))?.value;
      await client.put("quorum", "1");
      await expect.poll(inFirst).toBe("1");
      await Promise.all([second?.kill(), third?.kill()]);
      const noLeader = async (): Promise<boolean> => (await lone.maintenance.status()).leader === undefined;
      await expect.poll(noLeader, { timeout: 10_000 }).toBe(true);
      const startMs = performance.now();
      await expect(lone.put("quorum", "2")).rejects.toMatchObject({
        code: "NoLeader",
        outcome: "not-applied",
        retryable: true,
        serverMessage: "etcdserver: no leader",
      });
      expect(performance.now() - startMs).toBeLessThan(2_000);
      expect(await inFirst()).toBe("1");
    });

    it("keeps a lease alive when the member that renews it is killed", async () => {
      const lease = await client.leases.grant(10);
      await lease.refresh();
      await members[0]?.kill();
      await expect.poll(() => lease.refresh().catch(() => 0), { timeout: 15_000 }).toBe(10);
      expect(lease.signal.aborted).toBe(false);
    });
  });
});

/** Leases against servers: ids, scopes, attaching, closing. How long they live is in the scenarios. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, formatId } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { type RealEtcd, realEtcdDirectory } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

describe.each(targets)("lease", (target) => {
  describe.skipIf(skips(target))(blockName("lease", target), { timeout: 30_000 }, () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    let proxy: TcpProxy;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });
    beforeEach(async () => {
      proxy = await startTcpProxy(server.endpoint);
      client = createClient({ endpoints: proxy.endpoint });
      return async () => {
        await client.close();
        await proxy.stop();
      };
    });

    it("uses the id that was chosen, though it is above 2^53", async () => {
      const id = 7_587_822_556_486_125_056n;
      const lease = await client.leases.grant(60, { id });
      await client.put("id/key", "1", { lease });
      expect((await client.get("id/key"))?.lease).toBe(id);
      if (realEtcdDirectory !== undefined) {
        const printed = await server.etcdctl(["lease", "timetolive", formatId(id), "--keys"]);
        expect(printed.stdout).toContain(`lease ${formatId(id)} granted with TTL(60s)`);
      }
      expect(await client.leases.list()).toContain(id);
      expect(await client.leases.timeToLive(id, { keys: true })).toMatchObject({ id, grantedTtl: 60 });
      await lease.revoke();
      expect(await direct.get("id/key")).toBeUndefined();
      expect(await client.leases.timeToLive(id)).toBeUndefined();
      expect((await lease.lost).reason).toBe("revoked");
    });

    it("refuses an id that is taken, and revoking or attaching what does not exist", async () => {
      const lease = await client.leases.grant(60);
      await expect(client.leases.grant(60, { id: lease.id })).rejects.toMatchObject({ code: "LeaseExist" });
      await expect(client.leases.revoke(1n)).rejects.toMatchObject({ code: "LeaseNotFound", outcome: "not-applied" });
      await expect(client.leases.attach(1n)).rejects.toMatchObject({ code: "LeaseNotFound" });
    });

    it("revokes at the end of its scope", async () => {
      let seen: AbortSignal;
      {
        await using lease = await client.leases.grant(60);
        seen = lease.signal;
        await client.put("scoped", "1", { lease });
      }
      expect(seen.aborted).toBe(true);
      expect(await direct.get("scoped")).toBeUndefined();
    });

    it("attaches to a lease that exists and keeps it alive", async () => {
      const granted = await direct.leases.grant(2, { keepAlive: false });
      const lease = await client.leases.attach(granted.id);
      expect(lease.ttl).toBe(2);
      expect(await lease.refresh()).toBe(2);
      expect(lease.remainingMs).toBeGreaterThan(1_500);
      expect((await granted.lost).reason).toBe("expired");
      expect(await direct.leases.timeToLive(lease.id)).toBeDefined();
    });

    it("survives connections that are cut between renewals", async () => {
      const lease = await client.leases.grant(3);
      const untilMs = performance.now() + 3_500;
      await expect
        .poll(
          () => {
            proxy.cut();
            return lease.signal.aborted || performance.now() > untilMs;
          },
          { timeout: 10_000, interval: 400 },
        )
        .toBe(true);
      expect(lease.signal.aborted).toBe(false);
    });

    it("gives every lease up as closed when the client closes", async () => {
      const lease = await client.leases.grant(60);
      await client.close();
      expect((await lease.lost).reason).toBe("closed");
      await direct.leases.revoke(lease.id);
    });

    it("renews many leases on one connection", async () => {
      const leases = await Promise.all(Array.from({ length: 200 }, () => client.leases.grant(10)));
      const remaining = (): number[] => leases.map(({ remainingMs }) => remainingMs);
      await expect.poll(() => Math.max(...remaining()), { timeout: 10_000, interval: 20 }).toBeLessThan(8_000);
      await expect.poll(() => Math.min(...remaining()), { timeout: 10_000, interval: 20 }).toBeGreaterThan(8_000);
      expect(proxy.connectionCount).toBeLessThanOrEqual(2);
    });
  });
});

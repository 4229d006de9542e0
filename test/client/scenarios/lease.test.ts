/** Scenarios 18 to 22 of the SDK: leases that live as long as they are said to, and are lost in time. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createClient, type EtcdClient, LeaseLostError } from "../../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";

const hourMs = 3_600_000;
const pollMs = 20;

describe.each(targets)("lease scenarios", (target) => {
  describe.skipIf(skips(target))(blockName("lease scenarios", target), { timeout: 30_000 }, () => {
    let server: RealEtcd;
    /** Reaches the server without a fault. */
    let direct: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });

    async function faulty(): Promise<{ proxy: TcpProxy; client: EtcdClient } & AsyncDisposable> {
      const proxy = await startTcpProxy(server.endpoint);
      const client = createClient({ endpoints: proxy.endpoint });
      const dispose = async (): Promise<void> => {
        await client.close();
        await proxy.stop();
      };
      return { proxy, client, [Symbol.asyncDispose]: dispose };
    }

    /** When the key was seen to be gone. */
    async function goneAtMs(key: string): Promise<number> {
      while ((await direct.get(key)) !== undefined) await delay(pollMs);
      return performance.now();
    }

    /** Looks at the key again and again for so long; throws when it is gone. */
    async function staysFor(key: string, ms: number): Promise<void> {
      const untilMs = performance.now() + ms;
      while (performance.now() < untilMs) {
        if ((await direct.get(key)) === undefined) throw new Error(`${key} is gone`);
        await delay(pollMs);
      }
    }

    describe.concurrent("side by side", () => {
      it("scenario 18: a lease of three seconds is kept alive until it is released, and then runs out", async ({
        expect: the,
      }) => {
        await using place = await faulty();
        const lease = await place.client.leases.grant(3);
        await direct.put("18", "1", { lease: lease.id });
        await staysFor("18", 4_500);
        the(lease.state).toBe("held");
        const releasedAtMs = performance.now();
        lease.release();
        the((await goneAtMs("18")) - releasedAtMs).toBeLessThan(4_500);
        the((await lease.lost).reason).toBe("expired");
      });

      it("scenario 19: a lease whose renewals vanish is given up no later than the server does", async ({
        expect: the,
      }) => {
        await using place = await faulty();
        const lease = await place.client.leases.grant(3);
        await place.client.put("19", "1", { lease });
        place.proxy.flow({ requests: "swallow", replies: "swallow" });
        const gone = goneAtMs("19");
        const error = await lease.lost;
        const lostAtMs = performance.now();
        the(lease.signal.reason).toBe(error);
        the(error).toBeInstanceOf(LeaseLostError);
        the(error).toMatchObject({ code: "LeaseLost", reason: "unreachable", leaseId: lease.id });
        the(lease).toMatchObject({ state: "lost", remainingMs: 0 });
        the(lostAtMs).toBeLessThanOrEqual(await gone);
        place.proxy.flow({ requests: "pass", replies: "pass" });
        place.proxy.cut();
        await the(place.client.put("19", "2", { lease })).rejects.toBe(error);
        await the(lease.refresh()).rejects.toBe(error);
        the(await direct.get("19")).toBeUndefined();
      });

      it("scenario 20: a lease outlives an outage that is shorter than its TTL", async ({ expect: the }) => {
        await using place = await faulty();
        const lease = await place.client.leases.grant(5);
        await place.client.put("20", "1", { lease });
        const staying = staysFor("20", 6_000);
        await the.poll(() => lease.remainingMs, { timeout: 10_000, interval: 10 }).toBeLessThan(4_500);
        place.proxy.flow({ requests: "swallow", replies: "swallow" });
        await the.poll(() => lease.remainingMs, { timeout: 10_000, interval: 10 }).toBeLessThan(2_500);
        place.proxy.flow({ requests: "pass", replies: "pass" });
        place.proxy.cut();
        await the.poll(() => lease.remainingMs, { timeout: 10_000, interval: 10 }).toBeGreaterThan(4_000);
        await staying;
        the(lease.state).toBe("held");
      });

      it("scenario 21: a lease that another client revokes is lost by the next renewal, and a pending put under it is not applied", async ({
        expect: the,
      }) => {
        await using place = await faulty();
        const lease = await place.client.leases.grant(6);
        const startMs = performance.now();
        await direct.leases.revoke(lease.id);
        the((await lease.lost).reason).toBe("revoked");
        the(performance.now() - startMs).toBeLessThan(3_000);

        // A put that is on its way when the lease is revoked; what the server says of it is news of the lease, too.
        const second = await place.client.leases.grant(60);
        await place.client.get("21");
        place.proxy.flow({ requests: "hold" });
        const pending = place.client.put("21", "1", { lease: second });
        await direct.leases.revoke(second.id);
        place.proxy.flow({ requests: "pass" });
        await the(pending).rejects.toMatchObject({ code: "LeaseNotFound", outcome: "not-applied" });
        the((await second.lost).reason).toBe("revoked");

        // A put that waits for a connection when the lease is lost is not sent at all.
        const third = await place.client.leases.grant(2);
        place.proxy.admit("refuse");
        place.proxy.cut();
        // By then the client knows that there is no connection.
        await the(place.client.get("21", { timeoutMs: 100 })).rejects.toMatchObject({ outcome: "not-applied" });
        const waiting = place.client.put("21", "2", { lease: third });
        await the(waiting).rejects.toMatchObject({ code: "LeaseLost", outcome: "not-applied", reason: "unreachable" });
        the(await direct.get("21")).toBeUndefined();
      });
    });

    it("scenario 22: the wall clock may jump by hours, and no lease is lost or outlives its TTL for it", async () => {
      await using place = await faulty();
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
      try {
        const kept = await place.client.leases.grant(3);
        await place.client.put("22/kept", "1", { lease: kept });
        vi.setSystemTime(Date.now() + hourMs);
        await staysFor("22/kept", 1_700);
        vi.setSystemTime(Date.now() - 2 * hourMs);
        await staysFor("22/kept", 1_700);
        expect(kept.state).toBe("held");
        const short = await place.client.leases.grant(2);
        await place.client.put("22/short", "1", { lease: short });
        place.proxy.flow({ requests: "swallow", replies: "swallow" });
        vi.setSystemTime(Date.now() - hourMs);
        const gone = goneAtMs("22/short");
        const lost = await short.lost;
        expect(performance.now()).toBeLessThanOrEqual(await gone);
        expect(lost.reason).toBe("unreachable");
      } finally {
        vi.useRealTimers();
      }
    });
  });
});

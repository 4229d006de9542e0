/** Keys that are there for as long as their process is: registered again when the lease is lost, and taken away in time. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, keepRegistered } from "../../src/client/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

describe.each(targets)("registration", (target) => {
  describe.skipIf(skips(target))(blockName("registration", target), { timeout: 30_000 }, () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });

    it("is there until it is disposed of, and changes its value", async () => {
      const registration = await keepRegistered(direct, "kept/a", "1");
      expect(await direct.get("kept/a")).toMatchObject({ value: "1", lease: registration.lease?.id });
      await Promise.all([registration.update("2"), registration.update("3")]);
      expect((await direct.get("kept/a"))?.value).toBe("3");
      await registration[Symbol.asyncDispose]();
      expect(await direct.get("kept/a")).toBeUndefined();
      expect(registration.signal.aborted).toBe(true);
      expect(registration.lease).toBeUndefined();
      await expect(registration.update("4")).rejects.toMatchObject({ code: "Aborted" });
    });

    it("is put again under another lease when its lease is revoked, with the newest value", async () => {
      await using registration = await keepRegistered(direct, "kept/b", "1", { ttl: 2 });
      const first = registration.lease?.id ?? 0n;
      await direct.leases.revoke(first);
      await registration.update("2");
      const again = await direct.get("kept/b");
      expect(again).toMatchObject({ value: "2", lease: registration.lease?.id });
      expect(again?.lease).not.toBe(first);
      expect(registration.signal.aborted).toBe(false);
    });

    it("comes back by itself after an outage that was longer than its TTL", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using client = createClient({ endpoints: proxy.endpoint, timeoutMs: 1_000 });
      await using registration = await keepRegistered(client, "kept/c", "here", { ttl: 2 });
      proxy.admit("refuse");
      proxy.cut();
      await expect.poll(() => direct.get("kept/c"), { timeout: 10_000, interval: 20 }).toBeUndefined();
      expect(registration.lease).toBeUndefined();
      proxy.admit("all");
      await expect.poll(async () => (await direct.get("kept/c"))?.value, { timeout: 10_000 }).toBe("here");
      await expect.poll(() => registration.lease?.state, { timeout: 10_000 }).toBe("held");
    });

    it("ends with its signal and with its client, and says why", async () => {
      const stop = new AbortController();
      const registration = await keepRegistered(direct, "kept/d", "1", { signal: stop.signal });
      stop.abort(new Error("shutting down"));
      await expect.poll(() => direct.get("kept/d"), { timeout: 10_000, interval: 10 }).toBeUndefined();
      await expect.poll(() => registration.signal.aborted).toBe(true);
      expect(registration.signal.reason).toEqual(new Error("shutting down"));
      const late = keepRegistered(direct, "kept/d", "1", { signal: stop.signal });
      await expect(late).rejects.toMatchObject({ code: "Aborted", cause: new Error("shutting down") });

      const client = createClient({ endpoints: server.endpoint });
      const orphan = await keepRegistered(client, "kept/e", "1", { ttl: 2 });
      await client.close();
      await expect.poll(() => orphan.signal.aborted).toBe(true);
      expect(orphan.signal.reason).toMatchObject({ code: "ClientClosed" });
    });

    it("rejects when the first registration is refused, and leaves nothing behind", async () => {
      const leases = (await direct.leases.list()).length;
      await expect(keepRegistered(direct, "", "1")).rejects.toMatchObject({ code: "EmptyKey" });
      expect((await direct.leases.list()).length).toBe(leases);
    });
  });
});

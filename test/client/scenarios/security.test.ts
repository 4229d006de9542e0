/** Scenarios 26 to 28: tokens that run out, refusals that are final, certificates that rotate and ports that swallow. */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ConnectionMessage,
  createClient,
  type EtcdClient,
  type LogEntry,
  observe,
} from "../../../src/client/index.js";
import { startTcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { Authority } from "../../support/certificates.js";
import type { RealEtcd } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";

const root = { username: "root", password: "root's own password" };
const guest = { username: "guest", password: "guest's own password" };

/** Calls of a method that the server has begun to serve. */
async function served(server: RealEtcd, method: string): Promise<number> {
  const text = await (await fetch(`${server.endpoint}/metrics`)).text();
  const pattern = new RegExp(`^grpc_server_started_total\\{.*grpc_method="${method}".*\\} (\\d+)`, "m");
  return Number(pattern.exec(text)?.[1] ?? 0);
}

/** As cert-manager and certbot do it: the new file takes the place of the old one in one step. */
async function put(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

describe.each(targets)("security scenarios", (target) => {
  describe.skipIf(skips(target, "authentication"))(blockName("authentication", target), () => {
    let server: RealEtcd;
    let admin: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--auth-token-ttl=2", "--bcrypt-cost=4"] });
      await using setup = createClient({ endpoints: server.endpoint });
      await setup.auth.users.add(root.username, { password: root.password });
      await setup.auth.roles.add("root");
      await setup.auth.users.grant(root.username, "root");
      await setup.auth.users.add(guest.username, { password: guest.password });
      await setup.auth.enable();
      admin = createClient({ endpoints: server.endpoint, auth: root });
    });
    afterAll(async () => {
      await admin.close();
      await server.stop();
    });

    /** A token lives for two seconds after its last use; this waits until one that was given out now is refused. */
    const tokensExpired = async (): Promise<void> => {
      const { token } = await admin.raw.auth.authenticate({ name: root.username, password: root.password });
      const startMs = performance.now();
      await expect.poll(() => performance.now() - startMs, { timeout: 5_000, interval: 100 }).toBeGreaterThan(3_500);
      await using stale = createClient({ endpoints: server.endpoint, auth: { token } });
      await expect(stale.get("x")).rejects.toMatchObject({ code: "InvalidAuthToken", grpcStatus: 16 });
    };

    it("scenario 26: one login for each time the token ran out, for fifty calls, one call, and a watch that reconnects", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using client = createClient({ endpoints: proxy.endpoint, auth: root });
      await using watch = client.watch("renewed");
      await watch.started;
      await tokensExpired();
      let before = await served(server, "Authenticate");
      await Promise.all(Array.from({ length: 50 }, (_, index) => client.put(`expired/${index}`, "1")));
      expect(await served(server, "Authenticate")).toBe(before + 1);
      await tokensExpired();
      before = await served(server, "Authenticate");
      proxy.cut();
      expect(await client.get("expired/1")).toMatchObject({ value: "1" });
      await client.put("renewed", "1");
      for await (const event of watch.events()) {
        expect(event).toMatchObject({ kv: { value: "1" } });
        break;
      }
      expect(await served(server, "Authenticate")).toBe(before + 1);
    });

    it("scenario 27: a wrong password and a missing permission are final, typed, asked for once and kept secret", async () => {
      const wrong = { username: root.username, password: "nobody's password" };
      const entries: LogEntry[] = [];
      const log = (entry: LogEntry): void => void entries.push(entry);
      await using liar = createClient({ endpoints: server.endpoint, auth: wrong, log });
      const logins = await served(server, "Authenticate");
      const refused = await liar.get("x").catch((cause: unknown) => cause);
      expect(refused).toMatchObject({ code: "AuthFailed", grpcStatus: 3, outcome: "not-applied", retryable: false });
      expect(await served(server, "Authenticate")).toBeLessThanOrEqual(logins + 2);
      await expect(Promise.all(Array.from({ length: 50 }, () => liar.get("x")))).rejects.toMatchObject({
        code: "AuthFailed",
      });
      expect(await served(server, "Authenticate")).toBeLessThanOrEqual(logins + 4);
      await using client = createClient({ endpoints: server.endpoint, auth: guest, log });
      const ranges = await served(server, "Range");
      const forbidden = await client.list({ prefix: "x/" }).catch((cause: unknown) => cause);
      expect(forbidden).toMatchObject({
        code: "PermissionDenied",
        grpcStatus: 7,
        outcome: "not-applied",
        retryable: false,
      });
      expect(await served(server, "Range")).toBeLessThanOrEqual(ranges + 2);
      const told = inspect([refused, forbidden, entries], { depth: 12, showHidden: true });
      expect(told).toContain("AuthFailed");
      for (const secret of [wrong.password, guest.password]) expect(told).not.toContain(secret);
    });
  });

  describe.skipIf(skips(target, "TLS"))(blockName("TLS", target), () => {
    let authority: Authority;
    let server: RealEtcd;
    beforeAll(async () => {
      authority = await Authority.create("scenario CA");
      const { certFile, keyFile } = await authority.issue({ commonName: "server" });
      const tls = { certFile, keyFile, trustedCaFile: authority.caFile, client: await authority.issue() };
      server = await target.start({ tls });
    });
    afterAll(async () => {
      await server.stop();
      authority.remove();
    });

    it("scenario 28: a client certificate that is about to run out is replaced on disk, and used by the next connection", async () => {
      const files = {
        certFile: join(authority.directory, "client.crt"),
        keyFile: join(authority.directory, "client.key"),
      };
      const lifeSeconds = 4;
      const first = await authority.issue({
        commonName: "first",
        validHours: { from: -1, until: lifeSeconds / 3_600 },
      });
      await put(files.certFile, first.cert);
      await put(files.keyFile, first.key);
      await using proxy = await startTcpProxy(server.endpoint);
      const endpoint = proxy.endpoint.replace("http:", "https:");
      const tls = { ca: authority.ca, cert: { file: files.certFile }, key: { file: files.keyFile } };
      await using client = createClient({ endpoints: endpoint, tls });
      await client.put("rotated", "1");
      const second = await authority.issue({ commonName: "second" });
      await put(files.certFile, second.cert);
      await put(files.keyFile, second.key);
      const old = { ca: authority.ca, cert: first.cert, key: first.key };
      const refused = async (): Promise<unknown> => {
        await using late = createClient({ endpoints: endpoint, tls: old });
        return await late.get("rotated", { timeoutMs: 1_000 }).catch((error: Error) => error.message);
      };
      await expect.poll(refused, { timeout: 10_000, interval: 250 }).toMatch(/client certificate tls\.cert/);
      proxy.cut();
      expect(await client.get("rotated")).toMatchObject({ value: "1" });
    });

    it("scenario 28: a server that wants a client certificate says so", async () => {
      await using client = createClient({ endpoints: server.endpoint, tls: { ca: authority.ca } });
      await expect(client.get("x")).rejects.toMatchObject({
        code: "ConnectFailed",
        outcome: "not-applied",
        message: expect.stringContaining("client certificate"),
      });
    });

    it("scenario 28: connecting to a port that answers nothing fails at connectTimeoutMs", async () => {
      const connectTimeoutMs = 1_500;
      await using proxy = await startTcpProxy(server.endpoint);
      proxy.admit("silent");
      const endpoint = proxy.endpoint.replace("http:", "https:");
      const failures: ConnectionMessage[] = [];
      using _ = observe("litecd:connection", (message) => {
        if (message.endpoint === endpoint && message.type === "failed") failures.push(message);
      });
      await using client = createClient({ endpoints: endpoint, tls: { ca: authority.ca }, connectTimeoutMs });
      const timeoutMs = 1.4 * connectTimeoutMs;
      await expect(client.get("x", { timeoutMs })).rejects.toMatchObject({
        code: "ConnectFailed",
        outcome: "not-applied",
      });
      expect(failures).toHaveLength(1);
      const took = (failures[0]?.durationMs ?? 0) / connectTimeoutMs;
      expect(took).toBeGreaterThan(0.8);
      expect(took).toBeLessThan(1.2);
    });
  });
});

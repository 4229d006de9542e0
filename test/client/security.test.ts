/** Passwords, tokens that run out, and TLS. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, type LogEntry } from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const root = { username: "root", password: "secret" };

const guest = { username: "guest", password: (): Promise<string> => Promise.resolve("guest") };

/** Authenticate calls that the server has served. */
async function loginCount(server: RealEtcd): Promise<number> {
  const text = await (await fetch(`${server.endpoint}/metrics`)).text();
  const pattern = /^grpc_server_started_total\{.*grpc_method="Authenticate".*\} (\d+)/m;
  return Number(pattern.exec(text)?.[1] ?? 0);
}

describe.each(targets)("security", (target) => {
  describe.skipIf(skips(target, "authentication"))(blockName("authentication", target), () => {
    let server: RealEtcd;
    let admin: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--bcrypt-cost=4"] });
      await using setup = createClient({ endpoints: server.endpoint });
      const { auth } = setup.raw;
      await auth.userAdd({ name: "root", password: "secret", options: {} });
      await auth.userGrantRole({ user: "root", role: "root" });
      await auth.userAdd({ name: "guest", password: "guest", options: {} });
      await auth.authEnable({});
      admin = createClient({ endpoints: server.endpoint, auth: root });
    });
    afterAll(async () => {
      await admin.close();
      await server.stop();
    });

    it("logs in once for all calls that wait", async () => {
      await using client = createClient({ endpoints: server.endpoint, auth: root });
      const before = await loginCount(server);
      await Promise.all(Array.from({ length: 50 }, (_, index) => client.put(`login/${index}`, "1")));
      expect(await loginCount(server)).toBe(before + 1);
    });

    it("says that a password is wrong without trying again", async () => {
      await using client = createClient({ endpoints: server.endpoint, auth: { username: "root", password: "wrong" } });
      const before = await loginCount(server);
      await expect(client.get("x")).rejects.toMatchObject({
        code: "AuthFailed",
        grpcStatus: 3,
        outcome: "not-applied",
      });
      expect(await loginCount(server)).toBe(before + 1);
    });

    it("says that a permission is missing, for calls and for watches", async () => {
      await using client = createClient({ endpoints: server.endpoint, auth: guest });
      await expect(client.put("x", "1")).rejects.toMatchObject({
        code: "PermissionDenied",
        grpcStatus: 7,
        outcome: "not-applied",
      });
      await using watch = client.watch("x");
      await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({
        code: "PermissionDenied",
        serverMessage: "etcdserver: permission denied",
      });
      await using raw = client.raw.watch({ key: new TextEncoder().encode("x") });
      for await (const response of raw) {
        expect(response).toMatchObject({
          created: true,
          canceled: true,
          cancelReason: "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
        });
      }
    });

    it("says that a server wants a user", async () => {
      await using client = createClient({ endpoints: server.endpoint });
      await expect(client.get("x")).rejects.toMatchObject({
        code: "UserEmpty",
        serverMessage: "etcdserver: user name is empty",
      });
    });

    it("asks for a token again when the one it was given is refused", async () => {
      const tokens = ["nonsense.1"];
      const token = async (): Promise<string> =>
        tokens.shift() ?? (await admin.raw.auth.authenticate({ name: "root", password: "secret" })).token;
      await using client = createClient({ endpoints: server.endpoint, auth: { token } });
      await client.put("token", "1");
      expect(tokens).toEqual([]);
    });
  });

  describe.skipIf(skips(target, "TLS"))(blockName("TLS", target), () => {
    let server: RealEtcd;
    beforeAll(async () => {
      server = await target.start({ tls: "self-signed" });
    });
    afterAll(async () => {
      await server.stop();
    });

    it("trusts the roots it is given, as a file, as text or as bytes", async () => {
      const file = server.certificateFile;
      const text = readFileSync(file, "utf8");
      for (const ca of [{ file }, text, new TextEncoder().encode(text)]) {
        await using client = createClient({ endpoints: server.endpoint, tls: { ca } });
        expect(await client.get("tls")).toBeUndefined();
      }
    });

    it("refuses a certificate that nobody vouches for, or that is for another name", async () => {
      await using strict = createClient({ endpoints: server.endpoint });
      await expect(strict.get("x", { timeoutMs: 500 })).rejects.toMatchObject({ code: "ConnectFailed" });
      const tls = { ca: { file: server.certificateFile }, serverName: "other.example" };
      await using named = createClient({ endpoints: server.endpoint, tls });
      await expect(named.get("x", { timeoutMs: 500 })).rejects.toThrow("ERR_TLS_CERT_ALTNAME_INVALID");
    });

    it("connects without verification if told to, and says so", async () => {
      const entries: LogEntry[] = [];
      const log = (entry: LogEntry): void => void entries.push(entry);
      await using client = createClient({ endpoints: server.endpoint, tls: { insecureSkipVerify: true }, log });
      expect(await client.get("tls")).toBeUndefined();
      expect(entries).toMatchObject([{ level: "warn", message: expect.stringContaining("is not verified") }]);
    });
  });
});

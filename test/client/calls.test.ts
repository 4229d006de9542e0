/** Calls under faults: what is repeated, what is not, and what the error says. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, EtcdError, isEtcdError } from "../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { freePort } from "../support/free-ports.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

/** The built client; a process of its own cannot run the sources. */
const built = fileURLToPath(new URL("../../dist/src/client/index.js", import.meta.url));

describe.each(targets)("calls", (target) => {
  describe.skipIf(skips(target))(blockName("calls", target), () => {
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
      client = createClient({ endpoints: proxy.endpoint, connectTimeoutMs: 500 });
      return async () => {
        await client.close();
        await proxy.stop();
      };
    });

    const applied = (key: string, version: number): Promise<void> =>
      expect.poll(async () => (await direct.get(key))?.version).toBe(version);

    it("applies a put once and says unknown when the reply is lost", async () => {
      await client.get("warm");
      proxy.flow({ replies: "swallow" });
      const put = client.put("lost-reply", "1").catch((error: unknown) => error);
      await applied("lost-reply", 1);
      proxy.flow({ replies: "pass" });
      proxy.cut();
      expect(await put).toMatchObject({ name: "EtcdError", outcome: "unknown", attempts: 1, serverMessage: "" });
      await client.get("warm");
      expect((await direct.get("lost-reply"))?.version).toBe(1);
    });

    it("repeats a put whose reply is lost if the caller vouches for it", async () => {
      await client.get("warm");
      proxy.flow({ replies: "swallow" });
      const put = client.put("vouched", "1", { retry: "idempotent" });
      await applied("vouched", 1);
      proxy.flow({ replies: "pass" });
      proxy.cut();
      await put;
      expect((await direct.get("vouched"))?.version).toBe(2);
    });

    it("repeats a read whose reply is lost", async () => {
      await direct.put("read", "1");
      await client.get("warm");
      proxy.flow({ replies: "swallow" });
      const get = client.get("read");
      await expect.poll(() => proxy.connectionCount).toBe(1);
      proxy.flow({ replies: "pass" });
      proxy.cut();
      expect((await get)?.value).toBe("1");
    });

    it("says unknown when the deadline passes after a put was sent, and not applied when it never was", async () => {
      await client.get("warm");
      proxy.flow({ replies: "swallow" });
      await expect(client.put("late", "1", { timeoutMs: 300 })).rejects.toMatchObject({
        code: "TimedOut",
        grpcStatus: 4,
        outcome: "unknown",
      });
      await expect(client.get("late", { timeoutMs: 300 })).rejects.toMatchObject({
        code: "TimedOut",
        outcome: "not-applied",
      });
      proxy.admit("refuse");
      proxy.cut();
      await expect(client.get("never", { timeoutMs: 300 })).rejects.toMatchObject({ outcome: "not-applied" });
      await expect(client.put("never", "1", { timeoutMs: 300 })).rejects.toMatchObject({
        code: "ConnectFailed",
        grpcStatus: 4,
        outcome: "not-applied",
      });
      await applied("late", 1);
      expect(await direct.get("never")).toBeUndefined();
    });

    it("rejects with the caller's reason and says what it knows of the outcome", async () => {
      await client.get("warm");
      proxy.flow({ replies: "swallow" });
      const controller = new AbortController();
      const put = client.put("aborted", "1", { signal: controller.signal }).catch((error: unknown) => error);
      await applied("aborted", 1);
      controller.abort(new Error("enough"));
      expect(await put).toMatchObject({ code: "Aborted", outcome: "unknown", cause: { message: "enough" } });
      const before = client.put("aborted", "2", { signal: AbortSignal.abort(new Error("too late")) });
      await expect(before).rejects.toMatchObject({ code: "Aborted", outcome: "not-applied", attempts: 0 });
    });

    it("waits for a server that comes back before the deadline, and applies the write once", async () => {
      proxy.admit("refuse");
      const put = client.put("patient", "1");
      await expect(client.get("x", { timeoutMs: 300 })).rejects.toBeInstanceOf(EtcdError);
      proxy.admit("all");
      await put;
      expect((await direct.get("patient"))?.version).toBe(1);
    });

    it("gives up on a port that accepts and says nothing after connectTimeoutMs, and tries again", async () => {
      proxy.admit("silent");
      const startMs = performance.now();
      const get = client.get("silent");
      await expect.poll(() => proxy.connectionCount).toBe(1);
      await expect(client.get("x", { timeoutMs: 700 })).rejects.toMatchObject({ code: "ConnectFailed" });
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(650);
      proxy.admit("all");
      expect(await get).toBeUndefined();
    });

    it("uses another endpoint when one refuses, and names each endpoint's cause when all do", async () => {
      const dead = `http://127.0.0.1:${await freePort()}`;
      await using both = createClient({ endpoints: [dead, server.endpoint], routing: "pinned" });
      await both.put("either", "1");
      expect((await both.get("either"))?.version).toBe(1);
      await using none = createClient({ endpoints: [dead, "127.0.0.1:1"] });
      const error: unknown = await none.get("x", { timeoutMs: 400 }).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ code: "ConnectFailed", retryable: true });
      expect((error as EtcdError).message).toContain(`${dead}: `);
      expect((error as EtcdError).message).toContain("127.0.0.1:1: ");
      expect((error as EtcdError).message).toContain("ECONNREFUSED");
    });

    it("moves calls and watches to another endpoint when theirs dies", async () => {
      await using second = await startTcpProxy(server.endpoint);
      await using both = createClient({ endpoints: [proxy.endpoint, second.endpoint], routing: "pinned" });
      await using watch = both.watch({ prefix: "move/" });
      await watch.started;
      expect(second.connectionCount).toBe(0);
      proxy.admit("refuse");
      proxy.cut();
      await both.get("move/1");
      await both.put("move/1", "1");
      for await (const event of watch.events()) {
        expect(event).toMatchObject({ kv: { key: "move/1" } });
        break;
      }
      expect(second.connectionCount).toBeGreaterThan(0);
    });

    it("leaves a black hole by pings", { timeout: 15_000 }, async () => {
      await using second = await startTcpProxy(server.endpoint);
      const endpoints = [proxy.endpoint, second.endpoint];
      const keepAlive = { timeMs: 1_000, timeoutMs: 500 };
      await using both = createClient({ endpoints, routing: "pinned", keepAlive });
      await both.get("warm");
      proxy.flow({ requests: "swallow", replies: "swallow" });
      expect(await both.get("black-hole", { timeoutMs: 10_000 })).toBeUndefined();
      expect(second.connectionCount).toBe(1);
    });

    it("sends one call to the endpoint it names, be it in the list or not", async () => {
      await using other = createClient({ endpoints: `http://127.0.0.1:${await freePort()}` });
      const status = await other.maintenance.status({ target: { endpoint: proxy.endpoint } });
      expect(status.version).toMatch(/^3\./);
      expect(proxy.connectionCount).toBe(1);
    });

    it("uses the endpoints it was given last", async () => {
      await using moved = createClient({ endpoints: `http://127.0.0.1:${await freePort()}` });
      const get = moved.get("moved");
      moved.setEndpoints([proxy.endpoint]);
      expect(await get).toBeUndefined();
      expect(moved.endpoints).toEqual([proxy.endpoint]);
    });

    it("rejects what waits when the client closes", async () => {
      proxy.admit("silent");
      const get = client.get("closing").catch((error: unknown) => error);
      await expect.poll(() => proxy.connectionCount).toBe(1);
      await client.close();
      const error = await get;
      expect(isEtcdError(error, "ClientClosed")).toBe(true);
      await expect(client.get("closed")).rejects.toMatchObject({ code: "ClientClosed" });
    });

    it.skipIf(!existsSync(built))("lets the process end by itself when nothing waits, and only then", async () => {
      const script = `
        const { createClient } = await import(${JSON.stringify(pathToFileURL(built).href)});
        const client = createClient({ endpoints: ${JSON.stringify(server.endpoint)} });
        await client.put("from-a-process", "1");
      `;
      const code = await new Promise<number | null>((resolve) => {
        const child = execFile(process.execPath, ["--input-type=module", "--eval", script], { timeout: 15_000 });
        child.once("exit", resolve);
      });
      expect(code).toBe(0);
      expect((await direct.get("from-a-process"))?.value).toBe("1");
    });

    it("refuses to send more than requestBytesMax", async () => {
      await using small = createClient({ endpoints: server.endpoint, requestBytesMax: 100 });
      await expect(small.put("big", "x".repeat(200))).rejects.toMatchObject({
        code: "RequestTooLarge",
        grpcStatus: 8,
        outcome: "not-applied",
        attempts: 1,
      });
    });

    it("refuses endpoints that nobody can read", async () => {
      expect(() => createClient({ endpoints: " , " })).toThrow("at least one endpoint");
      await using odd = createClient({ endpoints: "gopher://host:1" });
      await expect(odd.get("x")).rejects.toThrow('scheme "gopher" is not known');
    });
  });
});

/** Endpoints that come and go: replaced, drained, synced, reported, and reached over a unix socket. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, type LogEntry, type StatusEvent } from "../../src/client/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { freePort } from "../support/free-ports.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { FakeCluster } from "./fake-cluster.js";
import { blockName, skips, targets } from "./targets.js";

/** A member list entry with one client URL. */
function entry(name: string, url: string, facts: { learner?: boolean } = {}) {
  return { ID: 1n, name, peerURLs: [], clientURLs: url === "" ? [] : [url], isLearner: facts.learner ?? false };
}

describe("setEndpoints", () => {
  it("lets calls under way finish where they are, and closes what is left then", async () => {
    const cluster = new FakeCluster(["a"]);
    await using client = createClient({ endpoints: "a", transport: cluster });
    await client.get("k");
    cluster.member("a").delayMs = 50;
    const slow = client.put("k", "v");
    cluster.add("b");
    client.setEndpoints("b");
    await client.get("k");
    expect(cluster.member("b").asked).toEqual(["Range"]);
    expect(cluster.closed).toEqual([]);
    await slow;
    expect(cluster.closed).toEqual(["a"]);
    expect(cluster.member("a").asked).toEqual(["Range", "Put"]);
  });

  it("keeps the connections of endpoints that stay", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    await using client = createClient({ endpoints: ["a", "b"], transport: cluster });
    await client.ready();
    client.setEndpoints(["b", "a"]);
    await client.get("k");
    expect(cluster.closed).toEqual([]);
  });
});

describe("sync", () => {
  it("takes the client URLs of started voters", async () => {
    const cluster = new FakeCluster(["a", "b", "learner"]);
    cluster.memberList = [
      entry("m1", "a"),
      entry("m2", "b"),
      entry("", "never"),
      entry("l", "learner", { learner: true }),
    ];
    await using client = createClient({ endpoints: "a", transport: cluster });
    await client.sync();
    expect(client.endpoints).toEqual(["a", "b"]);
  });

  it("keeps the endpoints if none of the new ones can be reached, or all are another cluster's", async () => {
    const cluster = new FakeCluster(["a"]);
    cluster.add("foreign", { clusterId: 8n });
    cluster.memberList = [entry("m1", "foreign"), entry("m2", "nowhere")];
    await using client = createClient({ endpoints: "a", transport: cluster });
    const error: unknown = await client.sync().catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: "ConnectFailed", outcome: "not-applied", retryable: true });
    expect(String(error)).toContain("nowhere: refused");
    expect(String(error)).toContain("belongs to cluster 8");
    expect(client.endpoints).toEqual(["a"]);
  });

  it("keeps one that cannot be reached now if another can", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    cluster.memberList = [entry("m1", "b"), entry("m2", "nowhere")];
    await using client = createClient({ endpoints: "a", transport: cluster });
    await client.sync();
    expect(client.endpoints).toEqual(["b", "nowhere"]);
  });

  it("repeats by itself if asked to, and says in the log why it failed", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    const entries: LogEntry[] = [];
    const log = (line: LogEntry): void => void entries.push(line);
    await using client = createClient({ endpoints: "a", transport: cluster, syncIntervalMs: 20, log });
    await expect.poll(() => entries.length).toBeGreaterThan(0);
    expect(entries[0]).toMatchObject({ level: "warn", message: expect.stringContaining("sync: no member says") });
    cluster.memberList = [entry("m1", "a"), entry("m2", "b")];
    await expect.poll(() => client.endpoints).toEqual(["a", "b"]);
  });
});

describe("what a client tells of itself", () => {
  it("is a stream of events that ends when it closes", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    const client = createClient({ endpoints: ["a", "b"], transport: cluster });
    const events: StatusEvent[] = [];
    const reading = (async () => {
      for await (const event of client.status()) events.push(event);
    })();
    expect(client.state).toBe("idle");
    await client.put("k", "v");
    expect(client.state).toBe("connected");
    cluster.member("b").up = false;
    client.setEndpoints("a");
    await client.close();
    await reading;
    expect(client.state).toBe("closed");
    expect(events).toEqual([
      { type: "connected", endpoint: "a" },
      { type: "connected", endpoint: "b" },
      { type: "leader", memberId: 1n, term: 2n },
      { type: "disconnected", endpoint: "b" },
      { type: "endpoints", endpoints: ["a"] },
      { type: "disconnected", endpoint: "a" },
      { type: "closed" },
    ]);
    for await (const event of client.status()) expect(event).toEqual({ type: "closed" });
  });

  it("counts failures in a row, and says why", async () => {
    const cluster = new FakeCluster(["a"]);
    cluster.member("a").up = false;
    await using client = createClient({ endpoints: "a", transport: cluster });
    const events = client.status();
    await expect(client.get("k", { timeoutMs: 80 })).rejects.toMatchObject({ code: "ConnectFailed" });
    expect(client.state).toBe("disconnected");
    for (const attempt of [1, 2]) {
      const { value } = await events.next();
      expect(value).toMatchObject({ type: "unhealthy", endpoint: "a", attempt, cause: { message: "refused" } });
    }
  });

  it("is bounded for a listener that does not listen, and ends with its signal", async () => {
    const cluster = new FakeCluster(["a"]);
    await using client = createClient({ endpoints: "a", transport: cluster });
    const controller = new AbortController();
    const events = client.status({ signal: controller.signal });
    for (let index = 0; index < 300; index++) client.setEndpoints(["a", `b${index}`]);
    controller.abort();
    const seen: StatusEvent[] = [];
    for await (const event of events) seen.push(event);
    expect(seen).toHaveLength(256);
    expect(seen.at(-1)).toEqual({ type: "endpoints", endpoints: ["a", "b299"] });
  });

  it("includes the cluster, once a member has answered", async () => {
    const cluster = new FakeCluster(["a", "b", "foreign", "down"]);
    cluster.member("foreign").clusterId = 8n;
    cluster.member("down").up = false;
    await using client = createClient({ endpoints: ["a", "b", "foreign", "down"], transport: cluster });
    const info = await client.ready();
    expect(info).toMatchObject({ clusterId: 7n, revision: 10n, raftTerm: 2n, leader: 1n });
    expect(info.endpoints).toMatchObject([
      { endpoint: "a", memberId: 1n, version: "3.7.0", learner: false },
      { endpoint: "b", memberId: 2n },
      { endpoint: "foreign", failure: { code: "WrongCluster" } },
      { endpoint: "down", memberId: undefined, failure: { message: "refused" } },
    ]);
    await using none = createClient({ endpoints: "down", transport: cluster });
    await expect(none.ready({ timeoutMs: 60 })).rejects.toMatchObject({ code: "ConnectFailed" });
  });
});

describe.each(targets)("endpoints", (target) => {
  describe.skipIf(skips(target))(blockName("endpoints", target), () => {
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

    it("move: calls at once, a watch and a lease at the next quiet moment, and nothing is lost", async () => {
      await using first = await startTcpProxy(server.endpoint);
      await using second = await startTcpProxy(server.endpoint);
      await using client = createClient({ endpoints: first.endpoint });
      await using watch = client.watch({ prefix: "drain/" });
      await watch.started;
      const lease = await client.leases.grant(60);
      await lease.refresh();
      await direct.put("drain/1", "");
      client.setEndpoints(second.endpoint);
      await client.put("drain/2", "");
      await expect.poll(() => first.connectionCount, { timeout: 10_000 }).toBe(0);
      await direct.put("drain/3", "");
      const keys: string[] = [];
      for await (const event of watch.events()) {
        if (event.type === "put") keys.push(event.kv.key);
        if (keys.length === 3) break;
      }
      expect(keys).toEqual(["drain/1", "drain/2", "drain/3"]);
      await lease.refresh();
      expect(lease.signal.aborted).toBe(false);
      await lease.revoke();
    });

    it("over a unix socket", async () => {
      const directory = await mkdtemp(join(tmpdir(), "litecd-socket-"));
      const path = join(directory, "etcd.sock");
      const { hostname, port } = new URL(server.endpoint);
      const door = createServer((socket) => {
        const inner = connect(Number(port), hostname);
        for (const one of [socket, inner]) one.on("error", () => one.destroy());
        socket.pipe(inner).pipe(socket);
        socket.on("close", () => inner.destroy());
      });
      await new Promise<void>((resolve) => door.listen(path, resolve));
      for (const endpoint of [`unix:${path}`, `unix://${path}`]) {
        await using client = createClient({ endpoints: endpoint });
        await client.put("socket", endpoint);
        expect((await client.get("socket"))?.value).toBe(endpoint);
      }
      await new Promise((resolve) => door.close(resolve));
      await rm(directory, { recursive: true });
    });

    it("are synced with what the server advertises", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using client = createClient({ endpoints: [proxy.endpoint, `http://127.0.0.1:${await freePort()}`] });
      await client.sync();
      expect(client.endpoints).toEqual([server.endpoint]);
      await client.put("synced", "1");
      const info = await client.ready();
      expect(info.leader).toBe(info.endpoints[0]?.memberId);
    });
  });
});

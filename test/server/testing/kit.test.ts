/** The servers for tests: they serve, can be made to fail, begin anew, and leave nothing behind. */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ClientOptions, createClient, type EtcdClient, isEtcdError } from "../../../src/client/index.js";
import { startTestServer, type TestServer } from "../../../src/server/testing/index.js";
import { realEtcdMissing, startRealEtcd } from "../../support/real-etcd.js";

/** The code of the error that a call ends with. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isEtcdError(error)) throw new Error("the call did not fail as an EtcdError", { cause: error });
  return error.code;
}

const hasty: Partial<ClientOptions> = { timeoutMs: 500, connectTimeoutMs: 300 };

async function roundTrip(client: EtcdClient): Promise<string | undefined> {
  await client.put("key", "value");
  return (await client.get("key"))?.value;
}

describe("one member", () => {
  it("serves on a port of its own and takes its directory along when it closes", async () => {
    const server = await startTestServer();
    const health = await fetch(`http://${server.endpoint}/health`);
    expect(await health.text()).toContain('"health":"true"');
    const [member] = server.members;
    expect(existsSync(member?.dataDir ?? "")).toBe(true);
    await server.close();
    expect(existsSync(member?.dataDir ?? "")).toBe(false);
  });

  it("closes the clients it made", async () => {
    const server = await startTestServer();
    const client = server.client();
    expect(await roundTrip(client)).toBe("value");
    await server.close();
    expect(await codeOf(client.get("key"))).toBe("ClientClosed");
  });

  it("lives beside many others", async () => {
    const servers = await Promise.all(Array.from({ length: 6 }, () => startTestServer()));
    await Promise.all(servers.map((server, at) => server.client().put("who", `${at}`)));
    const said = await Promise.all(servers.map(async (server) => (await server.client().get("who"))?.value));
    await Promise.all(servers.map((server) => server.close()));
    expect(said).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  it("keeps data and address over a stop and a start", async () => {
    await using server = await startTestServer();
    const [member] = server.members;
    const client = server.client({ timeoutMs: 10_000 });
    await client.put("key", "value");
    await member?.stop();
    expect(member?.running).toBe(false);
    const waiting = client.get("key");
    await member?.start();
    expect((await waiting)?.value).toBe("value");
    expect(server.endpoint).toBe(member?.endpoint);
  });
});

describe("three members", () => {
  it("serve with one of them down, and not with two", async () => {
    await using server = await startTestServer({ members: 3 });
    const client = server.client();
    const [first, second] = server.members;
    expect(await client.cluster.members()).toHaveLength(3);
    await first?.stop();
    expect(await roundTrip(client)).toBe("value");
    await second?.stop();
    expect(await codeOf(client.put("other", "value", { timeoutMs: 1_500 }))).toMatch(/NoLeader|TimedOut|ConnectFailed/);
    await Promise.all([first?.start(), second?.start()]);
    expect((await client.get("key"))?.value).toBe("value");
  });
});

/** Runs with a client that worked before, and must work again once all is healed. */
async function faulty(work: (server: TestServer, client: EtcdClient) => Promise<void>): Promise<void> {
  await using server = await startTestServer({ faults: true });
  const client = server.client(hasty);
  expect(await roundTrip(client)).toBe("value");
  await work(server, client);
  server.fault.heal();
  expect((await client.get("key", { timeoutMs: 10_000 }))?.value).toBeDefined();
}

describe("faults", () => {
  it("refuse connections", () =>
    faulty(async ({ fault }, client) => {
      fault.refuse();
      expect(await codeOf(client.get("key"))).toMatch(/ConnectFailed|TimedOut/);
      expect(await codeOf(client.get("key"))).toBe("ConnectFailed");
    }));

  it("swallow everything", () =>
    faulty(async ({ fault }, client) => {
      fault.blackHole(0);
      expect(await codeOf(client.get("key"))).toBe("TimedOut");
    }));

  it("cut connections, which costs a client nothing", () =>
    faulty(async ({ fault }, client) => {
      fault.cut();
      expect((await client.get("key", { timeoutMs: 5_000 }))?.value).toBe("value");
    }));

  it("lose replies: the write happens, and its outcome is unknown", () =>
    faulty(async ({ fault, members }, client) => {
      fault.loseReplies();
      await expect(client.put("key", "applied")).rejects.toMatchObject({ outcome: "unknown" });
      fault.heal();
      expect((await client.get("key", { timeoutMs: 10_000 }))?.value).toBe("applied");
      expect(members).toHaveLength(1);
    }));

  it("delay every byte, and keep their order when the delay ends", () =>
    faulty(async ({ fault }, client) => {
      fault.delay(60);
      const began = performance.now();
      const slow = client.put("key", "slow", { timeoutMs: 10_000 });
      await slow;
      expect(performance.now() - began).toBeGreaterThanOrEqual(119);
      const late = client.put("key", "late", { timeoutMs: 10_000 });
      fault.delay(0);
      await late;
      expect((await client.get("key", { timeoutMs: 10_000 }))?.value).toBe("late");
    }));

  it("act on members that there are, and only if asked for", async () => {
    await using server = await startTestServer({ faults: true });
    expect(() => server.fault.cut(1)).toThrow(/no member 1: there are 1/);
    await using plain = await startTestServer();
    expect(() => plain.fault.cut()).toThrow(/faults: true/);
  });
});

describe("TLS", () => {
  it("is spoken with certificates of the kit's own", async () => {
    await using server = await startTestServer({ tls: true, faults: true });
    expect(server.endpoints[0]).toMatch(/^https:/);
    expect(await roundTrip(server.client())).toBe("value");
    await using stranger = createClient({ endpoints: server.endpoints, ...hasty });
    expect(await codeOf(stranger.get("key"))).toBe("ConnectFailed");
  });

  it("asks clients for a certificate when it is mutual", async () => {
    await using server = await startTestServer({ tls: "mutual" });
    expect(await roundTrip(server.client())).toBe("value");
    await using stranger = createClient({ endpoints: server.endpoints, tls: { ca: server.tls?.ca ?? "" }, ...hasty });
    expect(await codeOf(stranger.get("key"))).toBe("ConnectFailed");
  });
});

describe("authentication", () => {
  it("is on, and the kit's clients are root", async () => {
    await using server = await startTestServer({ auth: true });
    expect(await roundTrip(server.client())).toBe("value");
    await using nobody = createClient({ endpoints: server.endpoints });
    expect(await codeOf(nobody.get("key"))).toBe("UserEmpty");
  });
});

describe("reset", () => {
  it("leaves nothing of a test behind but the revision", async () => {
    await using server = await startTestServer({ auth: true, faults: true });
    const client = server.client();
    const lease = await client.leases.grant(60);
    await client.put("key", "value", { lease });
    await client.auth.roles.add("reader");
    await client.auth.users.add("alice", { password: "secret" });
    await server.members[0]?.stop();
    server.fault.refuse();
    await server.reset();
    expect(await client.count({ all: true }, { timeoutMs: 10_000 })).toBe(0);
    expect(await client.leases.list()).toEqual([]);
    expect(await client.auth.roles.list()).toEqual(["root"]);
    expect(await client.auth.users.list()).toEqual(["root"]);
  });
});

describe.skipIf(realEtcdMissing !== undefined)("an etcd that runs already", () => {
  it("is used under a prefix of its own, which goes away", async () => {
    const etcd = await startRealEtcd();
    try {
      await using owner = createClient({ endpoints: etcd.endpoint });
      await owner.put("mine", "kept");
      const server = await startTestServer({ endpoint: etcd.endpoint, faults: true });
      const client = server.client();
      expect(await roundTrip(client)).toBe("value");
      expect(await client.get("mine")).toBeUndefined();
      expect(await owner.count({ all: true })).toBe(2);
      server.fault.cut();
      await server.reset();
      expect(await owner.count({ all: true })).toBe(1);
      await client.put("again", "value", { timeoutMs: 10_000 });
      await server.close();
      expect((await owner.list({ all: true })).kvs.map(({ key }) => key)).toEqual(["mine"]);
    } finally {
      await etcd.stop();
    }
  });

  it("that is gone when the test ends is an error, and leaves no proxy behind", async () => {
    const etcd = await startRealEtcd();
    const server = await startTestServer({ endpoint: etcd.endpoint, faults: true });
    const { endpoint } = server.fault.proxy(0);
    await etcd.stop();
    await expect(server.close()).rejects.toMatchObject({ code: "ConnectFailed" });
    await expect(fetch(endpoint)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
  });

  it("that does not answer is an error that names it", async () => {
    await expect(startTestServer({ endpoint: "127.0.0.1:1" })).rejects.toThrow(/127\.0\.0\.1:1/);
  });
});

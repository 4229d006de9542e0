/** Where calls go, seen on a whole client over a transport that is a cluster by itself. */
import { afterEach, describe, expect, it } from "vitest";
import { Code, status } from "../../proto/status.js";
import { TransportError } from "../../src/client/connection/transport.js";
import { type ClientOptions, createClient, type EtcdClient } from "../../src/client/index.js";
import { FakeCluster } from "./fake-cluster.js";

const open: EtcdClient[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

function clientOf(cluster: FakeCluster, options: Partial<ClientOptions> = {}): EtcdClient {
  const client = createClient({ endpoints: [...cluster.members.keys()], transport: cluster, ...options });
  open.push(client);
  return client;
}

const writesAt = (cluster: FakeCluster, name: string): number =>
  cluster.member(name).asked.filter((method) => method === "Put").length;
const readsAt = (cluster: FakeCluster, name: string): number =>
  cluster.member(name).asked.filter((method) => method === "Range").length;

describe("leader-writes", () => {
  it("sends every write to the leader from the first one on, and spreads reads", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    cluster.leader = 2n;
    const client = clientOf(cluster);
    for (let index = 0; index < 30; index++) {
      await client.put("k", "v");
      await client.get("k");
    }
    expect(writesAt(cluster, "b")).toBe(30);
    expect(["a", "b", "c"].map((name) => readsAt(cluster, name))).toEqual([10, 10, 10]);
  });

  it.each([
    ["a lease is granted", "LeaseGrant", (client: EtcdClient) => client.raw.lease.leaseGrant({ TTL: 5n, ID: 1n })],
    ["a lease is revoked", "LeaseRevoke", (client: EtcdClient) => client.raw.lease.leaseRevoke({ ID: 1n })],
    ["a lease is looked at", "LeaseTimeToLive", (client: EtcdClient) => client.raw.lease.leaseTimeToLive({ ID: 1n })],
    ["history is compacted", "Compact", (client: EtcdClient) => client.compact(3n)],
    ["the leader is moved", "MoveLeader", (client: EtcdClient) => client.maintenance.moveLeader(1n)],
    ["a user is added", "UserAdd", (client: EtcdClient) => client.raw.auth.userAdd({ name: "u" })],
    ["a member is added", "MemberAdd", (client: EtcdClient) => client.raw.cluster.memberAdd({ peerURLs: ["x"] })],
  ])("goes to the leader when %s", async (_what, method, call) => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    cluster.leader = 3n;
    const client = clientOf(cluster);
    for (let index = 0; index < 4; index++) await call(client);
    expect(cluster.member("c").asked).toEqual(Array.from({ length: 4 }, () => method));
  });

  it("takes a transaction that changes nothing for the read it is", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    const range = { request: { $case: "requestRange" as const, value: { key: Uint8Array.of(1) } } };
    for (let index = 0; index < 6; index++) await client.raw.kv.txn({ success: [range] });
    expect(["a", "b", "c"].map((name) => cluster.member(name).asked.length)).toEqual([2, 2, 2]);
    cluster.member("a").failures.push(lost());
    cluster.member("b").failures.push(lost());
    cluster.member("c").failures.push(lost());
    await client.raw.kv.txn({ success: [range] });
  });

  it("learns the leader from headers that name it, without asking", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    for (const member of cluster.members.values()) member.hints = true;
    const client = clientOf(cluster);
    await client.put("k", "v");
    const statuses = cluster.member("a").statusCount;
    cluster.leader = 3n;
    cluster.term = 3n;
    await client.get("k");
    await client.put("k", "v");
    expect(writesAt(cluster, "c")).toBe(1);
    expect(cluster.member("a").statusCount).toBe(statuses);
  });

  it("believes a hint no longer once a header shows a higher term, and asks", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.leader = 3n;
    cluster.term = 3n;
    await client.get("k");
    await expect
      .poll(async () => {
        const before = writesAt(cluster, "c");
        await client.put("k", "v");
        return writesAt(cluster, "c") - before;
      })
      .toBe(1);
  });

  it("does not ask the member again in the same call that has just refused, leader or first in the list", async () => {
    const refused = new TransportError(status.NoLeader.message, { grpcStatus: status.NoLeader.code, sent: true });
    for (const routing of ["leader-writes", "pinned"] as const) {
      const cluster = new FakeCluster(["a", "b"]);
      const client = clientOf(cluster, { routing });
      await client.put("k", "v");
      cluster.member("a").failures.push(refused, refused);
      await client.put("k", "v");
      expect(["a", "b"].map((name) => writesAt(cluster, name))).toEqual([2, 1]);
    }
  });

  it("waits for the successor of a leader that was lost, however long others believe in that one", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.member("a").up = false;
    const asked = cluster.member("b").statusCount;
    const put = client.put("k", "v");
    await expect.poll(() => cluster.member("b").statusCount).toBeGreaterThan(asked + 1);
    expect(["b", "c"].map((name) => writesAt(cluster, name))).toEqual([0, 0]);
    cluster.leader = 3n;
    cluster.term = 3n;
    await put;
    expect(["b", "c"].map((name) => writesAt(cluster, name))).toEqual([0, 1]);
  });

  it("asks twice a second, however many writes there are, while nobody leads", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    cluster.leader = 0n;
    let nowMs = 0;
    const client = clientOf(cluster, { clock: { now: () => nowMs } });
    await client.put("k", "v");
    const introduced = cluster.member("a").statusCount;
    for (const halfSeconds of [1, 2, 3]) {
      nowMs = halfSeconds * 500;
      for (let index = 0; index < 10; index++) await client.put("k", "v");
      expect(cluster.member("a").statusCount - introduced).toBe(halfSeconds);
    }
  });

  it("tells of a member that knows no leader", async () => {
    const cluster = new FakeCluster(["a"]);
    const client = clientOf(cluster);
    const { code, message } = status.NoLeader;
    cluster.member("a").failures.push(new TransportError(message, { grpcStatus: code, sent: true }));
    const events = client.status();
    await client.put("k", "v");
    const told = { type: "unhealthy", endpoint: "a", attempt: 1, cause: { message } };
    expect([(await events.next()).value, (await events.next()).value]).toMatchObject([{ type: "connected" }, told]);
  });

  it("tries an endpoint again that failed a while ago", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    let nowMs = 0;
    const client = clientOf(cluster, { routing: "spread", clock: { now: () => nowMs } });
    cluster.member("a").up = false;
    for (let index = 0; index < 4; index++) await client.get("k");
    cluster.member("a").up = true;
    nowMs = 4_000;
    for (let index = 0; index < 4; index++) await client.get("k");
    expect(["a", "b"].map((name) => readsAt(cluster, name))).toEqual([0, 8]);
    nowMs = 5_001;
    for (let index = 0; index < 4; index++) await client.get("k");
    expect(["a", "b"].map((name) => readsAt(cluster, name))).toEqual([2, 10]);
  });

  it("never fails for a wrong hint", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    cluster.leader = 99n;
    for (const member of cluster.members.values()) member.hints = true;
    const client = clientOf(cluster);
    for (let index = 0; index < 30; index++) await client.put("k", "v");
    expect(["a", "b", "c"].map((name) => writesAt(cluster, name))).toEqual([10, 10, 10]);
    const asked = ["a", "b", "c"].reduce((sum, name) => sum + cluster.member(name).statusCount, 0);
    expect(asked).toBeLessThanOrEqual(6);
  });

  it("uses the others while the leader cannot be reached, and comes back when it can", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.member("a").up = false;
    await expect(client.put("k", "v")).resolves.toBeDefined();
    expect(writesAt(cluster, "b") + writesAt(cluster, "c")).toBe(1);
    cluster.member("a").up = true;
    const before = writesAt(cluster, "a");
    await expect
      .poll(async () => {
        await client.put("k", "v");
        return writesAt(cluster, "a") - before;
      })
      .toBeGreaterThan(0);
  });

  it("is off for an endpoint that several members share", async () => {
    const cluster = new FakeCluster(["proxy", "b"]);
    const client = clientOf(cluster);
    for (let index = 0; index < 12; index++) {
      cluster.member("proxy").memberId = [1n, 3n, 4n][index % 3] ?? 1n;
      await client.get("k");
      await client.put("k", "v");
    }
    const before = writesAt(cluster, "proxy");
    for (let index = 0; index < 10; index++) {
      cluster.member("proxy").memberId = [1n, 3n, 4n][index % 3] ?? 1n;
      await client.put("k", "v");
    }
    expect(writesAt(cluster, "proxy") - before).toBe(5);
  });

  it("keeps to a member that was replaced behind its endpoint", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.member("a").memberId = 5n;
    cluster.leader = 5n;
    cluster.term = 3n;
    await client.put("k", "v");
    await expect
      .poll(async () => {
        const before = writesAt(cluster, "a");
        for (let index = 0; index < 4; index++) await client.put("k", "v");
        return writesAt(cluster, "a") - before;
      })
      .toBe(4);
  });
});

describe("other routings", () => {
  it("spread: writes and reads in turn", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster, { routing: "spread" });
    for (let index = 0; index < 6; index++) await client.put("k", "v");
    expect(["a", "b", "c"].map((name) => writesAt(cluster, name))).toEqual([2, 2, 2]);
  });

  it("pinned: all on the first that works, and nothing is asked of the others", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster, { routing: "pinned" });
    for (let index = 0; index < 6; index++) await client.put("k", "v");
    expect(writesAt(cluster, "a")).toBe(6);
    expect(cluster.member("b").statusCount).toBe(0);
    cluster.member("a").up = false;
    await client.get("k");
    await client.put("k", "v");
    expect(writesAt(cluster, "b")).toBe(1);
  });

  it("nearest: reads by the shortest round trip, writes to the leader", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    cluster.member("a").delayMs = 60;
    cluster.member("b").delayMs = 30;
    const client = clientOf(cluster, { routing: "nearest" });
    await client.ready();
    for (let index = 0; index < 10; index++) await client.get("k");
    await client.put("k", "v");
    expect(["a", "b", "c"].map((name) => readsAt(cluster, name))).toEqual([0, 0, 10]);
    expect(writesAt(cluster, "a")).toBe(1);
  });
});

describe("a target", () => {
  it("names a member, whose endpoint is found by asking", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster, { routing: "spread" });
    await client.get("k", { target: { memberId: 3n } });
    expect(readsAt(cluster, "c")).toBe(1);
  });

  it("that is no endpoint's member is a clear error", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    await expect(client.get("k", { target: { memberId: 0xabcn } })).rejects.toMatchObject({
      code: "UnknownMember",
      outcome: "not-applied",
      message: "no endpoint is member abc",
    });
  });

  it("that may be behind an endpoint which is down is waited for", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    cluster.member("b").up = false;
    const client = clientOf(cluster);
    const get = client.get("k", { target: { memberId: 2n } });
    await expect(client.get("k", { target: { memberId: 2n }, timeoutMs: 100 })).rejects.toMatchObject({
      code: "ConnectFailed",
    });
    cluster.member("b").up = true;
    await get;
    expect(readsAt(cluster, "b")).toBe(1);
  });
});

describe("learners", () => {
  it("are known by their refusal where nobody was asked who he is", async () => {
    const cluster = new FakeCluster(["voter", "learner"]);
    const client = clientOf(cluster, { routing: "spread" });
    const { code, message } = status.NotSupportedForLearner;
    cluster.member("learner").learner = true;
    cluster.member("learner").failures.push(new TransportError(message, { grpcStatus: code, sent: true }));
    for (let index = 0; index < 8; index++) await client.get("k");
    expect(["voter", "learner"].map((name) => readsAt(cluster, name))).toEqual([8, 1]);
  });

  it("are not used while a voter works", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    cluster.member("c").learner = true;
    const client = clientOf(cluster);
    for (let index = 0; index < 9; index++) await client.get("k", { consistency: "linearizable" });
    expect(readsAt(cluster, "c")).toBe(0);
  });

  it("are left at once when they say what they are", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    const client = clientOf(cluster, { routing: "pinned" });
    const { code, message } = status.NotSupportedForLearner;
    cluster.member("a").learner = true;
    cluster.member("a").failures.push(new TransportError(message, { grpcStatus: code, sent: true }));
    await client.put("k", "v");
    await client.put("k", "v");
    expect([writesAt(cluster, "a"), writesAt(cluster, "b")]).toEqual([1, 2]);
  });
});

describe("serializable reads", () => {
  it("stay with one member, and leave it when it falls behind what was read", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster);
    const read = (): Promise<unknown> => client.get("k", { consistency: "serializable" });
    for (let index = 0; index < 9; index++) await read();
    const counts = ["a", "b", "c"].map((name) => readsAt(cluster, name));
    expect(counts.filter((count) => count > 0)).toEqual([9]);
    const steady = ["a", "b", "c"][counts.indexOf(9)] ?? "";
    cluster.member(steady).revision = 9n;
    const { header } = await client.list("k", { consistency: "serializable" });
    expect(header.revision).toBe(10n);
  });

  it("are spread if the client is to spread", async () => {
    const cluster = new FakeCluster(["a", "b", "c"]);
    const client = clientOf(cluster, { routing: "spread" });
    for (let index = 0; index < 9; index++) await client.get("k", { consistency: "serializable" });
    expect(["a", "b", "c"].map((name) => readsAt(cluster, name))).toEqual([3, 3, 3]);
  });
});

describe("another cluster", () => {
  it("in the list is outvoted, and is sent nothing but the question who it is", async () => {
    const cluster = new FakeCluster(["foreign", "b", "c"]);
    cluster.member("foreign").clusterId = 8n;
    const client = clientOf(cluster);
    const events = client.status();
    for (let index = 0; index < 9; index++) {
      await client.put("k", "v");
      await client.get("k");
    }
    expect(cluster.member("foreign").asked).toEqual([]);
    const seen: unknown[] = [];
    for await (const event of events) {
      seen.push(event);
      if (event.type === "unhealthy") break;
    }
    expect(seen.at(-1)).toMatchObject({ endpoint: "foreign", cause: { code: "WrongCluster" } });
  });

  it("that comes later is written nothing, and its answers reach nobody", async () => {
    const cluster = new FakeCluster(["a"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.add("foreign", { clusterId: 8n });
    client.setEndpoints(["foreign", "a"]);
    for (let index = 0; index < 6; index++) {
      await client.put("k", "v");
      await client.get("k");
    }
    expect(cluster.member("foreign").asked.filter((name) => name !== "Range")).toEqual([]);
    expect(readsAt(cluster, "foreign")).toBeLessThanOrEqual(1);
    expect(writesAt(cluster, "a")).toBe(7);
    client.setEndpoints(["foreign"]);
    await expect(client.put("k", "v")).rejects.toMatchObject({ code: "WrongCluster", outcome: "not-applied" });
    await expect(client.get("k")).rejects.toMatchObject({ code: "WrongCluster" });
    expect(writesAt(cluster, "foreign")).toBe(0);
  });

  it("behind an endpoint that was reconnected is found before anything is written", async () => {
    const cluster = new FakeCluster(["a"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.member("a").up = false;
    const put = client.put("k", "v").catch((error: unknown) => error);
    await expect(client.get("k", { timeoutMs: 60 })).rejects.toMatchObject({ outcome: "not-applied" });
    cluster.member("a").clusterId = 8n;
    cluster.member("a").up = true;
    expect(await put).toMatchObject({ code: "WrongCluster", outcome: "not-applied" });
    expect(writesAt(cluster, "a")).toBe(1);
  });

  it("behind a connection that the transport has made anew is found before anything is written", async () => {
    const cluster = new FakeCluster(["a"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.member("a").clusterId = 8n;
    cluster.blink("a");
    await expect(client.put("k", "v")).rejects.toMatchObject({ code: "WrongCluster", outcome: "not-applied" });
    expect(writesAt(cluster, "a")).toBe(1);
  });

  it("that a spread read finds first gives its caller nothing", async () => {
    const cluster = new FakeCluster(["a"]);
    const client = clientOf(cluster, { routing: "spread" });
    await client.put("k", "v");
    cluster.add("foreign", { clusterId: 8n });
    client.setEndpoints(["foreign", "a"]);
    for (let index = 0; index < 4; index++) expect((await client.list("k")).header.clusterId).toBe(7n);
    expect(readsAt(cluster, "foreign")).toBe(1);
  });

  it("can be looked at by name", async () => {
    const cluster = new FakeCluster(["a", "b"]);
    const client = clientOf(cluster);
    await client.put("k", "v");
    cluster.add("foreign", { clusterId: 8n, memberId: 5n });
    const { header } = await client.maintenance.status({ target: { endpoint: "foreign" } });
    expect(header.clusterId).toBe(8n);
    await expect(client.put("k", "v", { target: { endpoint: "foreign" } })).rejects.toMatchObject({
      code: "WrongCluster",
    });
    await client.put("k", "v");
    expect(writesAt(cluster, "foreign")).toBe(0);
  });
});

function lost(): TransportError {
  return new TransportError("connection reset", { grpcStatus: Code.UNAVAILABLE, sent: true });
}

/** When leases are renewed, where, and what becomes of them when nobody answers: with fake timers, to the millisecond. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createClient, type EtcdClient, type Lease } from "../../src/client/index.js";
import { FakeKeepAlive } from "./fake-keepalive.js";

let cluster: FakeKeepAlive;
let client: EtcdClient;
/** What the client's clock shows more than the timers: the time this process was suspended. */
let suspendedMs: number;

function begin(names: readonly string[]): void {
  cluster = new FakeKeepAlive(names);
  suspendedMs = 0;
  const clock = { now: () => performance.now() + suspendedMs };
  client = createClient({ endpoints: names, transport: cluster, clock });
}

async function grant(id = 5n): Promise<Lease> {
  const granting = client.leases.grant(9, { id });
  await vi.advanceTimersByTimeAsync(0);
  return granting;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(async () => {
  await client.close();
  vi.useRealTimers();
});

describe("renewals of a lease", () => {
  it("are sent at a third of the TTL, one at a time, on one stream", async () => {
    begin(["a"]);
    const lease = await grant();
    await vi.advanceTimersByTimeAsync(2_999);
    expect(cluster.at("a").renewals).toEqual([]);
    await vi.advanceTimersByTimeAsync(12_001);
    const times = cluster.at("a").renewals.map(({ atMs }) => atMs);
    expect(times).toHaveLength(5);
    for (const [index, atMs] of times.slice(1).entries()) expect(atMs - (times[index] ?? 0)).toBe(3_000);
    expect(cluster.at("a").streamCount).toBe(1);
    expect(lease).toMatchObject({ state: "held", ttl: 9 });
  });

  it("count from when they were sent: without an answer the lease ends a whole TTL after the last one, once", async () => {
    begin(["a"]);
    const lease = await grant();
    let losses = 0;
    lease.signal.addEventListener("abort", () => losses++);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(lease.remainingMs).toBe(9_000);
    cluster.at("a").mode = "silent";
    // A whole millisecond is given away, because timers count no finer.
    await vi.advanceTimersByTimeAsync(8_998);
    expect(lease).toMatchObject({ state: "held" });
    await vi.advanceTimersByTimeAsync(2);
    expect(lease).toMatchObject({ state: "lost", remainingMs: 0 });
    expect(await lease.lost).toMatchObject({ reason: "unreachable", outcome: "not-applied" });
    cluster.at("a").mode = "answers";
    const { length } = cluster.at("a").renewals;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(cluster.at("a").renewals).toHaveLength(length);
    expect({ state: lease.state, losses }).toEqual({ state: "lost", losses: 1 });
  });

  it("leave an endpoint that does not answer, ends the stream, refuses, or has no leader", async () => {
    for (const mode of ["silent", "ending", "refuses", "no leader"] as const) {
      begin(["a", "b"]);
      const lease = await grant();
      await vi.advanceTimersByTimeAsync(3_000);
      expect(cluster.at("a").renewals).toHaveLength(1);
      cluster.at("a").mode = mode;
      await vi.advanceTimersByTimeAsync(12_000);
      expect(lease.state).toBe("held");
      expect(cluster.at("b").renewals.length).toBeGreaterThan(0);
      await client.close();
    }
  });

  it("pause between streams that a server ends without a word", async () => {
    begin(["a"]);
    cluster.at("a").mode = "ending";
    const lease = await grant();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(cluster.at("a").streamCount).toBeGreaterThan(2);
    expect(cluster.at("a").streamCount).toBeLessThan(100);
    cluster.at("a").mode = "answers";
    await vi.advanceTimersByTimeAsync(3_000);
    expect(lease.remainingMs).toBeGreaterThan(6_500);
  });

  it("do not wait for a leader that was lost", async () => {
    begin(["a", "b", "c"]);
    const lease = await grant();
    await vi.advanceTimersByTimeAsync(3_000);
    cluster.at("a").mode = "refuses";
    // Both others go on naming the old leader, so its successor would be waited for three seconds.
    const before = performance.now();
    cluster.at("a").mode = "silent";
    await vi.advanceTimersByTimeAsync(6_100);
    const first = [...cluster.at("b").renewals, ...cluster.at("c").renewals].map(({ atMs }) => atMs - before);
    expect(Math.min(...first)).toBeLessThanOrEqual(6_010);
    expect(lease.remainingMs).toBeGreaterThan(8_000);
  });

  it("go to the leader, and move to it when another one leads", async () => {
    begin(["a", "b", "c"]);
    cluster.leader = 2n;
    await grant();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(cluster.at("b").renewals.length).toBeGreaterThan(1);
    const elsewhere = cluster.at("a").renewals.length + cluster.at("c").renewals.length;
    expect(elsewhere).toBeLessThanOrEqual(1);
    cluster.leader = 3n;
    cluster.term = 3n;
    // The next renewal shows the term, and another write asks who leads in it.
    await vi.advanceTimersByTimeAsync(3_000);
    await grant(6n);
    const { length } = cluster.at("c").renewals;
    await vi.advanceTimersByTimeAsync(12_000);
    expect(cluster.at("c").renewals.length - length).toBeGreaterThanOrEqual(5);
    expect(cluster.at("c").streamCount).toBe(1);
  });

  it("share one stream, and are told apart when two hold the same lease", async () => {
    begin(["a"]);
    const leases = await Promise.all([grant(5n), grant(6n), grant(7n)]);
    const attaching = client.leases.attach(5n);
    await vi.advanceTimersByTimeAsync(0);
    const attached = await attaching;
    await vi.advanceTimersByTimeAsync(30_000);
    expect([...leases, attached].map(({ state }) => state)).toEqual(["held", "held", "held", "held"]);
    expect(cluster.at("a").streamCount).toBe(1);
    expect(cluster.at("a").renewals.filter(({ id }) => id === 6n)).toHaveLength(10);
  });

  it("stop when the lease is released, and begin on a new stream for the next lease", async () => {
    begin(["a"]);
    const first = await grant(5n);
    await vi.advanceTimersByTimeAsync(3_000);
    first.release();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(first.signal.reason).toMatchObject({ reason: "expired" });
    expect(cluster.at("a").renewals).toHaveLength(1);
    const second = await grant(6n);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(second.state).toBe("held");
    expect(cluster.at("a").streamCount).toBe(2);
  });

  it("of a lease of centuries do not come in a rush", async () => {
    begin(["a"]);
    cluster.ttlSeconds = 9_000_000_000n;
    const lease = await grant();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(cluster.at("a").renewals).toHaveLength(0);
    expect(lease.remainingMs).toBeGreaterThan(8_000_000_000_000);
  });
});

describe("a process that was suspended", () => {
  it("suspects its lease until it is renewed, if it was away for more than a third of the TTL", async () => {
    begin(["a"]);
    cluster.ttlSeconds = 30n;
    const lease = await grant();
    cluster.at("a").mode = "silent";
    suspendedMs = 11_000;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(lease).toMatchObject({ state: "suspect", remainingMs: 0 });
    expect(lease.signal.aborted).toBe(false);
    cluster.at("a").mode = "answers";
    // The silent stream is left, and after a pause another one is tried.
    await vi.advanceTimersByTimeAsync(4_000);
    expect(lease.state).toBe("held");
    expect(lease.remainingMs).toBeGreaterThan(28_000);
  });

  it("has lost it if it was away for longer than the TTL", async () => {
    begin(["a"]);
    const lease = await grant();
    suspendedMs = 9_000;
    expect(lease).toMatchObject({ state: "lost", remainingMs: 0 });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(lease.signal.reason).toMatchObject({ reason: "unreachable" });
  });
});

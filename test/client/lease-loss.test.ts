/** What a lease claims, and what it tells when it is lost: with endpoints whose every answer is decided here. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Code, status } from "../../proto/status.js";
import { createClient, type EtcdClient, type Lease, observe, TransportError } from "../../src/client/index.js";
import { FakeKeepAlive } from "./fake-keepalive.js";

const clients: EtcdClient[] = [];

function connected(transport: FakeKeepAlive): EtcdClient {
  const client = createClient({
    endpoints: [...transport.endpoints.keys()],
    transport,
    clock: { now: () => Date.now() },
  });
  clients.push(client);
  return client;
}

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

describe("a lease that was lost", () => {
  it("tells which endpoint failed, and how", async () => {
    vi.useFakeTimers();
    const transport = new FakeKeepAlive(["one:1"]);
    const lease = await connected(transport).leases.grant(9);
    transport.at("one:1").mode = "refuses";
    await vi.advanceTimersByTimeAsync(9_500);
    expect(lease.signal.reason).toMatchObject({ reason: "unreachable", cause: { endpoint: "one:1" } });
  });

  it("tells that a server took renewals and said nothing", async () => {
    vi.useFakeTimers();
    const transport = new FakeKeepAlive(["one:1"]);
    const lease = await connected(transport).leases.grant(9);
    transport.at("one:1").mode = "silent";
    await vi.advanceTimersByTimeAsync(9_500);
    const { cause } = lease.signal.reason as { cause?: unknown };
    expect(String(cause)).toMatch(/one:1: no answer to a renewal/);
  });
});

async function revoking(error: TransportError): Promise<{ lease: Lease; failure: unknown }> {
  const transport = new FakeKeepAlive(["one:1"]);
  transport.revocation = error;
  const lease = await connected(transport).leases.grant(60);
  try {
    await lease.revoke();
  } catch (failure) {
    return { lease, failure };
  }
  throw new Error("the revocation was to fail");
}

describe("a revocation that failed", () => {
  it("because there is no such lease ends the claim", async () => {
    const { code: grpcStatus, message } = status.LeaseNotFound;
    const { lease, failure } = await revoking(new TransportError(message, { grpcStatus, sent: true }));
    expect(failure).toMatchObject({ code: "LeaseNotFound" });
    expect(lease.state).toBe("lost");
    expect(lease.signal.reason).toMatchObject({ reason: "revoked" });
  });

  it("without an answer leaves the lease suspect until a renewal tells", async () => {
    const { lease, failure } = await revoking(
      new TransportError("Connection dropped", { grpcStatus: Code.UNAVAILABLE, sent: true }),
    );
    expect(failure).toMatchObject({ outcome: "unknown" });
    expect(lease).toMatchObject({ state: "suspect", remainingMs: 0 });
    await expect.poll(() => lease.state).toBe("held");
  });

  it("and was never sent leaves the lease held", async () => {
    const { lease } = await revoking(
      new TransportError("trying to send message larger than max", {
        grpcStatus: Code.RESOURCE_EXHAUSTED,
        sent: false,
      }),
    );
    expect(lease.state).toBe("held");
  });
});

describe("renewals of a lease of months", () => {
  it("go on after the first answer", async () => {
    vi.useFakeTimers();
    const transport = new FakeKeepAlive(["one:1"]);
    // More than a timer can count.
    transport.ttlSeconds = 40n * 24n * 3_600n;
    const answers = connected(transport).raw.lease.keepAlive(5n)[Symbol.asyncIterator]();
    expect(await answers.next()).toMatchObject({ done: false });
    const second = answers.next();
    await vi.advanceTimersByTimeAsync(15 * 24 * 3_600_000);
    expect(await second).toMatchObject({ done: false, value: { TTL: transport.ttlSeconds } });
    await answers.return?.();
  });
});

describe("a change of the leader", () => {
  it("is published once", async () => {
    const told: unknown[] = [];
    using _ = observe("litecd:leader", (change) => told.push(change));
    const client = connected(new FakeKeepAlive(["one:1", "two:2"]));
    await client.ready();
    expect(told).toEqual([{ memberId: 1n, term: 2n }]);
  });
});

/** The retry matrix, through a client whose transport does as it is told. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Code, type StatusName, status } from "../../proto/status.js";
import { backoffMs } from "../../src/client/calls/retry.js";
import type { Connection, Duplex, Method, Transport, WireCall } from "../../src/client/connection/transport.js";
import { TransportError } from "../../src/client/connection/transport.js";
import { type ClientOptions, createClient, type EtcdError } from "../../src/client/index.js";

/** What one attempt meets. */
type Fate = "ok" | { readonly grpcStatus: number; readonly message: string; readonly sent?: boolean } | "hang";

interface Attempt {
  readonly endpoint: string;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly deadlineMs: number | undefined;
}

/** A transport that meets each attempt with the next fate, and with "ok" when there is none left. */
class ScriptedTransport implements Transport {
  readonly attempts: Attempt[] = [];
  /** How long each connection was given to become ready. */
  readonly connectMs: number[] = [];
  connected = true;
  /** Called with each attempt, before its fate. */
  meanwhile: () => void = () => {};
  private readonly fates: Fate[];

  constructor(fates: readonly Fate[]) {
    this.fates = [...fates];
  }

  connect(endpoint: string): Connection {
    return {
      isReady: () => this.connected,
      ready: async ({ timeoutMs }) => {
        this.connectMs.push(timeoutMs);
      },
      unary: (method, _request, call) => this.answer(endpoint, method, call),
      serverStream: () => never(),
      duplex: <Req, Res>(): Duplex<Req, Res> => never(),
      close: () => {},
    };
  }

  private async answer<Req, Res>(endpoint: string, method: Method<Req, Res>, call: WireCall): Promise<Res> {
    // The client's own questions are no attempts.
    if (method.path.endsWith("/Status")) return method.decode(Buffer.alloc(0));
    this.attempts.push({ endpoint, path: method.path, metadata: call.metadata, deadlineMs: call.deadlineMs });
    this.meanwhile();
    const fate = this.fates.shift() ?? "ok";
    if (fate === "ok") return method.decode(Buffer.alloc(0));
    if (fate === "hang") {
      await new Promise<void>((resolve) => call.signal?.addEventListener("abort", () => resolve()));
      throw new TransportError("Call cancelled", { grpcStatus: Code.CANCELLED, sent: true });
    }
    throw new TransportError(fate.message, { grpcStatus: fate.grpcStatus, sent: fate.sent ?? true });
  }
}

function never(): never {
  throw new Error("this test opens no stream");
}

const refusal = (name: StatusName): Fate => ({ grpcStatus: status[name].code, message: status[name].message });
const dropped: Fate = { grpcStatus: Code.UNAVAILABLE, message: "Connection dropped" };

function scripted(fates: readonly Fate[], options: Partial<ClientOptions> = {}) {
  const transport = new ScriptedTransport(fates);
  const client = createClient({ endpoints: ["a", "b"], routing: "spread", transport, ...options });
  return { transport, client };
}

async function failureOf(promise: Promise<unknown>): Promise<EtcdError> {
  return promise.then(
    () => {
      throw new Error("the call went well");
    },
    (error: unknown) => error as EtcdError,
  );
}

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a write", () => {
  it.each<[string, Fate]>([
    ["it never left", { grpcStatus: Code.UNAVAILABLE, message: "No connection established", sent: false }],
    ["the member knew no leader", refusal("NoLeader")],
    ["the server had too many requests", refusal("TooManyRequests")],
    ["the member is a learner", refusal("NotSupportedForLearner")],
    ["3.5 says so with another code", { grpcStatus: Code.UNAVAILABLE, message: status.NotSupportedForLearner.message }],
  ])("is repeated when %s", async (_why, fate) => {
    const { transport, client } = scripted([fate]);
    await client.put("k", "v");
    expect(transport.attempts).toHaveLength(2);
  });

  it.each<[StatusName]>([
    ["Stopped"],
    ["Timeout"],
    ["TimeoutDueToLeaderFail"],
    ["TimeoutDueToConnectionLost"],
    ["LeaderChanged"],
    ["RaftProposalDropped"],
    ["Canceled"],
    ["ContextDeadlineExceeded"],
    ["Corrupt"],
  ])("is not repeated after %s, and its outcome is unknown", async (name) => {
    const { transport, client } = scripted([refusal(name)]);
    expect(await failureOf(client.put("k", "v"))).toMatchObject({
      code: name,
      outcome: "unknown",
      attempts: 1,
      retryable: name !== "Corrupt",
      serverMessage: status[name].message,
    });
    expect(transport.attempts).toHaveLength(1);
  });

  it.each<[string, Fate]>([
    ["a dropped connection", dropped],
    ["a CANCELLED nobody asked for", { grpcStatus: Code.CANCELLED, message: "Call cancelled" }],
    ["a DEADLINE_EXCEEDED ahead of time", { grpcStatus: Code.DEADLINE_EXCEEDED, message: "too slow" }],
    ["a broken stream", { grpcStatus: Code.INTERNAL, message: "Received RST_STREAM with code 2" }],
    ["a transport out of breath", { grpcStatus: Code.RESOURCE_EXHAUSTED, message: "Bandwidth exhausted" }],
    ["words nobody knows", { grpcStatus: Code.UNKNOWN, message: "something else" }],
  ])("is not repeated after %s, and its outcome is unknown", async (_what, fate) => {
    const { transport, client } = scripted([fate]);
    expect(await failureOf(client.put("k", "v"))).toMatchObject({ outcome: "unknown", attempts: 1 });
    expect(transport.attempts).toHaveLength(1);
  });

  it.each<[StatusName]>([
    ["EmptyKey"],
    ["NoSpace"],
    ["LeaseNotFound"],
    ["PermissionDenied"],
    ["TooManyOps"],
    ["RequestTooLarge"],
    ["Unhealthy"],
    ["InvalidAuthToken"],
  ])("is refused for good by %s", async (name) => {
    const { transport, client } = scripted([refusal(name)]);
    expect(await failureOf(client.put("k", "v"))).toMatchObject({
      code: name,
      outcome: "not-applied",
      retryable: false,
    });
    expect(transport.attempts).toHaveLength(1);
  });

  it("is repeated after anything that may pass if the caller vouches for it", async () => {
    const { transport, client } = scripted([dropped, refusal("LeaderChanged"), refusal("Timeout")]);
    await client.put("k", "v", { retry: "idempotent" });
    expect(transport.attempts).toHaveLength(4);
  });

  it("stays unknown when a later attempt is refused", async () => {
    const { client } = scripted([dropped, refusal("NoSpace")]);
    expect(await failureOf(client.put("k", "v", { retry: "idempotent" }))).toMatchObject({
      code: "NoSpace",
      outcome: "unknown",
      attempts: 2,
    });
  });

  it("fails fast when every member says that there is no leader", async () => {
    const { client } = scripted(Array.from({ length: 200 }, () => refusal("NoLeader")));
    const startMs = performance.now();
    expect(await failureOf(client.put("k", "v"))).toMatchObject({ code: "NoLeader", outcome: "not-applied" });
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  it("is offered around for no longer than its patience while there is no leader, however long a pause would be", async () => {
    vi.useFakeTimers();
    const { transport, client } = scripted(Array.from({ length: 200 }, () => refusal("NoLeader")));
    const random = vi.spyOn(Math, "random").mockReturnValue(0.99);
    for (let pause = 0; pause < 6; pause++) random.mockReturnValueOnce(0);
    const failing = failureOf(client.put("k", "v"));
    await vi.advanceTimersByTimeAsync(599);
    const { length } = transport.attempts;
    await vi.advanceTimersByTimeAsync(3);
    // One more at the end: an election that was nearly over is over by then.
    expect(transport.attempts.length).toBeGreaterThan(length);
    expect(await failing).toMatchObject({ code: "NoLeader", outcome: "not-applied" });
  });

  it("asks for a leader, as a linearizable read does", async () => {
    const { transport, client } = scripted([]);
    await client.put("k", "v");
    await client.get("k");
    await client.get("k", { consistency: "serializable" });
    await client.put("k", "v", { requireLeader: false });
    const asked = transport.attempts.map(({ metadata }) => metadata["hasleader"]);
    expect(asked).toEqual(["true", "true", undefined, undefined]);
    expect(transport.attempts[0]?.metadata["client-api-version"]).toBe("3.7");
  });
});

describe("a read", () => {
  it("is repeated elsewhere after whatever may pass", async () => {
    const passing: Fate[] = [dropped, refusal("LeaderChanged"), refusal("Timeout"), refusal("Stopped")];
    const { transport, client } = scripted(passing);
    await client.get("k");
    expect(
      transport.attempts
        .map(({ endpoint }) => endpoint)
        .slice(0, 2)
        .toSorted(),
    ).toEqual(["a", "b"]);
    expect(transport.attempts).toHaveLength(5);
  });

  it("is not repeated if the caller does not want it", async () => {
    const { transport, client } = scripted([dropped]);
    expect(await failureOf(client.get("k", { retry: "none" }))).toMatchObject({ outcome: "not-applied", attempts: 1 });
    expect(transport.attempts).toHaveLength(1);
  });

  it("gives up at its deadline with what it knows", async () => {
    const { client } = scripted(Array.from({ length: 200 }, () => dropped));
    const error = await failureOf(client.get("k", { timeoutMs: 150 }));
    expect(error).toMatchObject({ code: "TimedOut", grpcStatus: 4, outcome: "not-applied", retryable: true });
    expect(error.message).toContain("a: Connection dropped");
    expect(error.message).toContain("b: Connection dropped");
  });

  it("stops after as many attempts as the policy allows", async () => {
    const { transport, client } = scripted(
      Array.from({ length: 200 }, () => dropped),
      { retry: { maxAttempts: 3 } },
    );
    expect(await failureOf(client.get("k"))).toMatchObject({ code: "ConnectionLost", attempts: 3 });
    expect(transport.attempts).toHaveLength(3);
  });
});

describe("the time of a call", () => {
  it("is divided among its attempts: each has what the ones before have left", async () => {
    let nowMs = 0;
    const { transport, client } = scripted([dropped, dropped, dropped], { clock: { now: () => nowMs } });
    transport.meanwhile = () => {
      nowMs += 200;
    };
    await client.get("k", { timeoutMs: 1_000 });
    expect(transport.attempts.map(({ deadlineMs }) => deadlineMs)).toEqual([1_000, 800, 600, 400]);
    const late = scripted([dropped, dropped], { clock: { now: () => nowMs } });
    late.transport.meanwhile = transport.meanwhile;
    await expect(late.client.get("k", { timeoutMs: 400 })).rejects.toMatchObject({ code: "TimedOut", attempts: 2 });
  });

  it("is the time for its connections, too", async () => {
    const { transport, client } = scripted([], { connectTimeoutMs: 700, clock: { now: () => 0 } });
    transport.connected = false;
    await client.get("k", { timeoutMs: 300 });
    await client.get("k", { timeoutMs: 9_000 });
    expect(transport.connectMs).toEqual([300, 700]);
  });
});

describe("pauses between attempts", () => {
  it("are random up to a limit that doubles, and has an end", () => {
    const policy = { maxAttempts: 9, baseMs: 25, maxMs: 1_000 };
    const limits = (): number[] => [0, 1, 2, 3, 5, 6, 99].map((pauses) => backoffMs(policy, pauses));
    vi.spyOn(Math, "random").mockReturnValue(1);
    expect(limits()).toEqual([25, 50, 100, 200, 800, 1_000, 1_000]);
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    expect(limits()[0]).toBe(12.5);
  });
});

describe("a token", () => {
  it("is asked for once more when it is refused, and then never again", async () => {
    let asked = 0;
    const token = (): string => `t${++asked}`;
    const refused = [refusal("InvalidAuthToken"), refusal("AuthOldRevision")];
    const { transport, client } = scripted(refused, { auth: { token } });
    expect(await failureOf(client.put("k", "v"))).toMatchObject({ code: "AuthOldRevision", outcome: "not-applied" });
    await client.put("k", "v");
    expect(transport.attempts.map(({ metadata }) => metadata["token"])).toEqual(["t1", "t2", "t2"]);
  });

  it("is fetched again when a login fails for the moment", async () => {
    const login = { username: "u", password: "p" };
    const { transport, client } = scripted([refusal("Timeout"), "ok", "ok"], { auth: login });
    await client.put("k", "v");
    expect(transport.attempts.map(({ path }) => path.split("/").at(-1))).toEqual([
      "Authenticate",
      "Authenticate",
      "Put",
    ]);
  });

  it("that cannot be had leaves the outcome of an earlier attempt unknown", async () => {
    const login = { username: "u", password: "p" };
    const fates: Fate[] = ["ok", dropped, refusal("InvalidAuthToken"), refusal("AuthFailed")];
    const { client } = scripted(fates, { auth: login });
    expect(await failureOf(client.put("k", "v", { retry: "idempotent" }))).toMatchObject({
      code: "AuthFailed",
      outcome: "unknown",
    });
  });

  it("is not waited for longer than the call may take", async () => {
    const { client } = scripted([], { auth: { token: () => new Promise<string>(() => {}) } });
    expect(await failureOf(client.put("k", "v", { timeoutMs: 50 }))).toMatchObject({
      code: "ConnectFailed",
      outcome: "not-applied",
    });
  });
});

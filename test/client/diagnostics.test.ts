/** What the client publishes of its work, and that it costs nothing when nobody listens. */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import {
  type CallEnd,
  type CallStart,
  type ClientOptions,
  createClient,
  type DiagnosticsChannel,
  type DiagnosticsMessages,
  type EtcdClient,
  observe,
} from "../../src/client/index.js";
import { observedCall } from "../../src/client/observe/observed-call.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { startGrpcStub } from "../support/grpc-stub.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

/** Every message of some channels, in order, until disposed. */
class Recording<Name extends DiagnosticsChannel> implements Disposable {
  readonly all: { readonly name: Name; readonly message: DiagnosticsMessages[Name] }[] = [];
  private readonly listening: Disposable[];

  constructor(...names: Name[]) {
    this.listening = names.map((name) => observe(name, (message) => this.all.push({ name, message })));
  }

  of<One extends Name>(name: One): DiagnosticsMessages[One][] {
    return this.all.filter((each) => each.name === name).map(({ message }) => message as DiagnosticsMessages[One]);
  }

  [Symbol.dispose](): void {
    for (const each of this.listening) each[Symbol.dispose]();
  }
}

it("makes nothing for a call while nobody listens", () => {
  const method = { path: "/a.B/C", kind: "read", leader: "irrelevant" } as const;
  expect(observedCall(method, {}, "one answer")).toBeUndefined();
  const listening = observe("litecd:call:end", () => {});
  expect(observedCall(method, {}, "one answer")).toBeDefined();
  listening[Symbol.dispose]();
  expect(observedCall(method, {}, "one answer")).toBeUndefined();
});

it("has typed messages", () => {
  observe("litecd:lease:lost", ({ leaseId, reason }) => {
    expectTypeOf(leaseId).toEqualTypeOf<bigint>();
    expectTypeOf(reason).toEqualTypeOf<"expired" | "revoked" | "unreachable" | "closed">();
  })[Symbol.dispose]();
});

it("sends along what a subscriber adds, and gives it the caller's own context", async () => {
  await using stub = await startGrpcStub();
  await using client = createClient({ endpoints: stub.endpoint });
  const contexts = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  // Without our own helper: the channels are Node's.
  const add = (message: unknown): void => {
    const { call } = message as CallStart;
    if (call.path !== "/etcdserverpb.KV/Range") return;
    call.metadata["x-request-id"] = "42";
    seen.push(contexts.getStore());
  };
  subscribe("litecd:call:start", add);
  await contexts.run("mine", () => client.get("added"));
  unsubscribe("litecd:call:start", add);
  expect(seen).toEqual(["mine"]);
  const sent = stub.headers.filter((headers) => headers[":path"] === "/etcdserverpb.KV/Range");
  expect(sent).toMatchObject([{ "x-request-id": "42" }]);
});

describe.each(targets)("diagnostics", (target) => {
  describe.skipIf(skips(target))(blockName("the client", target), () => {
    let server: RealEtcd;
    beforeAll(async () => {
      server = await target.start();
    });
    afterAll(async () => {
      await server.stop();
    });
    const connect = (options: Partial<ClientOptions> = {}): EtcdClient =>
      createClient({ endpoints: server.endpoint, ...options });

    it("tells of a call's start, its attempts and its end", async () => {
      using record = new Recording("litecd:call:start", "litecd:call:attempt", "litecd:call:end");
      await using client = connect();
      await client.put("told", "1");
      const path = "/etcdserverpb.KV/Put";
      const [start] = record.of("litecd:call:start").filter(({ call }) => call.path === path);
      const attempts = record.of("litecd:call:attempt").filter(({ call }) => call === start?.call);
      const [end] = record.of("litecd:call:end").filter(({ call }) => call === start?.call);
      expect(start?.call).toMatchObject({ path, kind: "write", stream: false });
      expect(attempts).toMatchObject([{ attempt: 1, endpoint: server.endpoint, error: undefined }]);
      expect(end).toMatchObject({ attempts: 1, endpoint: server.endpoint, outcome: "applied", error: undefined });
      expect(end?.durationMs).toBeGreaterThanOrEqual(attempts[0]?.durationMs ?? Number.POSITIVE_INFINITY);
    });

    it("tells of failures with the error that the caller gets", async () => {
      using record = new Recording("litecd:call:end");
      await using client = connect();
      const error = await client.get("x", { revision: 2 ** 40 }).catch((cause: unknown) => cause);
      const ends = record.of("litecd:call:end").filter((end) => end.error !== undefined);
      expect(ends).toMatchObject([{ call: { path: "/etcdserverpb.KV/Range" }, error: { code: "FutureRev" } }]);
      expect(error).toBe(ends[0]?.error);
    });

    it("tells of connections, and of watches that go on", async () => {
      using record = new Recording("litecd:connection", "litecd:watch:resume");
      await using proxy = await startTcpProxy(server.endpoint);
      await using client = createClient({ endpoints: proxy.endpoint });
      await using watch = client.watch("resumed");
      const first = await watch.started;
      proxy.cut();
      await expect.poll(() => record.of("litecd:watch:resume"), { timeout: 10_000 }).toHaveLength(1);
      const [resumed] = record.of("litecd:watch:resume");
      expect(resumed?.revision).toBeGreaterThanOrEqual(first);
      expect(resumed?.disconnectedMs).toBeGreaterThan(0);
      const types = record
        .of("litecd:connection")
        .flatMap((each) => (each.endpoint === proxy.endpoint ? [each.type] : []));
      expect(types).toContain("disconnected");
      expect(types.filter((type) => type === "connected").length).toBeGreaterThanOrEqual(2);
    });

    it("tells of leases that are lost, each once", async () => {
      using record = new Recording("litecd:lease:lost");
      await using client = connect();
      const lease = await client.leases.grant(60);
      await lease.revoke();
      expect(record.of("litecd:lease:lost")).toEqual([{ leaseId: lease.id, reason: "revoked" }]);
    });

    it("holds no values", async () => {
      using record = new Recording("litecd:call:start", "litecd:call:attempt", "litecd:call:end", "litecd:connection");
      await using client = connect();
      await client.put("held", "do not tell");
      await client.get("held");
      expect(record.all.length).toBeGreaterThan(3);
      expect(inspect(record.all, { depth: 10 })).not.toContain("do not tell");
    });

    it("survives a subscriber that leaves in the middle of a call", async () => {
      const ends: CallEnd[] = [];
      await using client = connect();
      const listening = observe("litecd:call:end", (end) => ends.push(end));
      const put = client.put("left", "1");
      listening[Symbol.dispose]();
      await put;
      expect(ends).toEqual([]);
    });
  });
});

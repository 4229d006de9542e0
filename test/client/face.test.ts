/** What a user can build on the public face alone, and what its errors say. */
import { afterEach, describe, expect, it } from "vitest";
import { createCache } from "../../src/client/cache/index.js";
import { Endpoint } from "../../src/client/connection/endpoint.js";
import {
  createClient,
  type EtcdClient,
  keepRegistered,
  type Transport,
  TransportError,
} from "../../src/client/index.js";
import { WatchTransport } from "../support/watch-transport.js";
import { FakeCluster } from "./fake-cluster.js";

const clients: EtcdClient[] = [];

function connected(transport: Transport, endpoints: readonly string[] = ["one:1"]): EtcdClient {
  const client = createClient({ endpoints, transport });
  clients.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

describe("a transport of one's own", () => {
  it("can say what the retry rules need to know", async () => {
    const cluster = new FakeCluster(["one:1", "two:2"]);
    cluster
      .member("one:1")
      .failures.push(new TransportError("etcdserver: leader changed", { grpcStatus: 14, sent: true }));
    const client = connected(cluster, ["one:1"]);
    await expect(client.put("a", "1")).rejects.toMatchObject({ code: "LeaderChanged", outcome: "unknown" });
  });
});

describe("a watch that failed", () => {
  const denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";

  it("names the endpoint that refused it", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream) => stream.send({ watchId: -1n, created: true, canceled: true, cancelReason: denied });
    const watch = connected(service).watch("a", { from: 3 });
    await expect(watch.started).rejects.toMatchObject({ code: "PermissionDenied", endpoint: "one:1", attempts: 1 });
  });

  it("names the endpoint that compacted its history", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream) => stream.send({ watchId: -1n, created: true, canceled: true, compactRevision: 9n });
    const watch = connected(service).watch("a", { from: 3 });
    await expect(watch.started).rejects.toMatchObject({ code: "Compacted", endpoint: "one:1", attempts: 1 });
  });

  it("names the endpoint that was tried last when nobody could serve it in time", async () => {
    const service = new WatchTransport();
    service.onCreate = (stream) => stream.break();
    const watch = connected(service).watch("a", { from: 3, maxDisconnectedMs: 200 });
    const told = { code: "TimedOut", endpoint: "one:1", cause: { message: "broken" } };
    await expect(watch.started).rejects.toMatchObject(told);
  });
});

describe("a signal that has aborted already", () => {
  it("is told in the client's words, whatever it was given to", async () => {
    const client = connected(new FakeCluster(["one:1"]));
    const signal = AbortSignal.abort("enough");
    const told = { code: "Aborted", cause: "enough" };
    await expect(createCache(client, "a", { signal })).rejects.toMatchObject(told);
    await expect(keepRegistered(client, "a", "1", { signal })).rejects.toMatchObject(told);
    await expect(client.watch("a", { signal }).started).rejects.toMatchObject(told);
  });
});

describe("an endpoint that was closed", () => {
  it("makes no connection that lives", () => {
    let open = 0;
    const connection = new WatchTransport().connect("one:1");
    const connect = () => {
      open++;
      return { ...connection, close: () => void open-- };
    };
    const endpoint = new Endpoint("one:1", connect, () => {});
    endpoint.connection("calls");
    endpoint.close();
    endpoint.connection("calls");
    expect(open).toBe(0);
  });
});

/** Endpoints from DNS, by a resolver of the test. */
import { describe, expect, it } from "vitest";
import { createClient, discover, type SrvRecord, type SrvResolver } from "../../src/client/index.js";
import { FakeCluster } from "./fake-cluster.js";

function resolverOf(records: Readonly<Record<string, readonly SrvRecord[]>>): SrvResolver {
  return (name) => {
    const found = records[name];
    return found === undefined ? Promise.reject(new Error(`querySrv ENOTFOUND ${name}`)) : Promise.resolve(found);
  };
}
const record = (name: string, priority = 0, weight = 0): SrvRecord => ({ name, port: 2379, priority, weight });

describe("discover", () => {
  it("asks for both names, puts TLS first, and goes by priority and weight", async () => {
    const resolveSrv = resolverOf({
      "_etcd-client-ssl._tcp.example.com": [record("s2.", 2), record("s1.", 1)],
      "_etcd-client._tcp.example.com": [record("p1", 0, 1), record("p2", 0, 5)],
    });
    expect(await discover("example.com", { resolveSrv })).toEqual([
      "https://s1:2379",
      "https://s2:2379",
      "http://p2:2379",
      "http://p1:2379",
    ]);
    expect(await discover("example.com", { resolveSrv, accept: "tls" })).toEqual(["https://s1:2379", "https://s2:2379"]);
  });

  it("asks for the names of a service", async () => {
    const resolveSrv = resolverOf({ "_etcd-client-blue._tcp.example.com": [record("b")] });
    expect(await discover("example.com", { resolveSrv, service: "blue" })).toEqual(["http://b:2379"]);
  });

  it("says what it asked for when there is nothing", async () => {
    await expect(discover("example.com", { resolveSrv: resolverOf({}) })).rejects.toThrow(
      "no SRV records at _etcd-client-ssl._tcp.example.com and _etcd-client._tcp.example.com",
    );
  });
});

describe("a client of a domain", () => {
  const names = ["http://a:2379", "http://b:2379"];

  it("looks it up at its first call", async () => {
    const cluster = new FakeCluster(names);
    const resolveSrv = resolverOf({ "_etcd-client._tcp.example.com": [record("a"), record("b")] });
    await using client = createClient({ endpoints: "etcd+srv://example.com", transport: cluster, resolveSrv });
    expect(client.endpoints).toEqual(["etcd+srv://example.com"]);
    await client.put("k", "v");
    expect(client.endpoints).toEqual(names);
    expect(cluster.member("http://a:2379").asked).toEqual(["Put"]);
  });

  it("waits for DNS until its deadline, and then says what DNS said", async () => {
    const cluster = new FakeCluster(names);
    const records: Record<string, readonly SrvRecord[]> = {};
    const options = { transport: cluster, resolveSrv: resolverOf(records) };
    await using client = createClient({ endpoints: "etcd+srv://example.com?service=blue", ...options });
    await expect(client.get("k", { timeoutMs: 60 })).rejects.toMatchObject({
      code: "ConnectFailed",
      outcome: "not-applied",
      message: expect.stringContaining("ENOTFOUND _etcd-client-blue._tcp.example.com"),
    });
    const get = client.get("k");
    records["_etcd-client-blue._tcp.example.com"] = [record("b")];
    await get;
    expect(client.endpoints).toEqual(["http://b:2379"]);
  });

  it("with TLS options takes no endpoint without TLS", async () => {
    const cluster = new FakeCluster(["https://a:2379"]);
    const resolveSrv = resolverOf({
      "_etcd-client-ssl._tcp.example.com": [record("a")],
      "_etcd-client._tcp.example.com": [record("b")],
    });
    await using client = createClient({ endpoints: "etcd+srv://example.com", transport: cluster, resolveSrv, tls: {} });
    await client.get("k");
    expect(client.endpoints).toEqual(["https://a:2379"]);
  });

  it("mixes with endpoints that are written out, and refuses a domain that is missing", async () => {
    const cluster = new FakeCluster(["c", ...names]);
    const resolveSrv = resolverOf({ "_etcd-client._tcp.example.com": [record("a"), record("b")] });
    await using client = createClient({ endpoints: "c,etcd+srv://example.com", transport: cluster, resolveSrv });
    await client.get("k");
    expect(client.endpoints).toEqual(["c", ...names]);
    expect(() => createClient({ endpoints: "etcd+srv://", transport: cluster })).toThrow("a domain is missing");
  });
});

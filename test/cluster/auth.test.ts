/** Conformance: three members, one auth store. What one member gives out or takes away counts on all of them. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { status } from "../../proto/status.js";
import { Cluster, quickTicks } from "../support/cluster.js";
import { onClusterTargets } from "../support/cluster-targets.js";
import { type CallExtras, type RawClient, rawClient } from "../support/raw-client.js";

const key = Buffer.from("a");
const perm = { permType: 2 as const, key };

onClusterTargets("authentication in a cluster", ({ program, flags }) => {
  let cluster: Cluster;
  let clients: readonly RawClient[];
  beforeAll(async () => {
    cluster = await Cluster.start({ program, size: 3, flags: [...flags, ...quickTicks, "--bcrypt-cost=4"] });
    clients = cluster.endpoints.map((endpoint) => rawClient(endpoint));
    const [first] = clients;
    if (first === undefined) throw new Error("the cluster has no member");
    for (const name of ["root", "alice", "bob"]) await first.userAdd({ name, password: name });
    await first.userGrantRole({ user: "root", role: "root" });
    await first.roleAdd({ name: "r" });
    await first.roleGrantPermission({ name: "r", perm });
    for (const user of ["alice", "bob"]) await first.userGrantRole({ user, role: "r" });
    await first.authEnable();
    // Every member knows it when it has answered this.
    for (const client of clients) await expect(client.range({ key })).rejects.toMatchObject({ code: 3 });
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await cluster.dispose();
  });

  /** Logs in at one member. */
  async function login(at: number, name: string, password = name): Promise<CallExtras> {
    const { token } = (await clients[at]?.authenticate({ name, password })) ?? {};
    return { metadata: { token: token ?? "" } };
  }

  /** How a serializable read, which asks nobody else, ends at each member. */
  async function readers(caller: CallExtras): Promise<string[]> {
    const reads = clients.map((client) => client.range({ key, serializable: true }, caller));
    return (await Promise.allSettled(reads)).map((one) =>
      one.status === "fulfilled" ? "ok" : String(one.reason.details),
    );
  }

  it("a token is good on every member at once, whichever gave it out", async () => {
    for (const at of [0, 1, 2]) {
      const alice = await login(at, "alice");
      expect(await readers(alice)).toEqual(["ok", "ok", "ok"]);
      for (const client of clients) await client.put({ key, value: Buffer.from("v") }, alice);
    }
  });

  it("a new password ends the tokens of its user on every member, and nobody else's", async () => {
    const [root, bob, alice] = [await login(0, "root"), await login(1, "bob"), await login(2, "alice")];
    await clients[1]?.userChangePassword({ name: "bob", password: "new" }, root);
    for (const client of clients) {
      // Linearizable, so that this member has heard of it.
      await expect(client.range({ key }, bob)).rejects.toMatchObject({ details: status.InvalidAuthToken.message });
    }
    expect(await readers(alice)).toEqual(["ok", "ok", "ok"]);
    expect(await readers(await login(2, "bob", "new"))).toEqual(["ok", "ok", "ok"]);
  });

  it("a right that is taken away is gone on every member, and so is one that is given there", async () => {
    const [root, alice] = [await login(0, "root"), await login(1, "alice")];
    await clients[2]?.userRevokeRole({ name: "alice", role: "r" }, root);
    for (const client of clients) {
      await expect(client.put({ key }, alice)).rejects.toMatchObject({ details: status.PermissionDenied.message });
    }
    expect(await readers(alice)).toEqual(Array.from({ length: 3 }, () => status.PermissionDenied.message));
    await clients[0]?.userGrantRole({ user: "alice", role: "r" }, root);
    for (const client of clients) await client.range({ key }, alice);
  });

  it("a member that was away knows all of it when it is back, but no token from before", async () => {
    const token = await login(2, "alice");
    const third = cluster.member(3);
    await third.end("SIGTERM");
    const root = await login(0, "root");
    await clients[0]?.userAdd({ name: "carol", password: "carol" }, root);
    await clients[0]?.userGrantRole({ user: "carol", role: "r" }, root);
    await third.start();
    const carol = await login(2, "carol");
    expect(await readers(carol)).toEqual(["ok", "ok", "ok"]);
    // It was given out before the restart, which the other two did not have.
    await clients[0]?.range({ key }, token);
  });
});

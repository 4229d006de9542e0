/** Turns among those who share a session: nobody keeps one that he does not use. */
import { expect, it } from "vitest";
import { lock, session, tryLock } from "../../../src/client/concurrency/index.js";
import { createClient, type EtcdClient, EtcdError } from "../../../src/client/index.js";
import { onTargets } from "./on-targets.js";

/** The client, but for deletes, which fail. */
function withoutDeletes(client: EtcdClient): EtcdClient {
  const away = new EtcdError("no server", { code: "ConnectFailed", grpcStatus: 14, outcome: "not-applied" });
  // oxlint-disable-next-line promise/no-promise-in-callback -- it stands for a call
  return Object.assign(Object.create(client) as EtcdClient, { delete: () => Promise.reject(away) });
}

onTargets("turn", (stage) => {
  it("ends also when a place in line could not be taken back", async () => {
    const { client } = stage;
    const name = stage.name();
    const other = await lock(client, name);
    await using shared = await session(client);
    const options = { lease: shared, timeoutMs: 100 };
    await expect(lock(withoutDeletes(client), name, options)).rejects.toMatchObject({ outcome: "unknown" });
    await other.release();
    // The key that was left behind stands for whoever has the session.
    const held = await tryLock(client, name, { lease: shared });
    expect(held?.lease).toBe(shared);
  });

  it("is of one namespace as locks are: a client that has one locks inside of it", async () => {
    const { client, server } = stage;
    const name = stage.name();
    await using inner = createClient({ endpoints: server.endpoint, namespace: "inside/" });
    await using outside = await lock(client, name);
    await using inside = await lock(inner, name, { timeoutMs: 5_000 });
    expect(inside.key).toMatch(new RegExp(`^${name}/`));
    expect((await client.get(`inside/${inside.key}`))?.createRevision).toBe(inside.fencingToken);
    expect(await client.get(outside.key)).toBeDefined();
    expect((await inner.txn({ if: [inside.guard()], then: [] })).succeeded).toBe(true);
  });
});

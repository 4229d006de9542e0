/** Makes a server as good as new for the next test: all that clients can leave behind goes away. */
import { type EtcdClient, isEtcdError } from "../../client/index.js";

/** Removes keys, leases, alarms, and all users and roles but root. The revision goes on from where it is. */
export async function wipe(client: EtcdClient): Promise<void> {
  await Promise.all([wipeKeys(client), wipeUsers(client)]);
}

/** Alarms go first: one that says that there is no room refuses puts, not deletions, but the next test would meet it. */
async function wipeKeys(client: EtcdClient): Promise<void> {
  await client.maintenance.disarm(await client.maintenance.alarms());
  const leases = await client.leases.list();
  await Promise.all(leases.map((id) => revokeIfThere(client, id)));
  await client.delete({ all: true });
}

/** A lease may run out on its own meanwhile. */
async function revokeIfThere(client: EtcdClient, id: bigint): Promise<void> {
  try {
    await client.leases.revoke(id);
  } catch (error) {
    if (!isEtcdError(error, "LeaseNotFound")) throw error;
  }
}

async function wipeUsers({ auth }: EtcdClient): Promise<void> {
  const [users, roles] = await Promise.all([auth.users.list(), auth.roles.list()]);
  await Promise.all(users.filter((name) => name !== "root").map((name) => auth.users.delete(name)));
  await Promise.all(roles.filter((name) => name !== "root").map((name) => auth.roles.delete(name)));
}

/** Removes the keys under a prefix; leases run out by themselves. */
export async function wipePrefix(client: EtcdClient, prefix: string): Promise<void> {
  await client.delete({ prefix });
}

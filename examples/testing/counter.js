/** What the recipes test: a counter in etcd that many processes may raise at once. */
import { cmp, op } from "litecd";

/**
 * Raises a counter and resolves with its new value. Each attempt is a transaction that only succeeds if nobody else was
 * faster; whoever was too late tries again with the new value.
 *
 * @param {import("litecd").EtcdClient} client
 * @param {string} name
 * @returns {Promise<number>}
 */
export async function raise(client, name) {
  for (;;) {
    const current = await client.get(name);
    const next = Number(current?.value ?? 0) + 1;
    const unchanged = current === undefined ? cmp.absent(name) : cmp.modRevision(name).equal(current.modRevision);
    const { succeeded } = await client.txn({ if: [unchanged], then: [op.put(name, String(next))] });
    if (succeeded) return next;
  }
}

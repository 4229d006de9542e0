/**
 * A limit that many servers keep together: so many requests of one caller in each window of time, whoever is asked.
 *
 *   node rate-limiter.ts 5 10                 # five requests in ten seconds; start several, they print their ports
 *   curl -i 'http://127.0.0.1:PORT/?caller=alice'
 *
 * The count of a window is the version of its key: each put adds one, and only happens below the limit. The key's lease
 * ends with the window. ETCD_ENDPOINT says where etcd is (127.0.0.1:2379).
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cmp, createClient, type EtcdClient, type Lease, op } from "litecd";

const [, , limitText = "5", windowText = "10"] = process.argv;
const limit = Number(limitText);
const windowMs = Number(windowText) * 1_000;

/** One lease a window, for all its callers. */
class Windows {
  private readonly client: EtcdClient;
  private current: { readonly id: number; readonly lease: Promise<Lease> } | undefined;

  constructor(client: EtcdClient) {
    this.client = client;
  }

  /** Whether the caller may go on; each time this is true counts. */
  async admit(caller: string): Promise<boolean> {
    const window = Math.floor(Date.now() / windowMs);
    const lease = await this.leaseOf(window);
    const key = `limits/${caller}/${window}`;
    const { succeeded } = await this.client.txn({
      if: [cmp.version(key).less(limit)],
      then: [op.put(key, "", { lease })],
    });
    return succeeded;
  }

  private leaseOf(window: number): Promise<Lease> {
    if (this.current?.id === window) return this.current.lease;
    const lease = this.client.leases.grant(Math.ceil(windowMs / 1_000) + 5, { keepAlive: false });
    this.current = { id: window, lease };
    return lease;
  }
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
const windows = new Windows(client);

const server = createServer((request, response) => {
  const caller = new URL(request.url ?? "/", "http://here").searchParams.get("caller") ?? "anonymous";
  windows.admit(caller).then(
    (admitted) => response.writeHead(admitted ? 200 : 429).end(admitted ? "welcome\n" : "too many requests\n"),
    // Without etcd nobody can say how many there were: let them in rather than stand still.
    (error: unknown) => response.writeHead(200, { "x-limiter": String(error) }).end("welcome\n"),
  );
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));

await new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
});
server.close();
server.closeAllConnections();

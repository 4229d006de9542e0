/**
 * Feature flags that are decided in memory, and changed everywhere within milliseconds.
 *
 *   node feature-flags.ts                                           # prints its port
 *   litectl put flags/dark-mode '{"percent":50}'                    # on for half of the users, always the same half
 *   curl 'http://127.0.0.1:PORT/?flag=dark-mode&user=alice'
 *
 * No request waits for etcd: a cache holds all flags, and goes on with what it has while etcd is away. ETCD_ENDPOINT says
 * where etcd is (127.0.0.1:2379).
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createClient, json } from "litecd";
import { createCache } from "litecd/cache";

interface Flag {
  /** Of the users it is on for: 0 is nobody, 100 everybody. */
  readonly percent: number;
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
await using flags = await createCache(client.namespace("flags/").as(json<Flag>()), { all: true });

/** A user's place among all users, from 0 to 99: different for each flag, the same each time. */
function place(flag: string, user: string): number {
  return createHash("sha256").update(`${flag}/${user}`).digest().readUInt32BE() % 100;
}

function isOn(name: string, user: string): boolean {
  return place(name, user) < (flags.peek(name)?.value.percent ?? 0);
}

const server = createServer((request, response) => {
  const { searchParams: asked } = new URL(request.url ?? "/", "http://here");
  const on = isOn(asked.get("flag") ?? "", asked.get("user") ?? "");
  response.setHeader("x-flags-revision", String(flags.revision)).setHeader("x-flags-state", flags.state);
  response.end(on ? "on\n" : "off\n");
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));

await new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
});
server.close();
server.closeAllConnections();

/**
 * Service discovery: servers say where they are, and a caller finds those that live.
 *
 *   node service-discovery.ts serve hello     # an HTTP server on a free port, registered until it ends; start several
 *   node service-discovery.ts call hello      # calls one after the other, and notices who comes and goes
 *
 * ETCD_ENDPOINT says where etcd is (127.0.0.1:2379).
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createClient, type EtcdClient, isEtcdError } from "litecd";
import { endpoints, register, type ServiceEndpoint } from "litecd/discovery";

const [, , role, service = "hello"] = process.argv;
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());

async function serve(client: EtcdClient): Promise<void> {
  const server = createServer((_request, response) => response.end(`hello from ${process.pid}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  {
    // If this process dies, the registration goes after five seconds; if it ends, at once.
    await using registration = await register(client, `services/${service}`, address, { ttl: 5 });
    console.log(`serving at ${address} as ${registration.key}`);
    await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve));
  }
  console.log("withdrawn");
  server.close();
  server.closeAllConnections();
}

/** The servers there are, kept up to date by a loop in the background; calls go round. */
async function call(client: EtcdClient): Promise<void> {
  let known: readonly ServiceEndpoint[] = [];
  let turn = 0;
  const following = follow(client, (list) => {
    known = list;
  });
  while (!stopping.signal.aborted) {
    const next = known[turn++ % Math.max(1, known.length)];
    if (next === undefined) console.log("nobody serves");
    else await ask(next);
    await pause(200);
  }
  await following;
}

async function follow(client: EtcdClient, onChange: (list: readonly ServiceEndpoint[]) => void): Promise<void> {
  try {
    for await (const list of endpoints(client, `services/${service}`, { signal: stopping.signal })) {
      console.log(`${list.length} serving`);
      onChange(list);
    }
  } catch (error) {
    if (!isEtcdError(error, "Aborted")) throw error;
  }
}

async function ask({ addr }: ServiceEndpoint): Promise<void> {
  try {
    console.log(await (await fetch(addr, { signal: stopping.signal })).text());
  } catch (error) {
    // It has died, and its lease has not ended yet: the next one is asked.
    if (!stopping.signal.aborted) console.log(`${addr} does not answer: ${String(error)}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    stopping.signal.addEventListener("abort", () => resolve());
  });
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
if (role === "serve") await serve(client);
else if (role === "call") await call(client);
else {
  console.error("say what to do: serve NAME, or call NAME");
  process.exitCode = 2;
}

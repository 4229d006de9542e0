/**
 * Servers for tests: members in this process on ports and in directories of their own, or an etcd that runs already. Many of
 * them live beside each other.
 *
 * @module litecd/testing
 */
import { type ClientOptions, createClient, type EtcdClient } from "../../client/index.js";
import { noFaults, ProxyFaults } from "./faults.js";
import { type LocalServer, startLocalServer } from "./local-server.js";
import type { TestServer, TestServerOptions } from "./types.js";
import { wipe, wipePrefix } from "./wipe.js";

export { type Flow, startTcpProxy, type TcpProxy } from "./tcp-proxy.js";
export type { Faults, TestCertificates, TestMember, TestServer, TestServerOptions } from "./types.js";

/** Of the user root; it guards nothing but a test. */
const rootLogin = { username: "root", password: "root" };

/** Starts a server and resolves when it serves, or when a running etcd has answered. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const running = [options.endpoint ?? []].flat().filter((endpoint) => endpoint !== "");
  return running.length > 0 ? joinRunning(options, running) : startLocal(options);
}

async function startLocal(options: TestServerOptions): Promise<TestServer> {
  const local = await startLocalServer(options);
  const auth = options.auth === true ? rootLogin : undefined;
  const tls = local.certificates?.client;
  const endpoints = local.members.map((member) => member.endpointUrl);
  const clients = new Clients({ endpoints, ...(tls === undefined ? {} : { tls }) });
  const server: TestServer = {
    endpoint: new URL(endpoints[0] ?? "").host,
    endpoints,
    members: local.members,
    tls,
    auth,
    fault: local.faults ?? noFaults,
    client: (own = {}) => clients.make({ ...(auth === undefined ? {} : { auth }), ...own }),
    reset: () => resetLocal(local, server),
    close: async () => {
      await clients.close();
      await local.close();
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
  try {
    if (auth !== undefined) await enableAuthentication(clients);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function enableAuthentication(clients: Clients): Promise<void> {
  await using client = clients.make({});
  await client.auth.users.add(rootLogin.username, { password: rootLogin.password });
  await client.auth.roles.add("root");
  await client.auth.users.grant("root", "root");
  await client.auth.enable();
}

async function resetLocal({ members, faults }: LocalServer, server: TestServer): Promise<void> {
  faults?.heal();
  await Promise.all(members.map((member) => member.start()));
  await using client = server.client();
  await wipe(client);
}

/** Tests on an etcd that others may use, too: what they write stays under a prefix of their own. */
async function joinRunning(options: TestServerOptions, running: readonly string[]): Promise<TestServer> {
  const faults = options.faults === true ? await ProxyFaults.open(running.length) : undefined;
  running.forEach((endpoint, at) => faults?.proxy(at).forwardTo(urlOf(endpoint)));
  const endpoints = running.map((endpoint, at) => {
    const url = urlOf(endpoint);
    return faults?.proxy(at).endpoint.replace("http:", new URL(url).protocol) ?? url;
  });
  const namespace = `litecd-test/${crypto.randomUUID()}/`;
  const clients = new Clients({ ...options.access, endpoints, namespace });
  try {
    await clients.make({}).ready({ timeoutMs: readyMsMax });
  } catch (error) {
    await clients.close();
    await faults?.close();
    throw error;
  }
  const removeKeys = async (): Promise<void> => {
    faults?.heal();
    await using client = createClient({ ...options.access, endpoints });
    await wipePrefix(client, namespace);
  };
  const server: TestServer = {
    endpoint: new URL(endpoints[0] ?? "").host,
    endpoints,
    members: [],
    tls: undefined,
    auth: undefined,
    fault: faults ?? noFaults,
    client: (own = {}) => clients.make(own),
    reset: removeKeys,
    close: async () => {
      await clients.close();
      try {
        await removeKeys();
      } finally {
        // An etcd that is gone by now must not keep the proxies, and with them the process.
        await faults?.close();
      }
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
  return server;
}

/** A running etcd has to say something in this time. */
const readyMsMax = 5_000;

/** `host:port` without a scheme is plain text, as everywhere. */
function urlOf(endpoint: string): string {
  return endpoint.includes("://") ? endpoint : `http://${endpoint}`;
}

/** The clients that a test asked for; they are closed with the server. */
class Clients {
  private readonly defaults: ClientOptions;
  private readonly made = new Set<EtcdClient>();

  constructor(defaults: ClientOptions) {
    this.defaults = defaults;
  }

  make(own: Partial<ClientOptions>): EtcdClient {
    const client = createClient({ ...this.defaults, ...own });
    this.made.add(client);
    return client;
  }

  async close(): Promise<void> {
    await Promise.all([...this.made].map((client) => client.close()));
    this.made.clear();
  }
}

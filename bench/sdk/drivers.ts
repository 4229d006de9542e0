/** The same few operations by our SDK and by microsoft/etcd3, each as its documentation shows it. */

/** What a load needs of a client. Values are text. */
export interface Driver {
  put(key: string, value: string): Promise<unknown>;
  /** A linearizable read, which is the default of both. */
  get(key: string): Promise<string | undefined>;
  /** Watches a prefix from a revision on; resolves when the watch is set up. */
  watch(prefix: string, fromRevision: number, onEvent: (value: string) => void): Promise<void>;
  close(): Promise<void>;
}

/** What each event of a history has put. */
export const historyValue = "v".repeat(32);

export const driverNames = ["litecd", "etcd3"] as const;
export type DriverName = (typeof driverNames)[number];

/** Loads the one client that is measured: the other one's memory must not count. */
export function driver(name: DriverName, endpoint: string): Promise<Driver> {
  switch (name) {
    case "litecd":
      return ours(endpoint);
    case "etcd3":
      return theirs(endpoint);
  }
}

async function ours(endpoint: string): Promise<Driver> {
  const { createClient } = await import("../../src/client/index.js");
  const client = createClient({ endpoints: endpoint });
  const watches: { close(): Promise<void> }[] = [];
  return {
    put: (key, value) => client.put(key, value),
    get: async (key) => (await client.get(key))?.value,
    async watch(prefix, fromRevision, onEvent) {
      const watch = client.watch({ prefix }, { from: fromRevision });
      watches.push(watch);
      void (async () => {
        for await (const { events } of watch)
          for (const event of events) if (event.type === "put") onEvent(event.kv.value);
      })();
      await watch.started;
    },
    async close() {
      await Promise.all(watches.map((watch) => watch.close()));
      await client.close();
    },
  };
}

async function theirs(endpoint: string): Promise<Driver> {
  const { Etcd3 } = await import("etcd3");
  const client = new Etcd3({ hosts: `http://${endpoint}` });
  return {
    put: async (key, value) => await client.put(key).value(value),
    get: async (key) => (await client.get(key).string()) ?? undefined,
    async watch(prefix, fromRevision, onEvent) {
      const watcher = await client.watch().prefix(prefix).startRevision(String(fromRevision)).create();
      watcher.on("put", (kv) => onEvent(kv.value.toString()));
    },
    async close() {
      client.close();
    },
  };
}

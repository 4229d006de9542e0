/**
 * One client under one load, in a process of its own so that its memory is its own. Takes a Load as JSON in its only
 * argument and prints a Sample as JSON.
 */
import { type Driver, type DriverName, driver, historyValue } from "./drivers.js";

export type Load = { readonly client: DriverName; readonly endpoint: string } & (
  | {
      readonly kind: "put" | "get";
      readonly inFlight: number;
      readonly warmUpSeconds: number;
      readonly seconds: number;
    }
  /** Each of so many watchers reads the same history. */
  | { readonly kind: "watch"; readonly watchers: number; readonly prefix: string; readonly events: number }
  | { readonly kind: "idle"; readonly watchers: number }
);

export interface Sample {
  /** Calls or events; 0 where only memory is measured. */
  readonly perSecond: number;
  readonly residentMebibytes: number;
}

const benchValue = "v".repeat(256);
const keys = Array.from({ length: 1_000 }, (_, index) => `bench/key-${index}`);

async function run(load: Load): Promise<Sample> {
  const client = await driver(load.client, load.endpoint);
  const perSecond = await rate(client, load);
  const residentMebibytes = process.memoryUsage.rss() / 2 ** 20;
  await client.close();
  return { perSecond, residentMebibytes };
}

function rate(client: Driver, load: Load): Promise<number> {
  switch (load.kind) {
    case "put":
    case "get":
      return callsPerSecond(client, load);
    case "watch":
      return eventsPerSecond(client, load);
    case "idle":
      return idle(client, load.watchers);
  }
}

async function callsPerSecond(client: Driver, load: Load & { kind: "put" | "get" }): Promise<number> {
  const { kind, inFlight, warmUpSeconds, seconds } = load;
  await Promise.all(keys.map((key) => client.put(key, benchValue)));
  const call = async (key: string): Promise<void> => {
    if (kind === "put") await client.put(key, benchValue);
    else if ((await client.get(key)) !== benchValue) throw new Error(`${key} has another value`);
  };
  const begin = performance.now() + warmUpSeconds * 1_000;
  const end = begin + seconds * 1_000;
  let calls = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let now = performance.now(); now < end; now = performance.now()) {
      await call(keys[next++ % keys.length] ?? "");
      if (now >= begin) calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (calls / (performance.now() - begin)) * 1_000;
}

async function eventsPerSecond(client: Driver, load: Load & { kind: "watch" }): Promise<number> {
  const { watchers, prefix, events } = load;
  const began = performance.now();
  const watched = Array.from({ length: watchers }, async () => {
    let seen = 0;
    await new Promise<void>((resolve, reject) => {
      const onEvent = (value: string): void => {
        if (value !== historyValue) reject(new Error("an event has another value"));
        if (++seen === events) resolve();
      };
      client.watch(prefix, 1, onEvent).catch(reject);
    });
  });
  await Promise.all(watched);
  return ((events * watchers) / (performance.now() - began)) * 1_000;
}

async function idle(client: Driver, watchers: number): Promise<number> {
  await client.put("bench/idle", benchValue);
  for (let watcher = 0; watcher < watchers; watcher++) await client.watch(`bench/idle-${watcher}/`, 1, () => {});
  return 0;
}

const [, , argument] = process.argv;
if (argument === undefined) throw new Error("the load must be named as JSON");
const sample = await run(JSON.parse(argument) as Load);
// etcd3 keeps a process alive that has watched, even after it was closed.
process.stdout.write(JSON.stringify(sample), () => process.exit());

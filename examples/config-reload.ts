/**
 * Configuration that changes while a program runs. What does not fit is refused, and the last good one stays in force.
 *
 *   node config-reload.ts
 *   litectl put config/server '{"port":8080,"greeting":"hello"}'
 *   litectl put config/server '{"port":"eighty"}'                   # refused
 *
 * ETCD_ENDPOINT says where etcd is (127.0.0.1:2379).
 */
import { createClient, isEtcdError, json, type StandardSchema } from "litecd";

interface Config {
  readonly port: number;
  readonly greeting: string;
}

/** By hand here; a schema of zod, valibot or arktype is one of these as it stands. */
const schema: StandardSchema<Config> = {
  "~standard": {
    validate(value) {
      const { port, greeting } = (value ?? {}) as Partial<Config>;
      if (typeof port !== "number" || typeof greeting !== "string") {
        return { issues: [{ message: "a config has a port (number) and a greeting (text)" }] };
      }
      return { value: { port, greeting } };
    },
  },
};

const key = "config/server";
let current: Config = { port: 80, greeting: "hi" };

function apply(read: () => Config): void {
  try {
    current = read();
    console.log(`in force: port ${current.port}, "${current.greeting}"`);
  } catch (error) {
    // The error names the key, its cause says what is wrong with the value.
    if (!isEtcdError(error, "Decode")) throw error;
    console.log(`refused: ${String(error.cause)}`);
    console.log(`still in force: port ${current.port}, "${current.greeting}"`);
  }
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void client.close());

for await (const step of client.as(json(schema)).follow(key)) {
  if (step.kind === "snapshot") {
    const stored = step.kvs.get(key);
    if (stored === undefined) console.log(`nothing is configured: port ${current.port}, "${current.greeting}"`);
    else apply(() => stored.value);
    continue;
  }
  for (const event of step.events) {
    if (event.type === "put") apply(() => event.kv.value);
    else console.log(`removed; still in force: port ${current.port}, "${current.greeting}"`);
  }
}
console.log("ended");

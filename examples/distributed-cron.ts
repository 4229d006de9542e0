/**
 * A job that runs on time, once, however many machines are told to run it.
 *
 *   node distributed-cron.ts 2                # every two seconds; start several
 *
 * Each beat of the clock has a key. Whoever writes it first runs the job; all others see that it is there. The keys go
 * away with a lease. ETCD_ENDPOINT says where etcd is (127.0.0.1:2379).
 */
import { createClient, type EtcdClient, isEtcdError } from "litecd";

const [, , every = "60"] = process.argv;
const intervalMs = Number(every) * 1_000;
if (!(intervalMs > 0)) throw new TypeError(`"${every}" is no number of seconds`);
/** How long a beat is remembered: longer than clocks differ. */
const rememberedSeconds = Math.ceil(intervalMs / 1_000) + 60;

const me = `runner ${process.pid}`;
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());

/** True for one of all who ask. */
async function claim(client: EtcdClient, beat: number): Promise<boolean> {
  const lease = await client.leases.grant(rememberedSeconds, { keepAlive: false });
  try {
    await client.put(`cron/report/${beat}`, me, { ifAbsent: true, lease, retry: "idempotent" });
    return true;
  } catch (error) {
    await lease.revoke();
    if (isEtcdError(error, "Conflict")) return false;
    throw error;
  }
}

function untilBeat(beat: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, beat * intervalMs - Date.now()));
    stopping.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
for (let beat = Math.ceil(Date.now() / intervalMs); ; beat++) {
  await untilBeat(beat);
  if (stopping.signal.aborted) break;
  try {
    if (await claim(client, beat)) console.log(`${me}: beat ${beat}`);
  } catch (error) {
    // Whether somebody runs it is open; the next beat comes.
    console.error(`${me}: beat ${beat} failed: ${isEtcdError(error) ? error.code : String(error)}`);
  }
}

/**
 * A worker of which many may run and one works: whoever leads takes jobs from a queue, the others stand by.
 *
 *   node leader-elected-worker.ts             # start several
 *   litectl put jobs/1 "send the report"      # and give them something to do
 *
 * A job is done in one transaction that only succeeds while this process still leads and the job is still there, so none is
 * done twice, even if a leader was suspended and wakes up deposed. ETCD_ENDPOINT says where etcd is (127.0.0.1:2379).
 */
import { cmp, createClient, type EtcdClient, isEtcdError, type KeyValue, op } from "litecd";
import { campaign, type Leadership } from "litecd/concurrency";

const me = `worker ${process.pid}`;
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());

/** Works until this process stops leading, or stops. */
async function work(client: EtcdClient, leadership: Leadership): Promise<void> {
  await using jobs = client.watch({ prefix: "jobs/" }, { only: "put" });
  const signal = AbortSignal.any([leadership.signal, stopping.signal]);
  signal.addEventListener("abort", () => void jobs.close());
  const first = await jobs.started;
  // What was there before the watch began, and then what comes.
  for await (const job of client.scan({ prefix: "jobs/" }, { revision: first - 1n }))
    await run(client, leadership, job);
  for await (const event of jobs.events()) if (event.type === "put") await run(client, leadership, event.kv);
}

async function run(client: EtcdClient, leadership: Leadership, job: KeyValue<string>): Promise<void> {
  const done = await client.txn({
    if: [leadership.guard(), cmp.modRevision(job.key).equal(job.modRevision)],
    then: [op.delete(job.key), op.put(job.key.replace("jobs/", "done/"), `${job.value}, by ${me}`)],
  });
  if (done.succeeded) console.log(`${me}: ${job.value}`);
}

await using client = createClient({ endpoints: process.env["ETCD_ENDPOINT"] ?? "127.0.0.1:2379" });
console.log(`${me} stands by`);
while (!stopping.signal.aborted) {
  try {
    await using leadership = await campaign(client, "elections/worker", me, { ttl: 5, signal: stopping.signal });
    console.log(`${me} leads`);
    await work(client, leadership);
  } catch (error) {
    if (!stopping.signal.aborted) console.error(`${me}: ${isEtcdError(error) ? error.code : String(error)}, once more`);
  }
}
console.log(`${me} has resigned`);

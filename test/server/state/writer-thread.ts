/**
 * A thread that writes a state as fast as it can, checkpoints and compacts it; for tests of readers beside it. Each batch
 * ends with a transaction that gives all keys of `row/` the same value, so that a reader can tell whether it sees one commit.
 */
import { parentPort, workerData } from "node:worker_threads";
import { PutRequest } from "../../../proto/gen/etcd/rpc.js";
import type { Entry } from "../../../src/server/raft/types.js";
import { encodeCommand } from "../../../src/server/state/command.js";
import { openState } from "../../../src/server/state/state.js";
import type { CommandBody } from "../../../src/server/state/types.js";
import { Database } from "../../../src/server/storage/database.js";
import { stateSchema, stateSchemaVersion } from "../../../src/server/storage/state-schema.js";

/** What the thread is started with; it writes until `stop` is 1. */
export interface WriterData {
  readonly dir: string;
  readonly clusterId: bigint;
  /** Keys of `row/`, named by their number. */
  readonly rows: number;
  readonly stop: Int32Array;
}

const { dir, clusterId, rows, stop } = workerData as WriterData;
const file = "state-1.db";
const state = openState({ dir, file, clusterId });
// A further connection that checkpoints, as the helper thread of a member does.
const helper = new Database({
  path: `${dir}/${file}`,
  synchronous: "NORMAL",
  lockingMode: "normal",
  walAutocheckpointPages: 0,
  journalSizeLimitBytes: 1024 * 1024,
  cacheSizeKib: 1024,
  busyTimeoutMs: 5000,
  schemaVersion: stateSchemaVersion,
  schema: stateSchema,
});

function put(key: string, value: string, lease = 0n): CommandBody {
  const request = { ...PutRequest.create(), key: Buffer.from(key), value: Buffer.from(value), lease };
  return { $case: "put", value: request };
}

function bodies(round: number): readonly CommandBody[] {
  const value = `${round} ${"x".repeat(200)}`;
  const success = Array.from({ length: rows }, (_, at) => {
    const body = put(`row/${at}`, value);
    if (body.$case !== "put") throw new Error("not a put");
    return { request: { $case: "requestPut" as const, value: body.value } };
  });
  const revision = BigInt(Math.max(state.reader.revision() - 1000, 1));
  return [
    put(`other/${round % 500}`, value),
    round % 2 === 0
      ? { $case: "leaseGrant", value: { id: 7n, ttlSeconds: BigInt(round + 10) } }
      : { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } },
    { $case: "clusterVersionSet", value: { version: `3.7.${round}` } },
    ...(round % 20 === 19 ? [{ $case: "compact" as const, value: { revision, physical: false } }] : []),
    { $case: "txn", value: { compare: [], success, failure: [] } },
  ];
}

function step(round: number): void {
  const first = state.reader.appliedIndex() + 1;
  const entries = bodies(round).map((body, at): Entry => {
    const index = first + at;
    return { index, term: 1, kind: "command", data: encodeCommand({ origin: 1n, boot: 1, sequence: index }, body) };
  });
  state.apply(entries);
  state.compactStep(100);
  if (round % 7 === 0) helper.checkpoint("PASSIVE");
  if (round % 50 === 0) helper.checkpoint("TRUNCATE");
}

let round = 0;
while (Atomics.load(stop, 0) === 0) step(round++);
helper.close();
state.close();
parentPort?.postMessage(round, []);

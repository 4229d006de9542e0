/** Writers and a watch against one running member, until it dies. */
import { type Event, Event_EventType } from "../../proto/gen/etcd/kv.js";
import type { RequestOp, WatchResponse } from "../../proto/gen/etcd/rpc.js";
import type { RawClient } from "../support/raw-client.js";
import type { Change, KeyState, Ledger, Revision, Write } from "./history.js";
import type { Writer } from "./plan.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** All keys of a run begin with this. */
const prefix = { key: encoder.encode("crash/"), rangeEnd: encoder.encode("crash0") };

/** What the writers share while one life of the member lasts. */
export interface Life {
  readonly client: RawClient;
  readonly ledger: Ledger;
  /** Keys that exist, kept up to date by the writer that owns them. */
  readonly keys: Set<string>;
  /** True from the moment the kill is on its way: failures are expected from then on. */
  dying: boolean;
  /** Called after each acknowledged write. */
  acknowledged(): void;
}

/** Writes one thing after another until a call fails. Rejects if a call fails although the member was not killed. */
export async function keepWriting(writer: Writer, life: Life): Promise<void> {
  for (;;) {
    const write = writer.next((key) => life.keys.has(key));
    try {
      const revision = await send(life.client, write);
      life.ledger.acknowledged(revision, write);
    } catch (error) {
      life.ledger.leftOpen(write);
      if (life.dying) return;
      throw new Error(`a write failed although nobody killed the member`, { cause: error });
    }
    for (const change of write.changes) {
      if (change.kind === "put") life.keys.add(change.key);
      else life.keys.delete(change.key);
    }
    life.acknowledged();
  }
}

/** Watches everything from `from` on, tells the ledger, and resolves to the next revision to ask for when it ends. */
export async function keepWatching(from: number, life: Life): Promise<number> {
  const stream = life.client.watch();
  stream.send({ requestUnion: { $case: "createRequest", value: { ...prefix, startRevision: BigInt(from) } } });
  let next = from;
  for (;;) {
    let response: WatchResponse;
    try {
      response = await stream.next(60_000);
    } catch (error) {
      stream.cancel();
      if (life.dying) return next;
      throw new Error("the watch ended although nobody killed the member", { cause: error });
    }
    for (const revision of revisionsOf(response)) {
      if (revision.revision !== next) throw new Error(`the watch delivered ${revision.revision} instead of ${next}`);
      life.ledger.watched(revision);
      next++;
    }
  }
}

/** Everything from `from` to `to`, read by a watch of its own. */
export async function readHistory(client: RawClient, { from, to }: { from: number; to: number }): Promise<Revision[]> {
  const stream = client.watch();
  stream.send({ requestUnion: { $case: "createRequest", value: { ...prefix, startRevision: BigInt(from) } } });
  const delivered: Revision[] = [];
  const created = await stream.next();
  if (created.canceled) throw new Error(`the watch from ${from} was refused: ${created.cancelReason}`);
  delivered.push(...revisionsOf(created));
  while ((delivered.at(-1)?.revision ?? from - 1) < to) delivered.push(...revisionsOf(await stream.next()));
  stream.cancel();
  return delivered;
}

/** The revision below which a watch is refused as compacted, as the member itself says it; 0 if nothing is. */
export async function compactedBelow(client: RawClient): Promise<number> {
  const stream = client.watch();
  stream.send({ requestUnion: { $case: "createRequest", value: { ...prefix, startRevision: 1n } } });
  // The refusal follows the created message.
  const { compactRevision } = (await stream.take(2)).at(-1) ?? { compactRevision: 0n };
  stream.cancel();
  return Number(compactRevision);
}

/** All keys of the run and the revision of the store, by a linearizable range. */
export async function readKeys(client: RawClient): Promise<{ revision: number; keys: Map<string, KeyState> }> {
  const response = await client.range(prefix);
  const keys = response.kvs.map((kv): [string, KeyState] => [
    decoder.decode(kv.key),
    {
      value: decoder.decode(kv.value),
      createRevision: Number(kv.createRevision),
      modRevision: Number(kv.modRevision),
      version: Number(kv.version),
    },
  ]);
  return { revision: Number(response.header?.revision), keys: new Map(keys) };
}

/** Sends a write as a put or as a transaction and resolves to the revision that the member acknowledged. */
async function send(client: RawClient, write: Write): Promise<number> {
  const [only, ...others] = write.changes;
  const response =
    only?.kind === "put" && others.length === 0
      ? await client.put({ key: encoder.encode(only.key), value: encoder.encode(only.value) })
      : await client.txn({ success: write.changes.map(operation) });
  return Number(response.header?.revision);
}

function operation(change: Change): RequestOp {
  const key = encoder.encode(change.key);
  const none = new Uint8Array();
  switch (change.kind) {
    case "put": {
      const flags = { lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };
      return { request: { $case: "requestPut", value: { key, value: encoder.encode(change.value), ...flags } } };
    }
    case "delete":
      return { request: { $case: "requestDeleteRange", value: { key, rangeEnd: none, prevKv: false } } };
  }
}

/** The revisions of one response. A revision that is split over two responses shows as a repetition. */
function revisionsOf({ events }: WatchResponse): Revision[] {
  const revisions: { revision: number; changes: Change[] }[] = [];
  for (const event of events) {
    const revision = Number(event.kv?.modRevision);
    const last = revisions.at(-1);
    if (last?.revision === revision) last.changes.push(changeOf(event));
    else revisions.push({ revision, changes: [changeOf(event)] });
  }
  return revisions;
}

function changeOf({ type, kv }: Event): Change {
  const key = decoder.decode(kv?.key);
  return type === Event_EventType.DELETE
    ? { kind: "delete", key }
    : { kind: "put", key, value: decoder.decode(kv?.value) };
}

/** Watches that write down all they hear: one over everything at each member, and short ones with wishes of all kinds. */
import { setTimeout as delay } from "node:timers/promises";
import { type Event, Event_EventType, type KeyValue } from "../../proto/gen/etcd/kv.js";
import { WatchCreateRequest_FilterType, type WatchResponse } from "../../proto/gen/etcd/rpc.js";
import type { HistoricalChange, WatchedEvent, WatchWish } from "../check/watch-validators.js";
import type { Dice } from "../crash/plan.js";
import { type RawClient, rawClient, type WatchStream } from "../support/raw-client.js";
import { ownPrefix, type Stage } from "./clients.js";

/** What a watch said, as far as it matters for its promises. */
export type WatchMessage =
  | { readonly kind: "events"; readonly events: readonly WatchedEvent[]; readonly atMs: number }
  | { readonly kind: "progress"; readonly revision: number };

/** One watch from its creation to its end. */
export interface WatchSession {
  readonly member: string;
  readonly wish: WatchWish;
  readonly createdRevision: number;
  readonly messages: WatchMessage[];
}

/** Where sessions are written down, and the stage that says when to stop. */
export interface WatchStage {
  readonly stage: Stage;
  readonly sessions: WatchSession[];
}

interface Place {
  readonly name: string;
  readonly endpoint: string;
}

const everything: Omit<WatchWish, "startRevision"> = {
  key: "\0",
  rangeEnd: "\0",
  puts: true,
  deletes: true,
  previousKv: true,
};
const pollMs = 250;
const retryMs = 50;
const createdMsMax = 3_000;

/** Watches everything at one member from revision 1 on, over all breaks, until the stage is over. */
export class Recorder {
  readonly #place: Place;
  readonly #stage: WatchStage;
  /** The first revision that was not heard yet. */
  next = 1;

  constructor(place: Place, stage: WatchStage) {
    this.#place = place;
    this.#stage = stage;
  }

  /** `wanted` tells how far it has to listen before it may stop. */
  async record(wanted: () => number): Promise<void> {
    const over = (): boolean => this.#stage.stage.stopped && this.next > wanted();
    while (!over()) {
      const watch = await openWatch(this.#place, { ...everything, startRevision: this.next }, this.#stage);
      if (watch === undefined) {
        await delay(retryMs);
        continue;
      }
      while (!over() && (await watch.listen())) this.next = Math.max(this.next, watch.heardThrough + 1);
      watch.close();
    }
  }
}

/** One short watch after the other, at members and with wishes by the dice, until the stage is over. */
export async function keepWatching(
  places: readonly Place[],
  { dice, stage, newest }: { dice: Dice; stage: WatchStage; newest: () => number },
): Promise<void> {
  while (!stage.stage.stopped) {
    const place = places[dice.below(places.length)];
    if (place === undefined) throw new Error("there is nowhere to watch");
    const watch = await openWatch(place, randomWish(dice, newest()), stage);
    if (watch === undefined) {
      await delay(retryMs);
      continue;
    }
    const untilMs = performance.now() + 300 + dice.below(2_500);
    while (!stage.stage.stopped && performance.now() < untilMs && (await watch.listen())) {
      if (dice.below(4) === 0) watch.askForProgress();
    }
    watch.close();
  }
}

function randomWish(dice: Dice, newest: number): WatchWish {
  const key = `${ownPrefix}k${dice.below(10)}`;
  const range = dice.below(2) === 0 ? { key, rangeEnd: "" } : { key: ownPrefix, rangeEnd: "chaos0" };
  const offset = dice.below(200) - 100;
  const filter = dice.below(6);
  return {
    ...range,
    startRevision: dice.below(4) === 0 ? 0 : Math.max(1, newest + offset),
    puts: filter !== 0,
    deletes: filter !== 1,
    previousKv: dice.below(2) === 0,
  };
}

/** Creates a watch and writes down its session. Undefined if the member does not answer or refuses (compacted). */
async function openWatch(place: Place, wish: WatchWish, stage: WatchStage): Promise<OpenWatch | undefined> {
  const client = rawClient(place.endpoint);
  const stream = client.watch();
  stream.send({ requestUnion: { $case: "createRequest", value: requestOf(wish) } });
  try {
    const created = await stream.next(createdMsMax);
    const createdRevision = Number(created.header?.revision);
    const session = { member: place.name, wish, createdRevision, messages: [] };
    if (!created.canceled) stage.sessions.push(session);
    if (!created.canceled) return new OpenWatch(client, stream, session);
  } catch {
    // Not there, or not to be reached. The caller tries again.
  }
  stream.cancel();
  client.close();
  return undefined;
}

class OpenWatch {
  readonly #client: RawClient;
  readonly #stream: WatchStream;
  readonly #session: WatchSession;
  /** Everything up to this revision was heard. */
  heardThrough = 0;

  constructor(client: RawClient, stream: WatchStream, session: WatchSession) {
    this.#client = client;
    this.#stream = stream;
    this.#session = session;
  }

  /** Waits a little for the next message; false once the watch is over. */
  async listen(): Promise<boolean> {
    let response: WatchResponse;
    try {
      response = await this.#stream.next(pollMs);
    } catch {
      // Silence, or the end.
      return this.#stream.isOpen;
    }
    if (response.canceled) return false;
    const revision = Number(response.header?.revision);
    if (response.events.length > 0) {
      const events = response.events.map(watchedEvent);
      this.#session.messages.push({ kind: "events", events, atMs: performance.now() });
      this.heardThrough = Math.max(this.heardThrough, events.at(-1)?.revision ?? 0);
    } else {
      this.#session.messages.push({ kind: "progress", revision });
      this.heardThrough = Math.max(this.heardThrough, revision);
    }
    return true;
  }

  askForProgress(): void {
    this.#stream.send({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

function requestOf({ key, rangeEnd, startRevision, puts, deletes, previousKv }: WatchWish) {
  const filters: WatchCreateRequest_FilterType[] = [];
  if (!puts) filters.push(WatchCreateRequest_FilterType.NOPUT);
  if (!deletes) filters.push(WatchCreateRequest_FilterType.NODELETE);
  return {
    key: Buffer.from(key, "latin1"),
    rangeEnd: Buffer.from(rangeEnd, "latin1"),
    startRevision: BigInt(startRevision),
    filters,
    prevKv: previousKv,
  };
}

function latin1(data: Uint8Array): string {
  return Buffer.from(data).toString("latin1");
}

function watchedEvent({ type, kv, prevKv }: Event): WatchedEvent {
  if (kv === undefined) throw new Error("an event without a key");
  return {
    kind: type === Event_EventType.DELETE ? "delete" : "put",
    key: latin1(kv.key),
    revision: Number(kv.modRevision),
    createRevision: Number(kv.createRevision),
    version: Number(kv.version),
    value: latin1(kv.value),
    lease: kv.lease,
    previous: prevKv && wordsOfKv(prevKv),
  };
}

function wordsOfKv({ value, createRevision, modRevision, version, lease }: KeyValue): string {
  return `${latin1(value)} ${createRevision} ${modRevision} ${version} ${lease}`;
}

/** A change in the words that {@link WatchedEvent.previous} has for it. */
export function wordsOf({ value, createRevision, revision, version, lease }: HistoricalChange): string {
  return `${value} ${createRevision} ${revision} ${version} ${lease}`;
}

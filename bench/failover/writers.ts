/** Writers that write one key after the other at a member, and remember what was acknowledged and when. */
import { setTimeout as delay } from "node:timers/promises";
import { type RawClient, rawClient } from "../../test/support/raw-client.js";

/** One write that was acknowledged; times by `performance.now()`. */
export interface Ack {
  readonly key: string;
  readonly calledMs: number;
  readonly ackedMs: number;
}

const encoder = new TextEncoder();
/** etcd gives up after 7 s at the latest. */
const callMsMax = 10_000;
const valueBytes = 256;
const value = new Uint8Array(valueBytes).fill("v".charCodeAt(0));
export const writtenPrefix = "failover/";

/** Keeps `count` writes under way at one endpoint until it is stopped. Failures are counted; the next write follows at once. */
export class Writers {
  readonly acks: Ack[] = [];
  failed = 0;
  readonly #endpoint: string;
  readonly #name: string;
  readonly #done: Promise<unknown>;
  #client: RawClient;
  #sequence = 0;
  #stopped = false;

  constructor(name: string, endpoint: string, count: number) {
    this.#name = name;
    this.#endpoint = endpoint;
    this.#client = rawClient(endpoint);
    this.#done = Promise.all(Array.from({ length: count }, () => this.#write()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#client.close();
  }

  async #write(): Promise<void> {
    while (!this.#stopped) {
      const key = `${writtenPrefix}${this.#name}/${++this.#sequence}`;
      const calledMs = performance.now();
      const client = this.#client;
      try {
        await client.put({ key: encoder.encode(key), value }, { timeoutMs: callMsMax });
        this.acks.push({ key, calledMs, ackedMs: performance.now() });
      } catch {
        this.failed++;
        this.#renew(client);
        await delay(10);
      }
    }
  }

  /** A new connection instead of the old one's backoff; once for all the calls that it failed. */
  #renew(failed: RawClient): void {
    if (this.#client !== failed) return;
    failed.close();
    this.#client = rawClient(this.#endpoint);
  }
}

/** Resolves once each of the writers has so many more acknowledgements. */
export async function acknowledged(writers: readonly Writers[], count: number): Promise<void> {
  const goals = writers.map((writer) => ({ writer, acks: writer.acks.length + count }));
  while (!goals.every(({ writer, acks }) => writer.acks.length >= acks)) await delay(5);
}

/** Asks again and again, each time with a new write and without waiting for the last one: when does the first succeed? */
export class Prober {
  readonly acks: Ack[] = [];
  readonly #client: RawClient;
  readonly #name: string;
  readonly #timer: NodeJS.Timeout;
  #sequence = 0;
  readonly #first: Promise<number>;

  /** Starts at once. Whoever makes it stops it. */
  constructor(name: string, endpoint: string, everyMs = 5) {
    this.#name = name;
    this.#client = rawClient(endpoint);
    let found: (ackedMs: number) => void;
    this.#first = new Promise((resolve) => {
      found = resolve;
    });
    this.#timer = setInterval(() => void this.#ask().then((ack) => ack !== undefined && found(ack.ackedMs)), everyMs);
  }

  /** When the first write was acknowledged that began after the prober did. */
  get first(): Promise<number> {
    return this.#first;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#client.close();
  }

  async #ask(): Promise<Ack | undefined> {
    const key = `${writtenPrefix}${this.#name}/${++this.#sequence}`;
    const calledMs = performance.now();
    try {
      await this.#client.put({ key: encoder.encode(key), value }, { timeoutMs: callMsMax });
    } catch {
      // No leader yet.
      return undefined;
    }
    const ack = { key, calledMs, ackedMs: performance.now() };
    this.acks.push(ack);
    return ack;
  }
}

/** All keys of all writers and probers that a linearizable read finds at the endpoint. */
export async function keysFound(endpoint: string): Promise<Set<string>> {
  const client = rawClient(endpoint);
  const decoder = new TextDecoder();
  const found = new Set<string>();
  try {
    let key = encoder.encode(writtenPrefix);
    const rangeEnd = encoder.encode("failover0");
    for (;;) {
      const { kvs, more } = await client.range(
        { key, rangeEnd, limit: 20_000n, keysOnly: true },
        { timeoutMs: 60_000 },
      );
      for (const kv of kvs) found.add(decoder.decode(kv.key));
      const last = kvs.at(-1)?.key;
      if (!more || last === undefined) return found;
      key = new Uint8Array([...last, 0]);
    }
  } finally {
    client.close();
  }
}

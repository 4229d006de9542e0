/**
 * Software transactional memory: a function that reads and writes, run again until nobody has got in its way. It must do
 * nothing but read, compute and write through what it is given, because it may run several times.
 */
import { bytes, type Codec, EtcdError, type Key, type KeyRange, type Kv, type Lease, utf8 } from "../index.js";
import { Bounds } from "./bounds.js";
import { textOf } from "./keys.js";
import { Attempt, type Prefetch } from "./stm-attempt.js";
import type { StmEntry, StmOptions, StmTransaction } from "./stm-types.js";

const attemptsMaxDefault = 100;
/** A random part of it, doubled with each conflict, keeps those apart who have met. */
const pauseMs = { base: 5, max: 500 };

/**
 * Runs the function until its transaction commits, and resolves with what it returned then. What it throws ends the
 * call, and nothing is written. A commit whose outcome is unknown is not repeated: the error says so (`outcome`).
 */
export async function stm<T>(
  store: Pick<Kv<unknown>, "as">,
  run: (transaction: StmTransaction) => Promise<T>,
  options: StmOptions = {},
): Promise<T> {
  const { isolation = "serializable-snapshot", maxAttempts = attemptsMaxDefault } = options;
  const kv = store.as(bytes);
  const bounds = new Bounds("stm", options);
  let prefetch: Prefetch | undefined;
  try {
    for (let number = 1; number <= maxAttempts; number++) {
      const attempt = new Attempt(kv, { isolation, bounds, number }, prefetch);
      const done = await runOnce(attempt, run);
      if (done.committed) return done.value;
      ({ prefetch } = done);
      await bounds.sleep(Math.random() * Math.min(pauseMs.max, pauseMs.base * 2 ** Math.min(number, 10)));
      bounds.signal.throwIfAborted();
    }
    throw conflicts(maxAttempts);
  } finally {
    bounds.dispose();
  }
}

type Done<T> =
  | { readonly committed: true; readonly value: T }
  | { readonly committed: false; readonly prefetch?: Prefetch };

async function runOnce<T>(attempt: Attempt, run: (transaction: StmTransaction) => Promise<T>): Promise<Done<T>> {
  let value: T;
  try {
    value = await run(new View(attempt, utf8));
  } catch (error) {
    if (attempt.stale) return { committed: false };
    throw error;
  } finally {
    attempt.close();
  }
  if (attempt.stale) return { committed: false };
  const outcome = await attempt.commit();
  if (outcome === "done") return { committed: true, value };
  return outcome === undefined ? { committed: false } : { committed: false, prefetch: outcome };
}

function conflicts(attempts: number): EtcdError {
  return new EtcdError(`the transaction met others in each of ${attempts} attempts`, {
    code: "Conflict",
    grpcStatus: 0,
    outcome: "not-applied",
    attempts,
    retryable: true,
  });
}

/** An attempt through a codec. */
class View<V> implements StmTransaction<V> {
  private readonly run: Attempt;
  private readonly codec: Codec<V>;

  constructor(run: Attempt, codec: Codec<V>) {
    this.run = run;
    this.codec = codec;
  }

  get attempt(): number {
    return this.run.number;
  }

  async get(key: Key): Promise<V | undefined> {
    const value = await this.run.get(key);
    return value === undefined ? undefined : this.codec.decode(value.slice());
  }

  async list(range: KeyRange): Promise<StmEntry<V>[]> {
    const entries = await this.run.list(range);
    return entries.map(({ keyBytes, value }) => ({
      key: textOf(keyBytes),
      keyBytes,
      value: this.codec.decode(value.slice()),
    }));
  }

  put(key: Key, value: V, { lease }: { readonly lease?: Lease | bigint } = {}): void {
    this.run.write({ key, value: this.codec.encode(value), lease });
  }

  delete(key: Key): void {
    this.run.write({ key, value: undefined, lease: undefined });
  }

  as<U>(codec: Codec<U>): StmTransaction<U> {
    return new View(this.run, codec);
  }
}

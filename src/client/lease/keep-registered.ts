/**
 * A key that is there for as long as its process is: put under a lease of its own, and put again under a new one when
 * the lease is lost. One task does all the writing, so that an old value never overwrites a newer one.
 */
import { Code } from "../../../proto/status.js";
import { onAbort, sleep } from "../calls/abort.js";
import { EtcdError, isEtcdError } from "../errors.js";
import { bytes } from "../kv/codec.js";
import { keyBytes } from "../kv/range.js";
import type { Key } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import type { EtcdClient } from "../types.js";
import type { Lease } from "./types.js";

export interface RegistrationOptions {
  /** Seconds after which a registration goes whose process died. Default 10. */
  readonly ttl?: number;
  /** Ends the registration, as disposing does. */
  readonly signal?: AbortSignal;
  /** Time for the first registration, and for each call after it; the client's default if absent. */
  readonly timeoutMs?: number;
}

/** A key that is kept. Disposing takes it away; rejects if that could not be done at once (its lease then runs out). */
export interface Registration extends AsyncDisposable {
  readonly key: Key;
  /** What holds the key now; undefined from the loss of a lease to the next registration. */
  readonly lease: Lease | undefined;
  /** Aborts when the registration has ended: disposed of, the client closed, or refused with the error that is the reason. */
  readonly signal: AbortSignal;
  /** Registers another value; resolves when it is there, also if a new lease was needed for it. */
  update(value: Key): Promise<void>;
}

const ttlDefault = 10;
/** Between attempts to register again: a random part of it, so that processes do not come in step. */
const pauseMs = 1_000;

/** Resolves when the key is there for the first time; rejects if that fails. */
export async function keepRegistered(
  client: EtcdClient,
  key: Key,
  value: Key,
  options: RegistrationOptions = {},
): Promise<Registration> {
  const registration = new KeptRegistration(client, { key, value }, options);
  await registration.begin();
  return registration;
}

interface Waiter {
  readonly version: number;
  resolve(): void;
  reject(error: unknown): void;
}

class KeptRegistration implements Registration {
  readonly key: Key;
  private readonly client: EtcdClient;
  private readonly options: RegistrationOptions;
  private readonly ended = new AbortController();
  private readonly closer = new AbortController();
  private readonly waiters = new Set<Waiter>();
  private held: Lease | undefined;
  private value: Key;
  /** Counts values; the one that was put last, and under which lease. */
  private version = 1;
  private done: { readonly version: number; readonly lease: Lease | undefined } = { version: 0, lease: undefined };
  private wake: () => void = () => {};
  private running: Promise<void> = Promise.resolve();
  private withdrawal: { readonly error: unknown } | undefined;

  constructor(client: EtcdClient, entry: { readonly key: Key; readonly value: Key }, options: RegistrationOptions) {
    this.client = client;
    this.key = entry.key;
    this.value = entry.value;
    this.options = options;
  }

  get lease(): Lease | undefined {
    return this.done.lease === this.held && this.held?.signal.aborted === false ? this.held : undefined;
  }

  get signal(): AbortSignal {
    return this.ended.signal;
  }

  async begin(): Promise<void> {
    const { signal } = this.options;
    if (signal?.aborted === true) throw givenUp(signal.reason);
    const unlink = signal === undefined ? (): void => {} : onAbort(signal, () => this.stop(signal.reason));
    try {
      await this.settle();
    } catch (error) {
      unlink();
      await this.withdraw();
      throw error;
    }
    this.running = this.run().finally(unlink);
  }

  update(value: Key): Promise<void> {
    if (this.closer.signal.aborted) return Promise.reject(this.endError());
    this.value = value;
    const version = ++this.version;
    return new Promise((resolve, reject) => {
      this.waiters.add({ version, resolve, reject });
      this.wake();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop(new EtcdError("the registration was withdrawn", { code: "Aborted", grpcStatus: 0, outcome: "applied" }));
    await this.running;
    if (this.withdrawal !== undefined) throw this.withdrawal.error;
  }

  private stop(reason: unknown): void {
    if (!this.closer.signal.aborted) this.closer.abort(reason);
    this.wake();
  }

  private async run(): Promise<void> {
    while (!this.closer.signal.aborted) {
      await this.idle();
      if (this.closer.signal.aborted) break;
      try {
        await this.settle();
      } catch (error) {
        if (passing(error)) await sleep(Math.random() * pauseMs, this.closer.signal);
        else this.stop(error);
      }
    }
    await this.withdraw();
    for (const waiter of this.waiters) waiter.reject(this.endError());
    this.waiters.clear();
    this.ended.abort(this.closer.signal.reason);
  }

  /** Until there is something to do: the lease was lost, a value is new, or it is over. */
  private async idle(): Promise<void> {
    if (this.done.version !== this.version || this.lease === undefined || this.closer.signal.aborted) return;
    let unlink: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.held !== undefined) unlink = onAbort(this.held.signal, resolve);
    });
    unlink?.();
  }

  /** Grants if there is no living lease, and puts the newest value. Putting it twice does no harm. */
  private async settle(): Promise<void> {
    const call = this.call();
    if (this.held === undefined || this.held.signal.aborted) {
      this.held = await this.client.leases.grant(this.options.ttl ?? ttlDefault, call);
    }
    const { held, version } = this;
    await this.client.as(bytes).put(this.key, keyBytes(this.value), { ...call, lease: held, retry: "idempotent" });
    this.done = { version, lease: held };
    for (const waiter of this.waiters) {
      if (waiter.version > version) continue;
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** What could not be revoked runs out by itself, and is told to whoever disposes. */
  private async withdraw(): Promise<void> {
    try {
      await this.held?.[Symbol.asyncDispose]();
    } catch (error) {
      this.held?.release();
      this.withdrawal = { error };
    }
  }

  private call(): CallOptions {
    const { timeoutMs } = this.options;
    return { signal: this.closer.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  }

  private endError(): EtcdError {
    const cause: unknown = this.closer.signal.reason;
    if (isEtcdError(cause)) return cause;
    return new EtcdError("the registration has ended", { code: "Aborted", grpcStatus: 0, outcome: "unknown", cause });
  }
}

function givenUp(cause: unknown): EtcdError {
  const facts = { code: "Aborted", grpcStatus: Code.CANCELLED, outcome: "not-applied", cause } as const;
  return new EtcdError("the registration was given up", facts);
}

/** A server that is away comes back, and a lease that was lost is followed by another; a refusal stays one. */
function passing(error: unknown): boolean {
  if (!isEtcdError(error) || error.code === "ClientClosed") return false;
  return error.retryable || error.code === "LeaseLost" || error.code === "LeaseNotFound";
}

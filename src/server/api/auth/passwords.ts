/**
 * Hashing and checking of passwords with bcrypt, which is slow on purpose: in threads of its own, never in the event loop.
 * The threads start with the first password and hold nothing.
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { Code, status, WireError, type WireStatus } from "../../../../proto/status.js";
import type { WaitOptions } from "../../replica/types.js";
import { abortError } from "../abort.js";

export interface Passwords {
  /** Rejects with TooManyRequests when too many wait already. */
  hash(password: string, options: WaitOptions): Promise<string>;
  /** Takes as long for a user that does not exist (`hash` undefined), or has no hash, as for a password that is wrong. */
  matches(password: string, hash: string | undefined, options: WaitOptions): Promise<boolean>;
  /** Ends the threads; what waits is rejected with Stopped. */
  close(): Promise<void>;
}

/** Longer passwords would be cut; etcd refuses them. */
export const passwordBytesMax = 72;

/** Of everything that bcrypt writes. */
const hashLength = 60;

export const bcryptCostDefault = 10;

export function isBcryptCost(cost: number): boolean {
  return Number.isInteger(cost) && cost >= 4 && cost <= 31;
}

export interface PasswordThreadsOptions {
  /** Logarithm of the rounds, 4 to 31. */
  readonly cost: number;
}

/** Passwords that wait for a thread. At the usual cost this is 20 s of work for one thread. */
const waitingMax = 256;
const threadsMax = 4;

type Work =
  | { readonly kind: "hash"; readonly password: string; readonly cost: number }
  | { readonly kind: "matches"; readonly password: string; readonly hash: string };

interface Job {
  readonly work: Work;
  readonly signal: AbortSignal;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: WireError) => void;
}

/**
 * What a thread runs. As text, because a thread needs a file that Node can run as it is, and there is none when the
 * server runs from its sources, or is bundled. A hash that bcrypt has not written matches nothing.
 */
const threadSource = `
const { parentPort, workerData } = require("node:worker_threads");
const bcrypt = require(workerData);
const matches = (password, hash) => {
  try { return bcrypt.compareSync(password, hash); } catch { return false; }
};
parentPort.on("message", ({ kind, password, hash, cost }) =>
  parentPort.postMessage(kind === "hash" ? bcrypt.hashSync(password, cost) : matches(password, hash)));
`;

export class PasswordThreads implements Passwords {
  private readonly cost: number;
  private readonly waiting: Job[] = [];
  private readonly idle: Worker[] = [];
  private readonly busy = new Map<Worker, Job>();
  private readonly threadsMax = Math.max(1, Math.min(threadsMax, availableParallelism() - 1));
  /** File of the package, once it was needed. */
  private bcrypt: string | undefined;
  private closed = false;

  constructor({ cost }: PasswordThreadsOptions) {
    this.cost = cost;
  }

  hash(password: string, options: WaitOptions): Promise<string> {
    return this.ask<string>({ kind: "hash", password, cost: this.cost }, options);
  }

  matches(password: string, hash: string | undefined, options: WaitOptions): Promise<boolean> {
    const comparable = hash?.length === hashLength ? hash : this.nobodysHash();
    return this.ask<boolean>({ kind: "matches", password, hash: comparable }, options);
  }

  async close(): Promise<void> {
    this.closed = true;
    const stopped = new WireError(status.Stopped);
    for (const job of [...this.waiting.splice(0), ...this.busy.values()]) job.reject(stopped);
    const workers = [...this.idle.splice(0), ...this.busy.keys()];
    this.busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  /** Of the right form and the usual cost; no password has it. */
  private nobodysHash(): string {
    return `$2b$${String(this.cost).padStart(2, "0")}$${".".repeat(53)}`;
  }

  private async ask<T>(work: Work, { signal }: WaitOptions): Promise<T> {
    if (this.closed) throw new WireError(status.Stopped);
    if (this.waiting.length >= waitingMax) throw new WireError(status.TooManyRequests);
    this.bcrypt ??= bcryptFile();
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ work, signal, resolve: resolve as (answer: unknown) => void, reject });
      this.proceed();
    });
  }

  private proceed(): void {
    for (let job = this.waiting[0]; job !== undefined; job = this.waiting[0]) {
      if (job.signal.aborted) job.reject(abortError(job.signal, status.Canceled));
      else {
        const worker = this.idle.pop() ?? this.newThread();
        if (worker === undefined) return;
        this.busy.set(worker, job);
        worker.postMessage(job.work, []);
      }
      this.waiting.shift();
    }
  }

  /** Undefined if there are enough. */
  private newThread(): Worker | undefined {
    if (this.busy.size >= this.threadsMax) return undefined;
    const worker = new Worker(threadSource, { eval: true, workerData: this.bcrypt });
    worker.unref();
    worker.on("message", (answer: unknown) => {
      this.busy.get(worker)?.resolve(answer);
      this.busy.delete(worker);
      this.idle.push(worker);
      this.proceed();
    });
    worker.on("error", (cause) => {
      this.busy.get(worker)?.reject(new WireError(threadFailed, { cause }));
      this.busy.delete(worker);
      this.proceed();
    });
    return worker;
  }
}

const threadFailed: WireStatus = { code: Code.INTERNAL, message: "etcdserver: a thread for passwords failed" };

/** Where bcrypt is: an optional dependency, which is needed only by servers that have users. */
function bcryptFile(): string {
  try {
    return createRequire(import.meta.url).resolve("bcryptjs");
  } catch (cause) {
    const message = 'etcdserver: passwords need the package "bcryptjs", which is not installed';
    throw new WireError({ code: Code.FAILED_PRECONDITION, message }, { cause });
  }
}

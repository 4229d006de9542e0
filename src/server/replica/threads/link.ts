/** One worker thread as its owner sees it: asked in order, answers in order, and fails once. */
import { type Transferable, Worker } from "node:worker_threads";
import { invariant } from "../../invariant.js";
import { StorageFailure } from "../../storage/failure.js";
import { type PackedError, unpackError } from "./failures.js";

/** What a thread can be asked: the request and the answer of each kind of work. */
export type WorkTable<Work> = {
  readonly [Kind in keyof Work]: { readonly request: unknown; readonly answer: unknown };
};

/** To a thread. */
export interface Request<Kind extends string = string> {
  readonly kind: Kind;
  readonly request: unknown;
}

/** From a thread, one a request, in order. After a failure it answers nothing any more. */
export type Reply = { readonly kind: "answer"; readonly answer: unknown } | Failed;

interface Failed {
  readonly kind: "failed";
  readonly error: PackedError;
}

/** Threads that share it fail as one: the first failure is told, and nothing is reported after it. */
export class Fate {
  private listener: ((error: unknown) => void) | undefined;
  private untold: { readonly error: unknown } | undefined;
  failed = false;

  fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    if (this.listener === undefined) this.untold = { error };
    else this.listener(error);
  }

  /** Whom to tell from now on; at once, if something has failed while there was nobody to tell. */
  tell(listener: (error: unknown) => void): void {
    this.listener = listener;
    const { untold } = this;
    this.untold = undefined;
    if (untold !== undefined) listener(untold.error);
  }
}

export interface LinkOptions {
  /** For messages. */
  readonly name: string;
  /** The compiled file that the thread runs. */
  readonly entry: URL;
  readonly fate: Fate;
}

type Answered = (answer: unknown) => void;

/** Owns the thread, which keeps the process alive until {@link ThreadLink.close}. */
export class ThreadLink<Work extends WorkTable<Work>> {
  private readonly name: string;
  private readonly fate: Fate;
  private readonly entry: URL;
  private worker: Worker | undefined;
  private readonly waiting: Answered[] = [];
  private readonly whenEnded: (() => void)[] = [];
  private whenAnswered: () => void = () => undefined;
  private closing = false;
  /** It was told to close what it holds, which is the only way to end well. */
  private released = false;
  private ended = false;

  constructor({ name, entry, fate }: LinkOptions) {
    this.name = name;
    this.fate = fate;
    this.entry = entry;
  }

  /** Starts the thread; else the first question does. */
  start(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(this.entry, { name: `litecd ${this.name}` });
    this.worker = worker;
    worker.on("message", (reply: Reply) => this.receive(reply));
    worker.on("messageerror", (error) => this.fate.fail(error));
    worker.on("error", (error) => this.fate.fail(error));
    worker.on("exit", (code) => this.end(code));
    return worker;
  }

  /** Asks the thread. `transfer` are buffers inside `request` that are handed over. */
  ask<Kind extends keyof Work & string>(
    kind: Kind,
    request: Work[Kind]["request"],
    done: (answer: Work[Kind]["answer"]) => void,
    transfer: readonly Transferable[] = [],
  ): void {
    invariant(!this.closing, "a thread is asked after it was closed", { thread: this.name, kind });
    if (this.fate.failed) return;
    this.waiting.push(done);
    this.start().postMessage({ kind, request } satisfies Request, transfer);
  }

  /**
   * Lets go of the thread once it has answered everything; calls `done` when what it holds is closed and it has ended. `answered`
   * is called in between, unless something has failed.
   */
  close(done: () => void, answered: () => void = () => undefined): void {
    if (this.ended || this.worker === undefined) {
      this.closing = true;
      done();
      return;
    }
    this.whenEnded.push(done);
    if (this.closing) return;
    this.closing = true;
    this.whenAnswered = answered;
    this.finish();
  }

  private finish(): void {
    // After a failure it does not listen any more, and what it holds is better not closed in order.
    if (this.fate.failed) void this.worker?.terminate();
    else if (this.waiting.length === 0 && !this.released) this.release();
  }

  private release(): void {
    this.released = true;
    this.guard(this.whenAnswered);
    this.worker?.postMessage({ kind: "close", request: undefined } satisfies Request, []);
  }

  private receive(reply: Reply): void {
    if (!this.fate.failed) this.take(reply);
    if (this.closing) this.finish();
  }

  private take(reply: Reply): void {
    if (reply.kind === "failed") {
      this.fate.fail(unpackError(reply.error));
      return;
    }
    const done = this.waiting.shift();
    this.guard(() => {
      invariant(done !== undefined, "a thread answers what it was not asked", { thread: this.name });
      done(reply.answer);
    });
  }

  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fate.fail(error);
    }
  }

  private end(code: number): void {
    this.ended = true;
    if (!this.released || code !== 0) {
      this.fate.fail(new StorageFailure("other", `the ${this.name} thread has ended by itself (${code})`));
    }
    for (const done of this.whenEnded.splice(0)) done();
  }
}

/** Reads a gRPC stream one message at a time with a deadline on every wait, so that no test hangs or sleeps. */

import type { StatusObject } from "@grpc/grpc-js";

/** How a stream ended. */
export interface StreamEnd {
  readonly code: number;
  readonly details: string;
}

/** The part of a grpc-js readable call that a reader needs. */
interface ReadableCall<T> {
  on(event: "data", listener: (message: T) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "status", listener: (status: StatusObject) => void): unknown;
  cancel(): void;
}

interface Waiter {
  readonly ready: () => boolean;
  readonly settle: () => void;
}

const WAIT_MS = 8_000;

/** Buffers everything a stream says; `next` and `ended` wait for it. The opener cancels it. */
export class StreamReader<T> {
  readonly #call: ReadableCall<T>;
  readonly #messages: T[] = [];
  #end: StreamEnd | undefined;
  #waiters: Waiter[] = [];

  constructor(call: ReadableCall<T>) {
    this.#call = call;
    call.on("data", (message) => {
      this.#messages.push(message);
      this.#wake();
    });
    // grpc-js reports the same end as "status"; without a listener the "error" would end the process.
    call.on("error", () => undefined);
    call.on("status", ({ code, details }) => {
      this.#end = { code, details };
      this.#wake();
    });
  }

  /** The next message. Rejects when the stream ends first or nothing comes before the deadline. */
  async next(timeoutMs: number = WAIT_MS): Promise<T> {
    await this.#until(() => this.#messages.length > 0 || this.#end !== undefined, { timeoutMs, what: "a message" });
    const message = this.#messages.shift();
    if (message === undefined) throw new Error(`the stream ended: ${JSON.stringify(this.#end)}`);
    return message;
  }

  /** The next `count` messages. */
  async take(count: number): Promise<T[]> {
    const messages: T[] = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  /** Everything up to the end of the stream, and how it ended. */
  async drain(timeoutMs: number = WAIT_MS): Promise<{ messages: T[]; end: StreamEnd }> {
    const end = await this.ended(timeoutMs);
    return { messages: this.#messages.splice(0), end };
  }

  /** How the stream ended; messages that came before stay readable. */
  async ended(timeoutMs: number = WAIT_MS): Promise<StreamEnd> {
    await this.#until(() => this.#end !== undefined, { timeoutMs, what: "the end of the stream" });
    if (this.#end === undefined) throw new Error("woken without an end");
    return this.#end;
  }

  /** True while the server has not ended the stream. */
  get isOpen(): boolean {
    return this.#end === undefined;
  }

  cancel(): void {
    this.#call.cancel();
  }

  #wake(): void {
    const ready = this.#waiters.filter((waiter) => waiter.ready());
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.settle();
  }

  #until(ready: () => boolean, { timeoutMs, what }: { timeoutMs: number; what: string }): Promise<void> {
    if (ready()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no sign of ${what} within ${timeoutMs} ms`)), timeoutMs);
      this.#waiters.push({
        ready,
        settle: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }
}

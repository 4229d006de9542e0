/** The requests of a stream, in order, for one reader; it holds the caller back when the reader is slow. */

/** What the inbox asks of the connection: stop delivering, deliver again. */
export interface Faucet {
  pause(): void;
  resume(): void;
}

/** Requests held for the reader before the caller has to wait. */
const heldMax = 64;

type Result<Request> = IteratorResult<Request, undefined>;

interface Waiter<Request> {
  resolve(result: Result<Request>): void;
  reject(reason: unknown): void;
}

/**
 * Ends when the caller closes its side; fails with the reason when the call is aborted. What was received before is
 * read first, except after an abort.
 */
export class Inbox<Request> implements AsyncIterableIterator<Request, undefined> {
  private readonly faucet: Faucet;
  private held: Request[] = [];
  private waiter: Waiter<Request> | undefined;
  private ended = false;
  private failure: { readonly reason: unknown } | undefined;
  private paused = false;

  constructor(faucet: Faucet) {
    this.faucet = faucet;
  }

  push(request: Request): void {
    if (this.ended || this.failure !== undefined) return;
    if (this.waiter !== undefined) return this.settle((waiter) => waiter.resolve({ value: request, done: false }));
    this.held.push(request);
    if (this.held.length < heldMax || this.paused) return;
    this.paused = true;
    this.faucet.pause();
  }

  /** The caller has closed its side. */
  end(): void {
    this.ended = true;
    this.settle((waiter) => waiter.resolve({ value: undefined, done: true }));
  }

  /** The call is over; whoever reads on learns why. */
  fail(reason: unknown): void {
    this.failure ??= { reason };
    this.held = [];
    this.settle((waiter) => waiter.reject(reason));
  }

  next(): Promise<Result<Request>> {
    if (this.failure !== undefined) return Promise.reject(this.failure.reason);
    const request = this.held.shift();
    if (request !== undefined) {
      if (this.paused && this.held.length === 0) this.flow();
      return Promise.resolve({ value: request, done: false });
    }
    if (this.ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => (this.waiter = { resolve, reject }));
  }

  /** The reader has had enough: what still comes is dropped. */
  return(): Promise<Result<Request>> {
    this.ended = true;
    this.held = [];
    if (this.paused) this.flow();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private flow(): void {
    this.paused = false;
    this.faucet.resume();
  }

  private settle(act: (waiter: Waiter<Request>) => void): void {
    const waiter = this.waiter;
    this.waiter = undefined;
    if (waiter !== undefined) act(waiter);
  }
}

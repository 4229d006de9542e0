/** Short words for requests, and for what comes back. */
import {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  type RequestOp,
  type TxnRequest,
  WatchCreateRequest,
  type WatchRequest,
} from "../../../proto/gen/etcd/rpc.js";

export type Fields<T> = { readonly [K in keyof T]?: T[K] };

export function bytes(latin1: string): Uint8Array {
  return new Uint8Array(Buffer.from(latin1, "latin1"));
}

export function text(data: Uint8Array | undefined): string {
  return Buffer.from(data ?? []).toString("latin1");
}

/** `range_end` for every key from the key on. */
export const open = "\0";

export function put(key: string, value = "v", more: Fields<PutRequest> = {}): PutRequest {
  return { ...PutRequest.create(), key: bytes(key), value: bytes(value), ...more };
}

export function range(key: string, rangeEnd = "", more: Fields<RangeRequest> = {}): RangeRequest {
  return { ...RangeRequest.create(), key: bytes(key), rangeEnd: bytes(rangeEnd), ...more };
}

export function del(key: string, rangeEnd = ""): DeleteRangeRequest {
  return { ...DeleteRangeRequest.create(), key: bytes(key), rangeEnd: bytes(rangeEnd) };
}

export function txn(parts: Fields<TxnRequest>): TxnRequest {
  return { compare: [], success: [], failure: [], ...parts };
}

export function compare(key: string, more: Fields<Compare> = {}): Compare {
  return { ...Compare.create(), key: bytes(key), ...more };
}

export const op = {
  put: (...args: Parameters<typeof put>): RequestOp => ({ request: { $case: "requestPut", value: put(...args) } }),
  range: (...args: Parameters<typeof range>): RequestOp => ({
    request: { $case: "requestRange", value: range(...args) },
  }),
  del: (...args: Parameters<typeof del>): RequestOp => ({
    request: { $case: "requestDeleteRange", value: del(...args) },
  }),
  txn: (parts: Fields<TxnRequest>): RequestOp => ({ request: { $case: "requestTxn", value: txn(parts) } }),
  none: { request: undefined } satisfies RequestOp,
};

/** The same operation so many times. */
export function times(count: number, one: (n: number) => RequestOp): RequestOp[] {
  return Array.from({ length: count }, (_, n) => one(n));
}

export function watchCreate(key: string, more: Fields<WatchCreateRequest> = {}): WatchRequest {
  const value = { ...WatchCreateRequest.create(), key: bytes(key), ...more };
  return { requestUnion: { $case: "createRequest", value } };
}

export function watchCancel(watchId: bigint): WatchRequest {
  return { requestUnion: { $case: "cancelRequest", value: { watchId } } };
}

export const watchProgress: WatchRequest = { requestUnion: { $case: "progressRequest", value: {} } };

/** Requests that a test sends one by one; closing it is the client's half-close. */
export class Inbox<T> implements AsyncIterable<T> {
  private readonly waiting: T[] = [];
  private closed = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  send(...requests: readonly T[]): void {
    this.waiting.push(...requests);
    this.wake?.();
  }

  close(): void {
    this.closed = true;
    this.wake?.();
  }

  fail(error: Error): void {
    this.failure = error;
    this.wake?.();
  }

  get unread(): number {
    return this.waiting.length;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const request = this.waiting.shift();
      if (request !== undefined) yield request;
      else if (this.failure !== undefined) throw this.failure;
      else if (this.closed) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

/** The next message; the stream must not end. */
export async function next<T>(stream: AsyncIterator<T>): Promise<T> {
  const { value, done } = await stream.next();
  if (done === true) throw new Error("the stream has ended");
  return value;
}

export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

/** Checks for an error with exactly this code and text. */
export function like(wire: { readonly code: number; readonly message: string }): object {
  return { code: wire.code, message: wire.message };
}

/** What happens to a client, told to whoever listens. */
import type { Endpoint } from "../connection/endpoint.js";
import type { EndpointsListener } from "../connection/endpoints.js";
import type { ConnectionEvent } from "../connection/transport.js";
import { onAbort } from "./abort.js";

/** "idle" until the first attempt to connect; "disconnected" while every connection that was wanted is down. */
export type ClientState = "idle" | "connected" | "disconnected" | "closed";

export type StatusEvent =
  | { readonly type: "connected" | "disconnected"; readonly endpoint: string; readonly cause?: Error }
  /** An attempt to use the endpoint failed; `attempt` counts failures in a row. */
  | { readonly type: "unhealthy"; readonly endpoint: string; readonly cause: Error; readonly attempt: number }
  /** Another leader, or none that is known. */
  | { readonly type: "leader"; readonly memberId: bigint | undefined; readonly term: bigint }
  | { readonly type: "endpoints"; readonly endpoints: readonly string[] }
  /** The last event. */
  | { readonly type: "closed" };

/** Events held for a listener that is slow; of more, the oldest are dropped. */
const heldMax = 256;

export class StatusBoard {
  private readonly listeners = new Set<StatusFeed>();
  private closed = false;

  publish(event: StatusEvent): void {
    for (const listener of this.listeners) listener.push(event);
  }

  /** Everything from now on; ends after "closed", and when the signal aborts. */
  subscribe(signal: AbortSignal | undefined): AsyncIterableIterator<StatusEvent> {
    const feed = new StatusFeed((gone) => this.listeners.delete(gone), signal);
    if (this.closed) feed.finish({ type: "closed" });
    else if (signal?.aborted !== true) this.listeners.add(feed);
    return feed;
  }

  close(): void {
    this.closed = true;
    for (const listener of this.listeners) listener.finish({ type: "closed" });
    this.listeners.clear();
  }
}

class StatusFeed implements AsyncIterableIterator<StatusEvent> {
  private readonly held: StatusEvent[] = [];
  private readonly onEnd: (feed: StatusFeed) => void;
  private readonly unlisten: (() => void) | undefined;
  private readers: ((result: IteratorResult<StatusEvent>) => void)[] = [];
  private ended = false;

  constructor(onEnd: (feed: StatusFeed) => void, signal: AbortSignal | undefined) {
    this.onEnd = onEnd;
    if (signal !== undefined) this.unlisten = onAbort(signal, () => this.finish());
  }

  push(event: StatusEvent): void {
    if (this.ended) return;
    const reader = this.readers.shift();
    if (reader !== undefined) return reader({ done: false, value: event });
    if (this.held.length === heldMax) this.held.shift();
    this.held.push(event);
  }

  /** What is held is still read. */
  finish(last?: StatusEvent): void {
    if (last !== undefined) this.push(last);
    if (this.ended) return;
    this.ended = true;
    this.unlisten?.();
    this.onEnd(this);
    for (const reader of this.readers.splice(0)) reader({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<StatusEvent>> {
    const value = this.held.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.readers.push(resolve));
  }

  return(): Promise<IteratorResult<StatusEvent>> {
    this.held.length = 0;
    this.finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What connections report, counted by endpoint: an endpoint may have several. */
export class Links implements EndpointsListener {
  private readonly board: StatusBoard;
  private readonly up = new Map<Endpoint, number>();
  /** Failures in a row. */
  private readonly failed = new WeakMap<Endpoint, number>();
  private attempted = false;

  constructor(board: StatusBoard) {
    this.board = board;
  }

  get state(): Exclude<ClientState, "closed"> {
    if (this.up.size > 0) return "connected";
    return this.attempted ? "disconnected" : "idle";
  }

  onList(endpoints: readonly string[]): void {
    this.board.publish({ type: "endpoints", endpoints });
  }

  onConnection(endpoint: Endpoint, event: ConnectionEvent): void {
    this.attempted = true;
    const cause = event.cause === undefined ? {} : { cause: event.cause };
    const { name } = endpoint;
    const count = this.up.get(endpoint) ?? 0;
    switch (event.type) {
      case "connected":
        this.failed.delete(endpoint);
        this.up.set(endpoint, count + 1);
        if (count === 0) this.board.publish({ type: "connected", endpoint: name });
        return;
      case "disconnected":
        if (count > 1) this.up.set(endpoint, count - 1);
        else if (this.up.delete(endpoint)) this.board.publish({ type: "disconnected", endpoint: name, ...cause });
        return;
      case "failed": {
        const attempt = (this.failed.get(endpoint) ?? 0) + 1;
        this.failed.set(endpoint, attempt);
        const why = event.cause ?? new Error("the endpoint cannot be reached");
        this.board.publish({ type: "unhealthy", endpoint: name, cause: why, attempt });
      }
    }
  }
}

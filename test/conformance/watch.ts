/** A watch stream in the words of the cases. */

import type { Event } from "../../proto/gen/etcd/kv.js";
import type { DeepPartial, WatchCreateRequest, WatchResponse } from "../../proto/gen/etcd/rpc.js";
import type { WatchStream } from "../support/raw-client.js";
import type { StreamEnd } from "../support/stream-reader.js";

export class Watch {
  readonly #stream: WatchStream;

  constructor(stream: WatchStream) {
    this.#stream = stream;
  }

  send(request: DeepPartial<WatchCreateRequest>): void {
    this.#stream.send({ requestUnion: { $case: "createRequest", value: request } });
  }

  /** Creates a watcher and gives its first reply, which must say created. */
  async create(request: DeepPartial<WatchCreateRequest>): Promise<WatchResponse> {
    this.send(request);
    const reply = await this.next();
    if (!reply.created) throw new Error(`the first reply is not "created": ${describe(reply)}`);
    return reply;
  }

  cancel(watchId: bigint): void {
    this.#stream.send({ requestUnion: { $case: "cancelRequest", value: { watchId } } });
  }

  requestProgress(): void {
    this.#stream.send({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  /** A request in which no member of the union is set. */
  sendEmpty(): void {
    this.#stream.send({});
  }

  next(timeoutMs?: number): Promise<WatchResponse> {
    return this.#stream.next(timeoutMs);
  }

  take(count: number): Promise<WatchResponse[]> {
    return this.#stream.take(count);
  }

  /** The next messages until they hold at least `count` events together. */
  async events(count: number): Promise<Event[]> {
    const events: Event[] = [];
    while (events.length < count) events.push(...(await this.next()).events);
    return events;
  }

  halfClose(): void {
    this.#stream.halfClose();
  }

  cancelStream(): void {
    this.#stream.cancel();
  }

  ended(): Promise<StreamEnd> {
    return this.#stream.ended();
  }

  get isOpen(): boolean {
    return this.#stream.isOpen;
  }
}

function describe(reply: WatchResponse): string {
  return JSON.stringify(reply, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}

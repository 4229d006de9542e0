/** One watch stream from a client to a member, without gRPC: requests one way, responses the other, until the line breaks. */
import type { WatchCreateRequest, WatchRequest, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { contextOf, type Port } from "./call.js";

/** Requests of one stream, as the handler reads them. */
class Outbox implements AsyncIterable<WatchRequest> {
  private readonly waiting: WatchRequest[] = [];
  private wake: (() => void) | undefined;

  push(request: WatchRequest): void {
    this.waiting.push(request);
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchRequest> {
    for (;;) {
      const next = this.waiting.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }
}

/** Its opener ends it. */
export class ClientWatchStream {
  private readonly port: Port;
  private readonly requests = new Outbox();
  private readonly controller = new AbortController();
  private readonly responses: AsyncIterator<WatchResponse>;
  /** Settles when the member's process is gone. */
  private readonly broken: Promise<undefined>;
  private cut!: () => void;

  constructor(port: Port) {
    this.port = port;
    this.broken = new Promise((resolve) => {
      this.cut = () => resolve(undefined);
    });
    port.connections.add(this.cut);
    const context = contextOf(this.controller.signal);
    this.responses = port.services.watch.watch(this.requests, context)[Symbol.asyncIterator]();
  }

  create(value: WatchCreateRequest): void {
    this.requests.push({ requestUnion: { $case: "createRequest", value } });
  }

  askProgress(): void {
    this.requests.push({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  /** The next message; its making is work of the member. Undefined when the stream has ended, by a dead member too. */
  next(): Promise<WatchResponse | undefined> {
    const message = new Promise<WatchResponse | undefined>((resolve) => {
      this.port.process.run(() => {
        this.responses.next().then(
          ({ done, value }) => resolve(done === true ? undefined : value),
          () => resolve(undefined),
        );
      });
    });
    return Promise.race([message, this.broken]);
  }

  /** As the transport ends a call: the signal aborts, and the responses are not asked for any more. */
  end(): void {
    this.port.connections.delete(this.cut);
    if (!this.port.process.alive) return;
    this.port.process.run(() => {
      this.controller.abort();
      this.responses.return?.().catch(() => undefined);
    });
  }
}

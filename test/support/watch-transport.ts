/**
 * A watch service behind the client's transport whose every answer a test decides: it records what is asked of it, and
 * sends what it is told to.
 */
import * as rpc from "../../proto/gen/etcd/rpc.js";
import { Code } from "../../proto/status.js";
import {
  type Connection,
  type Duplex,
  type Method,
  type Transport,
  TransportError,
  type WireCall,
} from "../../src/client/connection/transport.js";

type PartialResponse = rpc.DeepPartial<rpc.WatchResponse>;

/** One gRPC stream, as the server sees it. */
export class ServedStream implements Duplex<rpc.WatchRequest, rpc.WatchResponse> {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly creates: rpc.WatchCreateRequest[] = [];
  readonly cancels: bigint[] = [];
  progressRequests = 0;
  cancelled = false;
  private readonly service: WatchTransport;
  private readonly outbox: rpc.WatchResponse[] = [];
  private failure: TransportError | undefined;
  private wake: (() => void) | undefined;

  constructor(service: WatchTransport, endpoint: string, call: WireCall) {
    this.service = service;
    this.endpoint = endpoint;
    this.token = call.metadata["token"];
    call.signal?.addEventListener("abort", () => this.cancel());
  }

  /** Messages that the client has not taken. */
  get waiting(): number {
    return this.outbox.length;
  }

  /** Answers as etcd does: fields that are not named are zero. */
  send(response: PartialResponse): void {
    this.outbox.push(rpc.WatchResponse.fromPartial({ header: { revision: this.service.revision }, ...response }));
    this.wake?.();
  }

  /** Confirms the create at this place in the order they came; returns the id it has from now on. */
  confirm(index: number, id?: bigint): bigint {
    const watchId = id ?? this.creates[index]?.watchId ?? 0n;
    this.send({ watchId, created: true });
    return watchId;
  }

  event(watchId: bigint, modRevision: bigint, more: PartialResponse = {}): void {
    if (modRevision > this.service.revision) this.service.revision = modRevision;
    const key = new TextEncoder().encode("k");
    this.send({
      watchId,
      events: [{ type: 0, kv: { key, modRevision, createRevision: modRevision, version: 1n } }],
      ...more,
    });
  }

  break(message = "broken"): void {
    this.fail(new TransportError(message, { grpcStatus: Code.UNAVAILABLE, sent: true }));
  }

  write({ requestUnion }: rpc.WatchRequest): void {
    switch (requestUnion?.$case) {
      case "createRequest":
        this.creates.push(requestUnion.value);
        this.service.onCreate(this, requestUnion.value, this.creates.length - 1);
        return;
      case "cancelRequest":
        this.cancels.push(requestUnion.value.watchId);
        return;
      case "progressRequest":
        this.progressRequests++;
        this.service.onProgress(this);
        return;
      case undefined:
        return;
    }
  }

  end(): void {}

  cancel(): void {
    this.cancelled = true;
    this.fail(new TransportError("Cancelled on client", { grpcStatus: Code.CANCELLED, sent: true }));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<rpc.WatchResponse> {
    for (;;) {
      const next = this.outbox.shift();
      if (next !== undefined) yield next;
      else if (this.failure !== undefined) throw this.failure;
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
    }
  }

  private fail(error: TransportError): void {
    this.failure ??= error;
    this.wake?.();
  }
}

export class WatchTransport implements Transport {
  /** Of the store: what reads and headers say. */
  revision = 10n;
  readonly streams: ServedStream[] = [];
  /** Reads of the store's revision. */
  reads = 0;
  logins = 0;
  /** What happens to each create and each progress request; nothing, unless a test says otherwise. */
  onCreate: (stream: ServedStream, create: rpc.WatchCreateRequest, index: number) => void = () => {};
  onProgress: (stream: ServedStream) => void = () => {};

  /** Streams that the client has not left. */
  get open(): readonly ServedStream[] {
    return this.streams.filter(({ cancelled }) => !cancelled);
  }

  connect(endpoint: string): Connection {
    return {
      isReady: () => true,
      ready: () => Promise.resolve(),
      unary: async (method) => this.answer(method),
      serverStream: () => {
        throw new Error("this service has no such streams");
      },
      duplex: (_method, call) => {
        const stream = new ServedStream(this, endpoint, call);
        this.streams.push(stream);
        // It is the watch service: requests and answers are those of watches.
        return stream as unknown as Duplex<never, never>;
      },
      close: () => {},
    };
  }

  private answer<Req, Res>(method: Method<Req, Res>): Res {
    const header = { revision: this.revision, clusterId: 1n, memberId: 1n, raftTerm: 1n };
    if (method.path.endsWith("/Range")) this.reads++;
    if (method.path.endsWith("/Authenticate")) {
      const reply = rpc.AuthenticateResponse.fromPartial({ header, token: `token-${++this.logins}` });
      return method.decode(rpc.AuthenticateResponse.encode(reply).finish());
    }
    return method.decode(rpc.RangeResponse.encode(rpc.RangeResponse.fromPartial({ header })).finish());
  }
}

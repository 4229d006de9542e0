/** Endpoints that keep leases as the test says, for tests with fake timers: what was sent when, and what is answered. */
import {
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  type ResponseHeader,
  StatusResponse,
} from "../../proto/gen/etcd/rpc.js";
import { Code } from "../../proto/status.js";
import { TransportError } from "../../src/client/connection/transport.js";
import type { Connection, Duplex, Method, Transport, WireCall } from "../../src/client/index.js";

export interface FakeEndpoint {
  readonly memberId: bigint;
  /** "silent" takes renewals and says nothing; "ending" ends streams without a word. */
  mode: "answers" | "silent" | "ending" | "refuses" | "no leader";
  /** When renewals arrived, by lease. */
  readonly renewals: { readonly id: bigint; readonly atMs: number }[];
  streamCount: number;
}

/** Members 1, 2, … at the endpoints that were named, in this order. */
export class FakeKeepAlive implements Transport {
  readonly endpoints = new Map<string, FakeEndpoint>();
  leader = 1n;
  term = 2n;
  ttlSeconds = 9n;
  /** What becomes of revocations. */
  revocation: TransportError | undefined;

  constructor(names: readonly string[]) {
    names.forEach((name, index) => {
      this.endpoints.set(name, { memberId: BigInt(index + 1), mode: "answers", renewals: [], streamCount: 0 });
    });
  }

  at(name: string): FakeEndpoint {
    const endpoint = this.endpoints.get(name);
    if (endpoint === undefined) throw new Error(`there is no endpoint ${name}`);
    return endpoint;
  }

  connect(name: string): Connection {
    const endpoint = this.at(name);
    return {
      isReady: () => endpoint.mode !== "refuses",
      ready: async () => {
        if (endpoint.mode === "refuses") throw refused();
      },
      unary: async (method, request) => this.unary(endpoint, method, request),
      serverStream: () => {
        throw new Error("these endpoints have no server streams");
      },
      duplex: <Req, Res>(method: Method<Req, Res>, call: WireCall) => {
        endpoint.streamCount++;
        const stream = new FakeStream(this, endpoint, method);
        call.signal?.addEventListener("abort", () => stream.cancel(), { once: true });
        return stream;
      },
      close: () => {},
    };
  }

  header({ memberId }: FakeEndpoint): ResponseHeader {
    return { clusterId: 7n, memberId, revision: 1n, raftTerm: this.term, leaderId: undefined };
  }

  private unary<Req, Res>(endpoint: FakeEndpoint, method: Method<Req, Res>, request: Req): Res {
    if (endpoint.mode === "refuses") throw refused();
    const header = this.header(endpoint);
    const name = method.path.slice(method.path.lastIndexOf("/") + 1);
    switch (name) {
      case "LeaseGrant": {
        const { ID } = LeaseGrantRequest.decode(method.encode(request));
        const reply = LeaseGrantResponse.fromPartial({ header, ID, TTL: this.ttlSeconds });
        return method.decode(LeaseGrantResponse.encode(reply).finish());
      }
      case "LeaseRevoke":
        if (this.revocation !== undefined) throw this.revocation;
        return method.decode(new Uint8Array(0));
      case "Status": {
        const reply = StatusResponse.fromPartial({
          header,
          leader: this.leader,
          raftTerm: this.term,
          version: "3.7.0",
        });
        return method.decode(StatusResponse.encode(reply).finish());
      }
    }
    throw new TransportError(`${name} is unknown`, { grpcStatus: Code.UNIMPLEMENTED, sent: true });
  }
}

class FakeStream<Req, Res> implements Duplex<Req, Res> {
  private readonly cluster: FakeKeepAlive;
  private readonly endpoint: FakeEndpoint;
  private readonly method: Method<Req, Res>;
  private readonly answers: Res[] = [];
  private over: TransportError | "end" | undefined;
  private wake: () => void = () => {};

  constructor(cluster: FakeKeepAlive, endpoint: FakeEndpoint, method: Method<Req, Res>) {
    this.cluster = cluster;
    this.endpoint = endpoint;
    this.method = method;
    if (endpoint.mode === "ending") this.over = "end";
    if (endpoint.mode === "no leader") {
      this.over = new TransportError("etcdserver: no leader", { grpcStatus: Code.UNAVAILABLE, sent: true });
    }
  }

  write(request: Req): void {
    const { ID: id } = LeaseKeepAliveRequest.decode(this.method.encode(request));
    this.endpoint.renewals.push({ id, atMs: performance.now() });
    if (this.endpoint.mode !== "answers") return;
    const header = this.cluster.header(this.endpoint);
    const reply = LeaseKeepAliveResponse.fromPartial({ header, ID: id, TTL: this.cluster.ttlSeconds });
    this.answers.push(this.method.decode(LeaseKeepAliveResponse.encode(reply).finish()));
    this.wake();
  }

  end(): void {
    this.over ??= "end";
    this.wake();
  }

  cancel(): void {
    this.over ??= new TransportError("cancelled", { grpcStatus: Code.CANCELLED, sent: true });
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Res> {
    for (;;) {
      const answer = this.answers.shift();
      if (answer !== undefined) yield answer;
      else if (this.over === "end") return;
      else if (this.over !== undefined) throw this.over;
      else
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
    }
  }
}

function refused(): TransportError {
  return new TransportError("refused", { grpcStatus: Code.UNAVAILABLE, sent: false });
}

/** A whole cluster as a transport: members that answer at once with what the test says, and remember what they were asked. */
import {
  MemberListResponse,
  PutResponse,
  RangeResponse,
  type ResponseHeader,
  StatusResponse,
} from "../../proto/gen/etcd/rpc.js";
import { Code } from "../../proto/status.js";
import { TransportError } from "../../src/client/connection/transport.js";
import type { Connection, ConnectionSettings, Duplex, Method, Transport } from "../../src/client/index.js";

export interface FakeMember {
  memberId: bigint;
  clusterId: bigint;
  learner: boolean;
  /** Whether it can be connected to. */
  up: boolean;
  /** How long it takes to answer. */
  delayMs: number;
  /** Says who leads in every header. */
  hints: boolean;
  revision: bigint;
  /** Names of the methods it was asked, Status left out. */
  readonly asked: string[];
  statusCount: number;
  /** Answers the next calls with these failures. */
  readonly failures: TransportError[];
}

/** Members by endpoint. The state they share is what a real cluster agrees on. */
export class FakeCluster implements Transport {
  readonly members = new Map<string, FakeMember>();
  leader = 1n;
  term = 2n;
  /** What the member list says. */
  memberList: MemberListResponse["members"] = [];
  readonly closed: string[] = [];
  private readonly connections: { readonly endpoint: string; readonly settings: ConnectionSettings }[] = [];

  constructor(names: readonly string[]) {
    names.forEach((name, index) => this.add(name, { memberId: BigInt(index + 1) }));
  }

  add(name: string, facts: Partial<FakeMember> = {}): FakeMember {
    const member: FakeMember = {
      memberId: BigInt(this.members.size + 1),
      clusterId: 7n,
      learner: false,
      up: true,
      delayMs: 0,
      hints: false,
      revision: 10n,
      asked: [],
      statusCount: 0,
      failures: [],
      ...facts,
    };
    this.members.set(name, member);
    return member;
  }

  member(name: string): FakeMember {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`there is no member ${name}`);
    return member;
  }

  /** The connections to it break, and the transport makes new ones before anybody asks. */
  blink(endpoint: string): void {
    for (const { settings } of this.connections.filter((connection) => connection.endpoint === endpoint)) {
      for (const type of ["disconnected", "connected"] as const) settings.onConnection?.({ type, endpoint });
    }
  }

  connect(endpoint: string, settings: ConnectionSettings): Connection {
    this.connections.push({ endpoint, settings });
    let ready = false;
    return {
      isReady: () => ready && this.member(endpoint).up,
      ready: async () => {
        if (!this.members.get(endpoint)?.up) {
          const cause = new TransportError("refused", { grpcStatus: Code.UNAVAILABLE, sent: false });
          settings.onConnection?.({ type: "failed", endpoint, cause });
          throw cause;
        }
        if (!ready) settings.onConnection?.({ type: "connected", endpoint });
        ready = true;
      },
      unary: (method, request) => this.answer(endpoint, method, request),
      serverStream: () => noStream(),
      duplex: <Req, Res>(): Duplex<Req, Res> => noStream(),
      close: () => {
        this.closed.push(endpoint);
        if (ready) settings.onConnection?.({ type: "disconnected", endpoint });
        ready = false;
      },
    };
  }

  private async answer<Req, Res>(endpoint: string, method: Method<Req, Res>, _request: Req): Promise<Res> {
    const member = this.member(endpoint);
    const name = method.path.slice(method.path.lastIndexOf("/") + 1);
    if (name === "Status") member.statusCount++;
    else member.asked.push(name);
    if (member.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, member.delayMs));
    if (!member.up) throw new TransportError("connection reset", { grpcStatus: Code.UNAVAILABLE, sent: true });
    const failure = name === "Status" ? undefined : member.failures.shift();
    if (failure !== undefined) throw failure;
    return method.decode(this.encoded(name, member));
  }

  private encoded(name: string, member: FakeMember): Uint8Array {
    const header = this.header(member);
    switch (name) {
      case "Status": {
        const { learner: isLearner } = member;
        const status = { header, version: "3.7.0", leader: this.leader, raftTerm: this.term, isLearner };
        return StatusResponse.encode(StatusResponse.fromPartial(status)).finish();
      }
      case "MemberList":
        return MemberListResponse.encode({ header, members: this.memberList }).finish();
      case "Range":
        return RangeResponse.encode(RangeResponse.fromPartial({ header })).finish();
    }
    return PutResponse.encode({ header, prevKv: undefined }).finish();
  }

  private header({ clusterId, memberId, hints, revision }: FakeMember): ResponseHeader {
    const leaderId = hints ? this.leader : undefined;
    return { clusterId, memberId, revision, raftTerm: this.term, leaderId };
  }
}

function noStream(): never {
  throw new Error("these members have no streams");
}

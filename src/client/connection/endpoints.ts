/** The endpoints of a client: which there are, which cluster they belong to, and which to try next. */
import { Code } from "../../../proto/status.js";
import { EtcdError } from "../errors.js";
import type { Settings, Target } from "../options.js";
import { endpointList } from "../options.js";
import { Endpoint } from "./endpoint.js";
import { discover, srvEndpoint } from "./srv.js";
import type { ConnectionEvent, Transport } from "./transport.js";

export { Endpoint };

/** An endpoint that failed is tried last for this long. */
const coolDownMs = 5_000;
/** DNS is asked again at most this often. */
const lookUpPauseMs = 5_000;

/** What a pick looks for. */
export interface Preference {
  readonly target: Target;
  /** The member the call should go to, if one is known and wanted. */
  readonly leader: bigint | undefined;
  /** Endpoints this call has already seen fail, to be tried last. */
  readonly avoid: ReadonlySet<Endpoint> | undefined;
  /** "nearest": by round-trip time. "same": the endpoint of the last such pick, while it works. "turn": in turn. */
  readonly manner: "nearest" | "same" | "turn";
}

/** What the endpoints tell their owner. */
export interface EndpointsListener {
  onConnection(endpoint: Endpoint, event: ConnectionEvent): void;
  onList(names: readonly string[]): void;
}

/** Owns the endpoints and closes their connections. */
export class Endpoints {
  /** The cluster of this client, once known; whoever answers for another is left out. */
  clusterId: bigint | undefined;
  private readonly settings: Settings;
  private readonly transport: Transport;
  private readonly listener: EndpointsListener;
  /** As they were given: a name may stand for what DNS says. */
  private given: readonly string[] = [];
  private list: Endpoint[] = [];
  /** Endpoints named by `target` that are not in the list. */
  private readonly others = new Map<string, Endpoint>();
  /** Removed, but calls on them are still under way. */
  private readonly retiring = new Set<Endpoint>();
  private turn = Math.floor(Math.random() * 1_000);
  private steady: Endpoint | undefined;
  private lookUp: { readonly atMs: number; readonly done: Promise<void>; failure: Error | undefined } | undefined;

  constructor(settings: Settings, transport: Transport, listener: EndpointsListener) {
    this.settings = settings;
    this.transport = transport;
    this.listener = listener;
    this.take(settings.endpoints);
  }

  names(): readonly string[] {
    return this.list.length === 0 ? this.given : this.list.map((endpoint) => endpoint.name);
  }

  all(): readonly Endpoint[] {
    return this.list;
  }

  get size(): number {
    return this.list.length;
  }

  /** New calls use these at once; what is under way on others finishes, and streams move soon. */
  replace(names: string | readonly string[]): void {
    this.take(endpointList(names));
    this.listener.onList(this.names());
  }

  /** True if it answers for another cluster than this client's. */
  isForeign({ clusterId }: Endpoint): boolean {
    return clusterId !== undefined && this.clusterId !== undefined && clusterId !== this.clusterId;
  }

  /** The error for an endpoint that answers for another cluster; undefined for all others. */
  reasonAgainst(endpoint: Endpoint): EtcdError | undefined {
    return this.isForeign(endpoint) ? wrongCluster(endpoint, this.clusterId) : undefined;
  }

  /** The cluster of most endpoints, of equals the one named first; undefined if none has answered. */
  prevailing(): { readonly clusterId: bigint; readonly count: number } | undefined {
    let best: { clusterId: bigint; count: number } | undefined;
    for (const { clusterId } of this.list) {
      if (clusterId === undefined) continue;
      const count = this.list.filter((other) => other.clusterId === clusterId).length;
      if (best === undefined || count > best.count) best = { clusterId, count };
    }
    return best;
  }

  /** Undefined if the list is known; else resolves when DNS has answered or failed, and never rejects. */
  lookedUp(): Promise<void> | undefined {
    if (this.list.length > 0) return undefined;
    const { lookUp } = this;
    const fresh = lookUp !== undefined && (lookUp.failure === undefined || this.nowMs() - lookUp.atMs < 100);
    return fresh ? lookUp.done : this.startLookUp();
  }

  /** All endpoints fail: if they came from DNS, it may know better by now. Does not wait. */
  lookAgain(): void {
    const fromDns = this.given.some((name) => srvEndpoint(name) !== undefined);
    if (fromDns && this.nowMs() - (this.lookUp?.atMs ?? 0) >= lookUpPauseMs) void this.startLookUp();
  }

  /** Why DNS gave no endpoint, if it did not. */
  get lookUpFailure(): Error | undefined {
    return this.list.length === 0 ? this.lookUp?.failure : undefined;
  }

  /** The endpoint to try next; undefined if the target is a member that none is known to be. Throws an EtcdError. */
  pick({ target, leader, avoid, manner }: Preference): Endpoint | undefined {
    if (typeof target === "object" && "endpoint" in target) return this.named(target.endpoint);
    if (typeof target === "object") return this.ofMember(target.memberId);
    const [first] = this.list;
    if (first !== undefined && this.list.length === 1 && !this.isForeign(first)) return first;
    if (leader !== undefined) {
      const match = this.list.find((endpoint) => endpoint.memberId === leader && this.isSound(endpoint, avoid));
      if (match !== undefined) return match;
    }
    if (manner === "same" && this.steady !== undefined && this.isSound(this.steady, avoid)) return this.steady;
    const best = this.best(avoid, manner);
    if (manner === "same") this.steady = best;
    return best;
  }

  ofMember(memberId: bigint): Endpoint | undefined {
    return this.list.find((endpoint) => endpoint.memberId === memberId && !this.isForeign(endpoint));
  }

  /** An endpoint outside the list, for a look at it: the caller closes it. */
  probe(name: string): Endpoint {
    return this.make(name);
  }

  close(): void {
    for (const endpoint of [...this.list, ...this.others.values(), ...this.retiring]) endpoint.close();
  }

  private take(names: readonly string[]): void {
    this.given = names;
    this.lookUp = undefined;
    const fromDns = names.some((name) => srvEndpoint(name) !== undefined);
    this.settle(fromDns ? [] : names);
  }

  /** Endpoints that stay keep their connections. */
  private settle(names: readonly string[]): void {
    const old = new Map(this.list.map((endpoint) => [endpoint.name, endpoint]));
    this.list = names.map((name) => {
      const kept = old.get(name);
      old.delete(name);
      return kept ?? this.make(name);
    });
    if (this.steady !== undefined && !this.list.includes(this.steady)) this.steady = undefined;
    for (const gone of old.values()) {
      this.retiring.add(gone);
      gone.retire(() => this.retiring.delete(gone));
    }
  }

  private startLookUp(): Promise<void> {
    const { given } = this;
    const lookUp = { atMs: this.nowMs(), failure: undefined as Error | undefined, done: Promise.resolve() };
    lookUp.done = this.expand(given).then(
      (names) => {
        if (this.given !== given) return;
        this.settle(names);
        this.listener.onList(this.names());
      },
      (error: unknown) => {
        lookUp.failure = error instanceof Error ? error : new Error(String(error));
      },
    );
    this.lookUp = lookUp;
    return lookUp.done;
  }

  private async expand(given: readonly string[]): Promise<readonly string[]> {
    const { tls, resolveSrv } = this.settings;
    const lists = given.map(async (name) => {
      const srv = srvEndpoint(name);
      if (srv === undefined) return [name];
      const accept = tls === undefined ? "all" : "tls";
      return discover(srv.domain, { service: srv.service, accept, ...(resolveSrv && { resolveSrv }) });
    });
    return [...new Set((await Promise.all(lists)).flat())];
  }

  private named(name: string): Endpoint {
    const known = this.list.find((endpoint) => endpoint.name === name) ?? this.others.get(name);
    if (known !== undefined) return known;
    const made = this.make(name);
    this.others.set(name, made);
    return made;
  }

  /** Whether a preference may go there: nothing speaks against it. */
  private isSound(endpoint: Endpoint, avoid: ReadonlySet<Endpoint> | undefined): boolean {
    return endpoint.failure === undefined && !this.isForeign(endpoint) && avoid?.has(endpoint) !== true;
  }

  /**
   * Working endpoints before those that failed lately, those before learners, and what this call has seen fail at the
   * end; among equals in turn, by distance, or, if the routing is pinned, by place.
   */
  private best(avoid: ReadonlySet<Endpoint> | undefined, manner: Preference["manner"]): Endpoint {
    const { list } = this;
    const start = this.settings.routing === "pinned" ? 0 : this.turn++;
    let best: Endpoint | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let offset = 0; offset < list.length; offset++) {
      const endpoint = list[(start + offset) % list.length];
      if (endpoint === undefined || this.isForeign(endpoint)) continue;
      const rank = this.rank(endpoint, avoid);
      const nearer = manner === "nearest" && rank === bestRank && distance(endpoint) < distance(best);
      if (rank > bestRank || (rank === bestRank && !nearer)) continue;
      best = endpoint;
      bestRank = rank;
    }
    if (best === undefined) throw this.nowhere();
    return best;
  }

  private rank(endpoint: Endpoint, avoid: ReadonlySet<Endpoint> | undefined): number {
    const { failure, learner } = endpoint;
    const failed = failure !== undefined && failure.atMs > this.nowMs() - coolDownMs;
    return (avoid?.has(endpoint) === true ? 4 : 0) + (learner ? 2 : 0) + (failed ? 1 : 0);
  }

  private nowhere(): EtcdError {
    const [first] = this.list;
    return first === undefined
      ? new EtcdError(`no endpoint is known: ${this.lookUp?.failure?.message ?? "DNS has not answered"}`, {
          code: "ConnectFailed",
          grpcStatus: Code.UNAVAILABLE,
          outcome: "not-applied",
          retryable: true,
          cause: this.lookUp?.failure,
        })
      : wrongCluster(first, this.clusterId);
  }

  private make(name: string): Endpoint {
    return new Endpoint(
      name,
      (onConnection) => this.transport.connect(name, { ...this.settings, onConnection }),
      (endpoint, event) => this.listener.onConnection(endpoint, event),
    );
  }

  private nowMs(): number {
    return this.settings.clock.now();
  }
}

/** The error for an endpoint that belongs to another cluster than the client's. */
export function wrongCluster({ name, clusterId }: Endpoint, expected: bigint | undefined): EtcdError {
  const [theirs, ours] = [clusterId ?? 0n, expected ?? 0n].map((id) => id.toString(16));
  return new EtcdError(`${name} belongs to cluster ${theirs}, and this client to cluster ${ours}`, {
    code: "WrongCluster",
    grpcStatus: Code.OK,
    outcome: "not-applied",
    endpoint: name,
  });
}

function distance(endpoint: Endpoint | undefined): number {
  return endpoint?.rttMs ?? Number.POSITIVE_INFINITY;
}

/**
 * Asks members who they are: which cluster, which member, who leads, whether a learner, how far away. What the answers
 * teach decides where calls go; no call fails because a survey did.
 */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Credentials } from "../connection/credentials.js";
import type { Endpoint } from "../connection/endpoint.js";
import type { Endpoints } from "../connection/endpoints.js";
import { TransportError } from "../connection/transport.js";
import { statusName } from "../errors.js";
import type { Settings } from "../options.js";
import { maintenanceMethods } from "./methods.js";
import type { LeaderTracker } from "./routing.js";

/** A member that does not say in time is left out. */
const askMsMax = 1_000;
/** After the first answer, others are waited for no longer than this before the cluster counts as known. */
const laggardsMs = 500;
/** A distance weighs in with this part of the newest measurement. */
const newestShare = 0.3;

/** What a member said of itself. */
export interface Introduction {
  readonly endpoint: Endpoint;
  /** Undefined if it did not answer or refused to tell; `failure` then says why. */
  readonly status: rpc.StatusResponse | undefined;
  readonly failure: unknown;
}

export interface SurveyParts {
  readonly settings: Settings;
  readonly endpoints: Endpoints;
  readonly credentials: Credentials;
  readonly leader: LeaderTracker;
  readonly closing: AbortSignal;
  /** Told when an endpoint answers for a cluster that may not be this client's. */
  readonly onCluster: (endpoint: Endpoint, clusterId: bigint) => void;
}

export class Survey {
  private readonly parts: SurveyParts;
  private introducing: Promise<void> | undefined;
  /** Questions under way, whoever waits for them. */
  private readonly open = new Set<Promise<unknown>>();
  private readonly learners = new Set<Endpoint>();
  /** Answers that nothing was concluded from yet. */
  private readonly heard = new Map<Endpoint, rpc.StatusResponse>();
  private firm = false;

  constructor(parts: SurveyParts) {
    this.parts = parts;
  }

  /**
   * Undefined once the cluster of several endpoints is settled. Else asks all of them, and resolves when most agree and
   * their leader is among them, when all have answered or failed, or when the slow ones have had their time: the cluster
   * of most is then this client's.
   */
  introduced(): Promise<void> | undefined {
    const { endpoints } = this.parts;
    if (this.firm || endpoints.size < 2) return undefined;
    this.introducing ??= this.introduce().finally(() => {
      this.introducing = undefined;
    });
    return this.introducing;
  }

  /** The cluster of this client is beyond doubt: a call of its user was answered. */
  settle(): void {
    this.firm = true;
    this.teach();
  }

  /** Whether the client's cluster can still turn out to be another than that of the first answer. */
  get isOpen(): boolean {
    return !this.firm;
  }

  /** Whether an endpoint is avoided that may be promoted any time. */
  get hasLearners(): boolean {
    return this.learners.size > 0;
  }

  /** What a member is, as it has just shown. */
  mark(endpoint: Endpoint, kind: "learner" | "voter"): void {
    endpoint.learner = kind === "learner";
    if (endpoint.learner) this.learners.add(endpoint);
    else this.learners.delete(endpoint);
  }

  /** Whether it is known which cluster answers at the endpoint now, or there is nothing to compare it with. */
  isVerified(endpoint: Endpoint): boolean {
    const { endpoints } = this.parts;
    return endpoint.verified || (endpoints.clusterId === undefined && endpoints.size < 2);
  }

  /** Asks the endpoint if it has to be; undefined if not. */
  verified(endpoint: Endpoint): Promise<Introduction> | undefined {
    return this.isVerified(endpoint) ? undefined : this.ask(endpoint);
  }

  /** Asks every endpoint. */
  askAll(): Promise<Introduction[]> {
    return Promise.all(this.parts.endpoints.all().map((endpoint) => this.ask(endpoint)));
  }

  /** One endpoint; never rejects. */
  ask(endpoint: Endpoint): Promise<Introduction> {
    const asked = this.question(endpoint);
    this.open.add(asked);
    void asked.then(() => this.open.delete(asked));
    return asked;
  }

  /** Resolves when nothing is asked any more. */
  async close(): Promise<void> {
    await Promise.all(this.open);
  }

  private introduce(): Promise<void> {
    const all = this.parts.endpoints.all();
    return new Promise((resolve) => {
      let waiting = all.length;
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        this.settleCluster();
        resolve();
      };
      const met = ({ status }: Introduction): void => {
        waiting--;
        const most = (this.parts.endpoints.prevailing()?.count ?? 0) * 2 > all.length;
        if (waiting === 0 || (most && this.hasMetLeader())) done();
        else if (status !== undefined) timer ??= setTimeout(done, laggardsMs);
      };
      for (const endpoint of all) void this.ask(endpoint).then(met);
    });
  }

  /** Whether the leader that was named in the highest term is among those who answered, so that writes can go there. */
  private hasMetLeader(): boolean {
    let newest: rpc.StatusResponse | undefined;
    for (const reply of this.heard.values())
      if (newest === undefined || reply.raftTerm > newest.raftTerm) newest = reply;
    const leader = newest?.leader ?? 0n;
    return leader === 0n || [...this.heard.values()].some(({ header }) => header?.memberId === leader);
  }

  private settleCluster(): void {
    const { endpoints, onCluster } = this.parts;
    if (this.firm) return;
    // A server that does not say which cluster it is of has answered all the same, and will not say more next time.
    this.firm = endpoints.all().some(({ verified }) => verified);
    endpoints.clusterId = endpoints.prevailing()?.clusterId ?? endpoints.clusterId;
    for (const endpoint of endpoints.all()) {
      if (endpoint.clusterId !== undefined) onCluster(endpoint, endpoint.clusterId);
    }
    if (this.firm) this.teach();
  }

  private async question(endpoint: Endpoint): Promise<Introduction> {
    try {
      return { endpoint, status: await this.status(endpoint), failure: undefined };
    } catch (failure) {
      this.learnFailure(endpoint, failure);
      return { endpoint, status: undefined, failure };
    }
  }

  private async status(endpoint: Endpoint): Promise<rpc.StatusResponse> {
    const { settings, credentials, closing } = this.parts;
    const connection = endpoint.connection("calls");
    if (!connection.isReady()) await connection.ready({ timeoutMs: askMsMax, signal: closing });
    const token = credentials.current;
    const metadata: Record<string, string> = token === undefined ? {} : { token };
    const sentAtMs = settings.clock.now();
    const wire = { metadata, deadlineMs: askMsMax, signal: closing };
    const reply = await connection.unary(maintenanceMethods.status, {}, wire);
    this.learnDistance(endpoint, settings.clock.now() - sentAtMs);
    endpoint.failure = undefined;
    this.mark(endpoint, reply.isLearner ? "learner" : "voter");
    this.learnCluster(endpoint, reply.header?.clusterId ?? 0n);
    this.heard.set(endpoint, reply);
    if (this.firm || this.parts.endpoints.size < 2) this.teach();
    return reply;
  }

  /** What was heard counts once it is known whose words they are. */
  private teach(): void {
    const { endpoints, leader } = this.parts;
    for (const [endpoint, { header, leader: memberId, raftTerm }] of this.heard) {
      if (endpoints.isForeign(endpoint)) continue;
      leader.observe(endpoint, header);
      leader.learn({ memberId, term: raftTerm }, header?.memberId ?? 0n);
    }
    this.heard.clear();
  }

  private learnCluster(endpoint: Endpoint, clusterId: bigint): void {
    endpoint.verified = true;
    if (clusterId !== 0n) this.parts.onCluster(endpoint, clusterId);
  }

  /** A refusal by a server is an answer, if one that does not say which cluster. */
  private learnFailure(endpoint: Endpoint, failure: unknown): void {
    if (this.parts.closing.aborted || !(failure instanceof TransportError)) return;
    if (statusName(failure.message) !== undefined) endpoint.verified = true;
    else endpoint.failure = { atMs: this.parts.settings.clock.now(), cause: failure };
  }

  private learnDistance(endpoint: Endpoint, rttMs: number): void {
    endpoint.rttMs = endpoint.rttMs === undefined ? rttMs : endpoint.rttMs * (1 - newestShare) + rttMs * newestShare;
  }
}

/** What all calls of a client share: settings, endpoints, credentials, and what is known of the cluster. */

import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Credentials } from "../connection/credentials.js";
import type { Endpoint } from "../connection/endpoint.js";
import { type Endpoints, wrongCluster } from "../connection/endpoints.js";
import { type MethodFacts, TransportError } from "../connection/transport.js";
import type { CallOptions, Settings, Target } from "../options.js";
import { sleep } from "./abort.js";
import { authMethods, serializableRange } from "./methods.js";
import type { LeaderTracker } from "./routing.js";
import type { ClientState, Links, StatusBoard } from "./status-board.js";
import { Survey } from "./survey.js";

/** The leader is asked for at most this often. */
const leaderPauseMs = 500;
/** Distances and learners are looked at again this often, while there are calls. */
const surveyPauseMs = 5_000;
/** An election takes one to two seconds with etcd's default timers. */
const successor = { patienceMs: 3_000, pauseMs: 100 };

/** The API level this client speaks, as servers count it in their metrics. */
const clientApiVersion = "3.7";

const behind = { grpcStatus: Code.UNAVAILABLE, sent: true };

/** An answer for another cluster: it must not reach the caller. */
export class ForeignAnswer extends TransportError {
  constructor(endpoint: Endpoint, expected: bigint | undefined, sent: boolean) {
    const cause = wrongCluster(endpoint, expected);
    super(cause.message, { grpcStatus: Code.UNAVAILABLE, sent, cause });
  }
}

export class Wiring {
  readonly settings: Settings;
  readonly endpoints: Endpoints;
  readonly credentials: Credentials;
  readonly leader: LeaderTracker;
  readonly board: StatusBoard;
  readonly survey: Survey;
  readonly links: Links;
  private readonly closer = new AbortController();
  private askedMs = Number.NEGATIVE_INFINITY;
  private surveyedMs = Number.NEGATIVE_INFINITY;
  /** Questions that nobody waits for; `close` does. */
  private background: Promise<unknown> = Promise.resolve();
  /** What travels with calls that add nothing of their own, one record each for those that ask for a leader or not. */
  private readonly records: {
    token: string | undefined;
    plain: Record<string, string>;
    leader: Record<string, string>;
  };
  private readonly ejected = new WeakSet<Endpoint>();
  /** The latest revision that a serializable read of this client has been answered from. */
  private shown = 0n;

  constructor(parts: Pick<Wiring, "settings" | "endpoints" | "credentials" | "leader" | "board" | "links">) {
    this.settings = parts.settings;
    this.endpoints = parts.endpoints;
    this.credentials = parts.credentials;
    this.leader = parts.leader;
    this.board = parts.board;
    this.links = parts.links;
    this.records = { token: undefined, ...recordsFor(undefined) };
    const onCluster = (endpoint: Endpoint, clusterId: bigint): void => {
      endpoint.clusterId = clusterId;
      // While endpoints introduce themselves, nobody is left out yet.
      if (!this.survey.isOpen) this.checkCluster(endpoint);
    };
    this.survey = new Survey({ ...parts, closing: this.closing, onCluster });
  }

  /** Aborts when the client closes. */
  get closing(): AbortSignal {
    return this.closer.signal;
  }

  get state(): ClientState {
    return this.closing.aborted ? "closed" : this.links.state;
  }

  async close(): Promise<void> {
    this.closer.abort();
    this.endpoints.close();
    await this.background;
    await this.survey.close();
    this.board.close();
  }

  /** The token a call carries. Authenticate carries none: it is what fetches it. */
  token(path: string): string | undefined | Promise<string | undefined> {
    return path === authMethods.authenticate.path ? undefined : this.credentials.token();
  }

  /** What travels with a call. The same record for the same content, so that a transport may keep what it makes of it. */
  metadata(facts: MethodFacts, token: string | undefined, options: CallOptions): Readonly<Record<string, string>> {
    const { records } = this;
    if (records.token !== token) Object.assign(records, { token, ...recordsFor(token) });
    const requireLeader = options.requireLeader ?? (this.settings.requireLeader && facts.leader !== "irrelevant");
    const record = requireLeader ? records.leader : records.plain;
    return options.metadata === undefined ? record : { ...record, ...options.metadata };
  }

  /** What has to be known before a call is sent anywhere; undefined if it is. Never rejects. */
  preparations(target: Target, { path, kind }: MethodFacts): Promise<void> | undefined {
    const unlisted = this.endpoints.lookedUp();
    if (unlisted !== undefined) return unlisted;
    if (typeof target === "object" && "endpoint" in target) return undefined;
    const { routing } = this.settings;
    // A login is what an introduction may need.
    if (path === authMethods.authenticate.path) return undefined;
    if (target !== "any") return this.survey.introduced();
    // A pinned client trusts its first endpoint.
    if (routing === "pinned") return undefined;
    return kind === "write" || routing !== "spread" ? this.survey.introduced() : undefined;
  }

  /** The member a call should go to, as far as that is known. */
  leaderFor(target: Target, facts: MethodFacts): bigint | undefined {
    return this.wantsLeader(target, facts) ? this.leader.leader : undefined;
  }

  /** What is worth waiting for before the call picks an endpoint; undefined if nothing is. */
  leaderNews(target: Target, facts: MethodFacts): Promise<void> | undefined {
    if (!this.wantsLeader(target, facts)) return undefined;
    if (this.leader.awaitsSuccessor) return this.leader.refresh(() => this.awaitSuccessor());
    const endpoint = this.leader.leader === undefined ? undefined : this.endpoints.ofMember(this.leader.leader);
    if (endpoint !== undefined && endpoint.failure === undefined) return undefined;
    if (target === "leader") return this.leader.refresh(() => this.askAll());
    if (endpoint !== undefined || !this.leaderIsElsewhere()) this.askInBackground(leaderPauseMs);
    return undefined;
  }

  /** How to choose among endpoints that would all do. */
  mannerFor(facts: MethodFacts): "nearest" | "same" | "turn" {
    const nearest = this.settings.routing === "nearest" && facts.kind === "read";
    if (nearest || this.survey.hasLearners) this.surveyNowAndThen();
    if (nearest) return "nearest";
    // Serializable reads stay with one member while it works, so that they do not go back in time.
    return facts === serializableRange && this.settings.routing !== "spread" ? "same" : "turn";
  }

  /** Takes what an answer teaches. Throws a ForeignAnswer for one that is not for the caller's eyes. */
  accept(endpoint: Endpoint, header: ResponseHeader | undefined, { kind }: MethodFacts): void {
    endpoint.answers++;
    if (endpoint.failure !== undefined) endpoint.failure = undefined;
    if (header === undefined) return;
    if (header.clusterId !== endpoint.clusterId || !endpoint.verified) {
      if (header.clusterId !== 0n) this.pin(endpoint, header.clusterId, kind);
      if (this.endpoints.isForeign(endpoint)) {
        throw new ForeignAnswer(endpoint, this.endpoints.clusterId, kind !== "read");
      }
      endpoint.verified = true;
    }
    this.leader.observe(endpoint, header);
  }

  /** Takes what an answer teaches that was asked of a named endpoint, and that is for the caller in any case. */
  glance(endpoint: Endpoint, header: ResponseHeader | undefined): void {
    endpoint.answers++;
    endpoint.failure = undefined;
    const { clusterId } = this.endpoints;
    const ours = header !== undefined && (clusterId === undefined || clusterId === header.clusterId);
    if (ours) this.leader.observe(endpoint, header);
  }

  tellUnhealthy(endpoint: Endpoint, cause: Error, attempt: number): void {
    this.board.publish({ type: "unhealthy", endpoint: endpoint.name, cause, attempt });
  }

  /**
   * Serializable reads of one client do not go back in time while another endpoint could do better: throws for an answer
   * that is older than an earlier one.
   */
  keepOrder(endpoint: Endpoint, header: ResponseHeader | undefined): void {
    if (header === undefined || this.settings.routing === "spread") return;
    if (header.revision >= this.shown) {
      this.shown = header.revision;
      return;
    }
    const others = this.endpoints.all().some((other) => other !== endpoint && other.failure === undefined);
    if (others) throw new TransportError("the member is behind what was read before", behind);
  }

  /** The endpoint failed a call: others are preferred for a while. */
  blame(endpoint: Endpoint, cause: Error): void {
    endpoint.failure = { atMs: this.settings.clock.now(), cause };
    endpoint.verified = false;
    this.leader.lose(endpoint.memberId);
  }

  /** Asks every endpoint, which also tells which member is behind it. */
  async askAll(): Promise<void> {
    await this.survey.askAll();
  }

  private wantsLeader(target: Target, { leader }: MethodFacts): boolean {
    if (this.endpoints.size < 2) return false;
    const { routing } = this.settings;
    const leads = routing === "leader-writes" || routing === "nearest";
    return target === "leader" || (target === "any" && leader === "serves" && leads);
  }

  /** True if asking again is of no use: every endpoint's member is known, and none is the leader, or all are shared. */
  private leaderIsElsewhere(): boolean {
    const all = this.endpoints.all();
    if (all.every(({ shared }) => shared)) return true;
    return this.leader.leader !== undefined && all.every(({ shared, memberId }) => shared || memberId !== undefined);
  }

  private surveyNowAndThen(): void {
    const nowMs = this.settings.clock.now();
    if (nowMs - this.surveyedMs < surveyPauseMs) return;
    this.surveyedMs = nowMs;
    this.askInBackground(0);
  }

  private askInBackground(pauseMs: number): void {
    const nowMs = this.settings.clock.now();
    if (nowMs - this.askedMs < pauseMs) return;
    this.askedMs = nowMs;
    this.background = this.leader.refresh(() => this.askAll());
  }

  /**
   * A follower would hold a write for the dead leader until its own timeout of seven seconds, so an election is waited
   * for first. If none is seen to end, any member has to do.
   */
  private async awaitSuccessor(): Promise<void> {
    const { clock } = this.settings;
    const untilMs = clock.now() + successor.patienceMs;
    while (this.leader.awaitsSuccessor && clock.now() < untilMs && !this.closing.aborted) {
      await this.askAll();
      if (this.leader.awaitsSuccessor) await sleep(successor.pauseMs, this.closing);
    }
    if (this.leader.awaitsSuccessor) this.leader.forget();
  }

  /** The first answer to a call says which cluster this client is of, unless a spread read was the first to find one. */
  private pin(endpoint: Endpoint, clusterId: bigint, kind: MethodFacts["kind"]): void {
    endpoint.clusterId = clusterId;
    this.endpoints.clusterId ??= clusterId;
    const chance = kind === "read" && this.settings.routing === "spread" && this.endpoints.size > 1;
    if (this.survey.isOpen && !chance && !this.endpoints.isForeign(endpoint)) this.survey.settle();
    this.checkCluster(endpoint);
  }

  /** Says so, once, when an endpoint turns out to be of another cluster. */
  private checkCluster(endpoint: Endpoint): void {
    const cause = this.endpoints.reasonAgainst(endpoint);
    if (cause === undefined) {
      this.ejected.delete(endpoint);
      return;
    }
    if (this.ejected.has(endpoint)) return;
    this.ejected.add(endpoint);
    endpoint.forgetMembers();
    this.settings.log({ level: "warn", message: cause.message, endpoint: endpoint.name });
    this.tellUnhealthy(endpoint, cause, 1);
  }
}

function recordsFor(token: string | undefined): { plain: Record<string, string>; leader: Record<string, string> } {
  const plain = { "client-api-version": clientApiVersion, ...(token === undefined ? {} : { token }) };
  return { plain, leader: { ...plain, hasleader: "true" } };
}

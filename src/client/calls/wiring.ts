/** What all calls of a client share: settings, endpoints, credentials, and what is known of the leader. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { Credentials } from "../connection/credentials.js";
import type { Endpoint, Endpoints } from "../connection/endpoints.js";
import type { MethodFacts } from "../connection/transport.js";
import type { Settings, Target } from "../options.js";
import { sleep } from "./abort.js";
import { authMethods, maintenanceMethods } from "./methods.js";
import type { LeaderTracker } from "./routing.js";

/** The leader is asked for at most this often, and a member that does not say in time is left out. */
const leaderQuestion = { pauseMs: 500, timeoutMs: 1_000 };
/** An election takes one to two seconds with etcd's default timers. */
const successor = { patienceMs: 3_000, pauseMs: 100 };

export class Wiring {
  readonly settings: Settings;
  readonly endpoints: Endpoints;
  readonly credentials: Credentials;
  readonly leader: LeaderTracker;
  private readonly closer = new AbortController();
  private askedMs = Number.NEGATIVE_INFINITY;
  /** Questions about the leader that nobody waits for; `close` does. */
  private background: Promise<void> = Promise.resolve();

  constructor(parts: { settings: Settings; endpoints: Endpoints; credentials: Credentials; leader: LeaderTracker }) {
    this.settings = parts.settings;
    this.endpoints = parts.endpoints;
    this.credentials = parts.credentials;
    this.leader = parts.leader;
  }

  /** Aborts when the client closes. */
  get closing(): AbortSignal {
    return this.closer.signal;
  }

  async close(): Promise<void> {
    this.closer.abort();
    this.endpoints.close();
    await this.background;
  }

  /** The token a call carries. Authenticate carries none: it is what fetches it. */
  token(path: string): string | undefined | Promise<string> {
    return path === authMethods.authenticate.path ? undefined : this.credentials.token();
  }

  /** The member a call should go to, as far as that is known. */
  leaderFor(target: Target, kind: MethodFacts["kind"]): bigint | undefined {
    return this.wantsLeader(target, kind) ? this.leader.leader : undefined;
  }

  /** What is worth waiting for before the call picks an endpoint; undefined if nothing is. */
  leaderNews(target: Target, kind: MethodFacts["kind"]): Promise<void> | undefined {
    if (!this.wantsLeader(target, kind)) return undefined;
    if (this.leader.awaitsSuccessor) return this.leader.refresh(() => this.awaitSuccessor());
    if (this.leaderEndpoint() !== undefined) return undefined;
    if (target === "leader") return this.leader.refresh(() => this.askForLeader());
    this.askInBackground();
    return undefined;
  }

  private wantsLeader(target: Target, kind: MethodFacts["kind"]): boolean {
    if (this.endpoints.all().length < 2) return false;
    return target === "leader" || (target === "any" && kind === "write" && this.settings.routing === "leader-writes");
  }

  private leaderEndpoint(): Endpoint | undefined {
    const { leader } = this.leader;
    return leader === undefined ? undefined : this.endpoints.all().find(({ memberId }) => memberId === leader);
  }

  private askInBackground(): void {
    const nowMs = this.settings.clock.now();
    if (nowMs - this.askedMs < leaderQuestion.pauseMs) return;
    this.askedMs = nowMs;
    this.background = this.leader.refresh(() => this.askForLeader());
  }

  /**
   * A follower would hold a write for the dead leader until its own timeout of seven seconds, so an election is waited
   * for first. If none is seen to end, any member has to do.
   */
  private async awaitSuccessor(): Promise<void> {
    const { clock } = this.settings;
    const untilMs = clock.now() + successor.patienceMs;
    while (this.leader.awaitsSuccessor && clock.now() < untilMs && !this.closing.aborted) {
      await this.askForLeader();
      if (this.leader.awaitsSuccessor) await sleep(successor.pauseMs, this.closing);
    }
    if (this.leader.awaitsSuccessor) this.leader.forget();
  }

  /** Asks every endpoint, which also tells which member is behind it. */
  private async askForLeader(): Promise<void> {
    await Promise.allSettled(this.endpoints.all().map((endpoint) => this.askOne(endpoint)));
  }

  private async askOne(endpoint: Endpoint): Promise<void> {
    const connection = endpoint.connection("calls");
    const { timeoutMs } = leaderQuestion;
    await connection.ready({ timeoutMs, signal: this.closing });
    const token = await this.credentials.token();
    const wire = { metadata: token === undefined ? {} : { token }, deadlineMs: timeoutMs, signal: this.closing };
    const reply: rpc.StatusResponse = await connection.unary(maintenanceMethods.status, {}, wire);
    this.leader.observe(endpoint, reply.header);
    this.leader.learn({ memberId: reply.leader, term: reply.raftTerm }, reply.header?.memberId ?? 0n);
  }
}

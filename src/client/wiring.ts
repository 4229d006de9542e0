/** What all calls of a client share: settings, endpoints, credentials, and what is known of the leader. */
import type * as rpc from "../../proto/gen/etcd/rpc.js";
import type { Credentials } from "./credentials.js";
import type { Endpoint, Endpoints } from "./endpoints.js";
import { authMethods, maintenanceMethods } from "./methods.js";
import type { Settings, Target } from "./options.js";
import type { LeaderTracker } from "./routing.js";
import type { MethodFacts } from "./transport.js";

/** The leader is asked for at most this often, and a member that does not say in time is left out. */
const leaderQuestion = { pauseMs: 500, timeoutMs: 1_000 };

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
  async token(path: string): Promise<string | undefined> {
    return path === authMethods.authenticate.path ? undefined : this.credentials.token();
  }

  /** The member a call should go to, as far as that is known; only `target: "leader"` waits to find out. */
  async leaderFor(target: Target, kind: MethodFacts["kind"]): Promise<bigint | undefined> {
    if (this.endpoints.all().length < 2) return undefined;
    if (target === "leader") {
      if (this.leaderEndpoint() === undefined) await this.leader.refresh(() => this.askForLeader());
      return this.leader.leader;
    }
    if (target !== "any" || kind !== "write" || this.settings.routing !== "leader-writes") return undefined;
    if (this.leaderEndpoint() === undefined) this.askInBackground();
    return this.leader.leader;
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
    this.leader.learn({ memberId: reply.leader, term: reply.raftTerm });
  }
}

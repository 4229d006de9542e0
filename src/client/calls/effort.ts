/** One call's way through failures: which endpoint, when again, and what the error says when it is over. */
import { Code } from "../../../proto/status.js";
import type { Channel, Endpoint } from "../connection/endpoints.js";
import { type Connection, type MethodFacts, TransportError, type WireCall } from "../connection/transport.js";
import { EtcdError, isEtcdError, type Outcome } from "../errors.js";
import type { CallOptions } from "../options.js";
import { backoffMs, type Judgement, judge } from "./retry.js";
import type { CallScope } from "./scope.js";
import type { Wiring } from "./wiring.js";

/**
 * How long a write is offered around while members say "no leader": they answer at once, so a minority fails fast,
 * and an election that is nearly over is waited out.
 */
const noLeaderPatienceMs = 600;
const deadlineEarlyMsMax = 5;

export class Effort {
  attempts = 0;
  /** When the last attempt was handed to the transport, on the client's clock. */
  sentAtMs = 0;
  private readonly wiring: Wiring;
  private readonly method: MethodFacts;
  private readonly options: CallOptions;
  private readonly scope: CallScope;
  private readonly avoid = new Set<Endpoint>();
  private inFlight = false;
  private everSent = false;
  /** True once an attempt failed in a way that leaves it open whether the write was applied. */
  private doubtful = false;
  private refreshed = false;
  private token: string | undefined;
  private noLeaderSinceMs: number | undefined;

  constructor(wiring: Wiring, method: MethodFacts, options: CallOptions, scope: CallScope) {
    this.wiring = wiring;
    this.method = method;
    this.options = options;
    this.scope = scope;
  }

  /** Aborts when the call is over for its caller or for the client. */
  get signal(): AbortSignal {
    return this.scope.signal;
  }

  /** The token of the last attempt was refused: the next one gets another. */
  dropToken(): void {
    this.wiring.credentials.drop(this.token);
  }

  /** The endpoint to try now. */
  async choose(): Promise<Endpoint> {
    this.checkBounds();
    const target = this.options.target ?? "any";
    const news = this.wiring.leaderNews(target, this.method.kind);
    if (news !== undefined) {
      await this.scope.within(news);
      this.checkBounds();
    }
    const leader = this.wiring.leaderFor(target, this.method.kind);
    return this.wiring.endpoints.pick({ target, leader, avoid: this.avoid });
  }

  /** Connects if needed and says what travels with the call. The request counts as sent from here on. */
  async prepare(endpoint: Endpoint, channel: Channel): Promise<{ connection: Connection; wire: WireCall }> {
    this.attempts++;
    this.inFlight = false;
    const connection = endpoint.connection(channel);
    if (!connection.isReady()) await this.connect(connection);
    const token = this.wiring.token(this.method.path);
    this.token = token instanceof Promise ? await this.scope.within(token) : token;
    this.checkBounds();
    this.inFlight = true;
    this.sentAtMs = this.wiring.settings.clock.now();
    const remainingMs = this.scope.remainingMs();
    return {
      connection,
      wire: {
        metadata: this.metadata(),
        deadlineMs: remainingMs === Number.POSITIVE_INFINITY ? undefined : remainingMs,
        signal: this.scope.signal,
      },
    };
  }

  succeeded(endpoint: Endpoint, response: unknown): void {
    endpoint.failure = undefined;
    this.wiring.leader.observe(endpoint, headerOf(response));
  }

  /** Returns when the call is to be tried again; throws the EtcdError the caller gets otherwise. */
  async recover(endpoint: Endpoint, error: unknown, repeat: "may-repeat" | "never" = "may-repeat"): Promise<void> {
    if (!(error instanceof TransportError)) return this.recoverLogin(error);
    this.inFlight &&= error.sent;
    this.everSent ||= this.inFlight;
    this.checkBounds(endpoint, error);
    const judgement = this.judge(error);
    this.doubtful ||= judgement.outcome === "unknown";
    if (judgement.serverMessage === "") this.blame(endpoint, error);
    this.inFlight = false;
    const spent = !this.scope.endless && this.attempts >= this.wiring.settings.retry.maxAttempts;
    if (repeat === "never" || spent || !(await this.apply(judgement, endpoint))) {
      throw this.failure(judgement, endpoint, error);
    }
  }

  /** A login that failed for the moment is repeated like any other read; what is no such failure is thrown. */
  private async recoverLogin(error: unknown): Promise<void> {
    if (!isEtcdError(error)) throw error;
    this.checkBounds();
    if (!error.retryable) throw this.doubtful ? asUnknown(error) : error;
    await this.scope.sleep(backoffMs(this.wiring.settings.retry, this.attempts));
  }

  private judge(error: TransportError): Judgement {
    const { kind } = this.method;
    const mode = this.options.retry ?? "safe";
    return judge(error, { kind, mode, canRefresh: this.wiring.credentials.canRefresh });
  }

  /** The error for a failure that ends the call. */
  private failure(judgement: Judgement, endpoint: Endpoint, cause: TransportError): EtcdError {
    const text = judgement.serverMessage === "" ? `${endpoint.name}: ${cause.message}` : judgement.serverMessage;
    return new EtcdError(text, {
      code: judgement.code,
      grpcStatus: cause.grpcStatus,
      outcome: this.doubtful ? "unknown" : judgement.outcome,
      endpoint: endpoint.name,
      attempts: this.attempts,
      retryable: judgement.passing,
      serverMessage: judgement.serverMessage,
      cause,
    });
  }

  private async apply({ remedy, code }: Judgement, endpoint: Endpoint): Promise<boolean> {
    switch (remedy) {
      case "stop":
        return false;
      case "refresh":
        if (this.refreshed) return false;
        this.refreshed = true;
        this.dropToken();
        return true;
      case "no-leader": {
        const nowMs = this.wiring.settings.clock.now();
        this.noLeaderSinceMs ??= nowMs;
        if (!this.scope.endless && nowMs - this.noLeaderSinceMs > noLeaderPatienceMs) return false;
        await this.elsewhere(endpoint);
        return true;
      }
      case "again":
        await this.scope.sleep(backoffMs(this.wiring.settings.retry, this.attempts));
        return true;
      case "elsewhere":
        if (code === "NotLeader") this.wiring.leader.forget();
        // Learners do not change their minds: when all that may be asked have refused, that is the answer.
        if (code === "NotSupportedForLearner" && !this.othersLeft(endpoint)) return false;
        await this.elsewhere(endpoint);
        return true;
    }
  }

  private othersLeft(endpoint: Endpoint): boolean {
    const fixed = typeof this.options.target === "object";
    return !fixed && this.wiring.endpoints.all().some((other) => other !== endpoint && !this.avoid.has(other));
  }

  /** Other endpoints are tried at once; when all have failed, a pause comes before the next round. */
  private async elsewhere(endpoint: Endpoint): Promise<void> {
    this.avoid.add(endpoint);
    if (this.othersLeft(endpoint)) return;
    this.avoid.clear();
    await this.scope.sleep(backoffMs(this.wiring.settings.retry, this.attempts));
  }

  private async connect(connection: Connection): Promise<void> {
    const timeoutMs = Math.min(this.wiring.settings.connectTimeoutMs, this.scope.remainingMs());
    await connection.ready({ timeoutMs, signal: this.scope.signal });
  }

  private metadata(): Record<string, string> {
    const requireLeader = this.options.requireLeader ?? (this.wiring.settings.requireLeader && this.needsLeader());
    return {
      "client-api-version": clientApiVersion,
      ...(requireLeader ? { hasleader: "true" } : {}),
      ...(this.token === undefined ? {} : { token: this.token }),
      ...this.options.metadata,
    };
  }

  private needsLeader(): boolean {
    return this.method.kind === "write" || this.method.path === watchPath;
  }

  private blame(endpoint: Endpoint, error: TransportError): void {
    endpoint.failure = { atMs: this.wiring.settings.clock.now(), message: error.message };
    this.wiring.leader.lose(endpoint.memberId);
  }

  /** Throws if the client was closed, the caller gave up, or time ran out. */
  private checkBounds(endpoint?: Endpoint, error?: TransportError): void {
    const unclear = this.method.kind !== "read" && (this.inFlight || this.doubtful);
    const facts = {
      outcome: (unclear ? "unknown" : "not-applied") as Outcome,
      endpoint: endpoint?.name,
      attempts: this.attempts,
    };
    const name = this.method.path.slice(this.method.path.lastIndexOf("/") + 1);
    if (this.wiring.closing.aborted) {
      throw new EtcdError(`${name}: the client is closed`, {
        ...facts,
        code: "ClientClosed",
        grpcStatus: Code.CANCELLED,
        cause: error,
      });
    }
    if (this.scope.signal.aborted) {
      const cause: unknown = this.scope.signal.reason;
      throw new EtcdError(`${name}: given up`, { ...facts, code: "Aborted", grpcStatus: Code.CANCELLED, cause });
    }
    // The transport's timer runs on another clock than ours, and may be a little early.
    const earlyMs = error?.grpcStatus === Code.DEADLINE_EXCEEDED ? deadlineEarlyMsMax : 0;
    if (this.scope.remainingMs() > earlyMs) return;
    if (error !== undefined && !error.sent && endpoint !== undefined) this.blame(endpoint, error);
    throw this.timedOut(name, facts, error);
  }

  private timedOut(
    name: string,
    facts: { outcome: Outcome; endpoint: string | undefined; attempts: number },
    cause: TransportError | undefined,
  ): EtcdError {
    const failed = this.wiring.endpoints
      .all()
      .flatMap(({ name: url, failure }) => (failure === undefined ? [] : [`${url}: ${failure.message}`]));
    const code = this.everSent ? "TimedOut" : "ConnectFailed";
    const why = failed.length === 0 ? "" : ` (${failed.join("; ")})`;
    const text = `${name}: no answer within ${this.scope.timeoutMs} ms${why}`;
    return new EtcdError(text, { ...facts, code, grpcStatus: Code.DEADLINE_EXCEEDED, retryable: true, cause });
  }
}

/** The error of a login that came after an attempt that may have been applied. */
function asUnknown({ message, code, grpcStatus, attempts, serverMessage, cause }: EtcdError): EtcdError {
  return new EtcdError(message, { code, grpcStatus, attempts, serverMessage, cause, outcome: "unknown" });
}

/** The API level this client speaks, as servers count it in their metrics. */
const clientApiVersion = "3.7";
const watchPath = "/etcdserverpb.Watch/Watch";

/** Every etcd response but the health check's has a header. */
function headerOf(response: unknown): Parameters<Wiring["leader"]["observe"]>[1] {
  if (typeof response !== "object" || response === null || !("header" in response)) return undefined;
  return response.header as Parameters<Wiring["leader"]["observe"]>[1];
}

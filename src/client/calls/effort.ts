/** One call's way through failures: which endpoint, when again, and what the error says when it is over. */
import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import { Code } from "../../../proto/status.js";
import type { Channel, Endpoint } from "../connection/endpoint.js";
import { type Connection, type MethodFacts, TransportError, type WireCall } from "../connection/transport.js";
import { type EtcdError, isEtcdError, type Outcome } from "../errors.js";
import type { CallOptions, Target } from "../options.js";
import { linkSignals } from "./abort.js";
import { asUnknown, type CallFacts, clientClosed, failureOf, givenUp, timedOut, unknownMember } from "./failures.js";
import { serializableRange } from "./methods.js";
import { backoffMs, type Judgement, judge } from "./retry.js";
import type { CallScope } from "./scope.js";
import { ForeignAnswer, type Wiring } from "./wiring.js";

/**
 * How long a write is offered around while members say "no leader": they answer at once, so a minority fails fast,
 * and an election that is nearly over is waited out.
 */
const noLeaderPatienceMs = 600;
const deadlineEarlyMsMax = 5;
/** An endpoint that was asked so long ago, and has answered nobody since, may be a black hole. */
const silenceMs = 1_000;

const tooLate = { grpcStatus: Code.UNAVAILABLE, sent: false };

/** What the SDK's own rooms add to a caller's options. */
export interface EffortOptions extends CallOptions {
  /** Only while this has not aborted may the call be sent; what is under way when it aborts goes on. */
  readonly sendWhile?: AbortSignal | undefined;
}

/** An attempt that was made without an effort. */
export interface QuickAttempt {
  readonly sentAtMs: number;
  readonly token: string | undefined;
  readonly answersBefore: number;
}

export class Effort {
  attempts = 0;
  /** The first failure that left it open whether the write was applied, if there was one and the call went on. */
  doubt: EtcdError | undefined;
  /** When the last attempt was handed to the transport, on the client's clock. */
  sentAtMs = 0;
  private readonly wiring: Wiring;
  private readonly method: MethodFacts;
  private readonly options: EffortOptions;
  private readonly target: Target;
  private readonly scope: CallScope;
  private readonly avoid = new Set<Endpoint>();
  private inFlight = false;
  private everSent = false;
  /** True once an attempt failed in a way that leaves it open whether the write was applied. */
  private doubtful = false;
  private refreshed = false;
  private token: string | undefined;
  /** What the endpoint of the attempt had answered before it. */
  private answersBefore = 0;
  private pauses = 0;
  private leaderlessSinceMs: number | undefined;

  constructor(wiring: Wiring, method: MethodFacts, options: EffortOptions, scope: CallScope) {
    this.wiring = wiring;
    this.method = method;
    this.options = options;
    this.target = options.target ?? "any";
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

  /** Goes on from an attempt that was sent, and failed; `recover` comes next. */
  adopt({ sentAtMs, token, answersBefore }: QuickAttempt): void {
    this.attempts = 1;
    this.inFlight = true;
    this.sentAtMs = sentAtMs;
    this.token = token;
    this.answersBefore = answersBefore;
  }

  /**
   * The endpoint to try now. Where the leader was lost, its successor is waited for; "known-only" waits for nobody,
   * because a follower that serves at once is better than a leader that comes late.
   */
  async choose(leaders: "awaited" | "known-only" = "awaited"): Promise<Endpoint> {
    this.checkBounds();
    await this.pass(this.wiring.preparations(this.target, this.method));
    while (this.wiring.endpoints.size === 0) {
      await this.pause();
      await this.pass(this.wiring.preparations(this.target, this.method));
    }
    const unawaited = leaders === "known-only" && this.wiring.leader.awaitsSuccessor;
    if (!unawaited) await this.pass(this.wiring.leaderNews(this.target, this.method));
    return this.pick() ?? (await this.findMember());
  }

  /** Connects if needed and says what travels with the call. The request counts as sent from here on. */
  async prepare(endpoint: Endpoint, channel: Channel): Promise<{ connection: Connection; wire: WireCall }> {
    this.attempts++;
    this.inFlight = false;
    const connection = endpoint.connection(channel);
    if (!connection.isReady()) await this.connect(connection);
    if (this.method.kind === "write") await this.verify(endpoint);
    const token = this.wiring.token(this.method.path);
    this.token = token instanceof Promise ? await this.scope.within(token) : token;
    this.checkBounds();
    this.inFlight = true;
    this.answersBefore = endpoint.answers;
    this.sentAtMs = this.wiring.settings.clock.now();
    const remainingMs = this.scope.remainingMs();
    return {
      connection,
      wire: {
        metadata: this.wiring.metadata(this.method, this.token, this.options),
        deadlineMs: remainingMs === Number.POSITIVE_INFINITY ? undefined : remainingMs,
        signal: this.scope.signal,
      },
    };
  }

  /** Takes what an answer teaches. Throws what `recover` takes if the answer is not for the caller. */
  succeeded(endpoint: Endpoint, response: unknown): void {
    const header = headerOf(response);
    // Whoever names an endpoint for a look at it gets what it says, whichever cluster it belongs to.
    if (typeof this.target === "object" && "endpoint" in this.target && this.method.kind !== "write") {
      this.wiring.glance(endpoint, header);
      return;
    }
    this.wiring.accept(endpoint, header, this.method);
    if (this.method === serializableRange) this.wiring.keepOrder(endpoint, header);
  }

  /** Returns when the call is to be tried again; throws the EtcdError the caller gets otherwise. */
  async recover(endpoint: Endpoint, error: unknown, repeat: "may-repeat" | "never" = "may-repeat"): Promise<void> {
    if (!(error instanceof TransportError)) return this.recoverLogin(error);
    this.inFlight &&= error.sent;
    this.everSent ||= this.inFlight;
    this.checkBounds(endpoint, error);
    const judgement = this.judge(error);
    this.doubtful ||= judgement.outcome === "unknown";
    if (this.doubtful) this.doubt ??= this.failure(judgement, endpoint, error);
    if (judgement.serverMessage === "" && !(error instanceof ForeignAnswer)) this.wiring.blame(endpoint, error);
    this.inFlight = false;
    const spent = !this.scope.endless && this.attempts >= this.wiring.settings.retry.maxAttempts;
    if (repeat === "never" || spent || !(await this.apply(judgement, endpoint, error))) {
      throw this.failure(judgement, endpoint, error);
    }
  }

  /** A login that failed for the moment is repeated like any other read; what is no such failure is thrown. */
  private async recoverLogin(error: unknown): Promise<void> {
    if (!isEtcdError(error)) throw error;
    this.checkBounds();
    if (!error.retryable) throw this.doubtful ? asUnknown(error) : error;
    await this.pause();
  }

  private judge(error: TransportError): Judgement {
    const { kind } = this.method;
    if (error instanceof ForeignAnswer) {
      const outcome = error.sent && kind !== "read" ? "unknown" : "not-applied";
      const remedy = outcome === "unknown" ? "stop" : "elsewhere";
      return { code: "WrongCluster", outcome, remedy, passing: false, serverMessage: "" };
    }
    const mode = this.options.retry ?? "safe";
    return judge(error, { kind, mode, canRefresh: this.wiring.credentials.canRefresh });
  }

  private failure(judgement: Judgement, endpoint: Endpoint, cause: TransportError): EtcdError {
    const outcome = this.doubtful ? "unknown" : judgement.outcome;
    return failureOf(this.method, judgement, { outcome, endpoint: endpoint.name, attempts: this.attempts }, cause);
  }

  private async apply({ remedy, code }: Judgement, endpoint: Endpoint, error: TransportError): Promise<boolean> {
    switch (remedy) {
      case "stop":
        return false;
      case "refresh":
        if (this.refreshed) return false;
        this.refreshed = true;
        this.dropToken();
        return true;
      case "no-leader":
        this.wiring.tellUnhealthy(endpoint, error, this.attempts);
        if (this.method.kind !== "read" && this.patienceIsOver()) return false;
        await this.elsewhere(endpoint, this.patienceLeftMs());
        return true;
      case "again":
        await this.pause();
        return true;
      case "elsewhere":
        if (code === "NotLeader") {
          this.wiring.leader.forget();
          if (this.patienceIsOver()) return false;
        }
        if (code === "NotSupportedForLearner") this.wiring.survey.mark(endpoint, "learner");
        // Some do not change their minds: when all that may be asked have refused, that is the answer.
        if (isFinal(code, error) && !this.othersLeft(endpoint)) return false;
        await this.elsewhere(endpoint);
        return true;
    }
  }

  private patienceIsOver(): boolean {
    this.leaderlessSinceMs ??= this.wiring.settings.clock.now();
    return this.patienceLeftMs() <= 0;
  }

  /** Infinity for a call whose patience has not begun to run out, or does not. */
  private patienceLeftMs(): number {
    if (this.leaderlessSinceMs === undefined || this.scope.endless) return Number.POSITIVE_INFINITY;
    return this.leaderlessSinceMs + noLeaderPatienceMs - this.wiring.settings.clock.now();
  }

  private othersLeft(endpoint: Endpoint): boolean {
    const fixed = typeof this.target === "object";
    return !fixed && this.wiring.endpoints.all().some((other) => other !== endpoint && this.isOpen(other));
  }

  private isOpen(endpoint: Endpoint): boolean {
    return !this.avoid.has(endpoint) && !this.wiring.endpoints.isForeign(endpoint);
  }

  /** Other endpoints are tried at once; when all have failed, a pause comes before the next round, of so long at most. */
  private async elsewhere(endpoint: Endpoint, pauseMsMax = Number.POSITIVE_INFINITY): Promise<void> {
    this.avoid.add(endpoint);
    if (this.othersLeft(endpoint)) return;
    this.avoid.clear();
    this.wiring.endpoints.lookAgain();
    await this.pause(pauseMsMax);
  }

  private async pause(msMax = Number.POSITIVE_INFINITY): Promise<void> {
    const backoff = backoffMs(this.wiring.settings.retry, this.pauses++);
    await this.scope.sleep(Math.max(0, Math.min(backoff, msMax)));
    this.checkBounds();
  }

  /** Waits for what is worth waiting for, within the call's bounds. */
  private async pass(news: Promise<void> | undefined): Promise<void> {
    if (news === undefined) return;
    await this.scope.within(news);
    this.checkBounds();
  }

  private pick(): Endpoint | undefined {
    const leader = this.wiring.leaderFor(this.target, this.method);
    try {
      const manner = this.wiring.mannerFor(this.method);
      return this.wiring.endpoints.pick({ target: this.target, leader, avoid: this.avoid, manner });
    } catch (error) {
      throw this.doubtful && isEtcdError(error) ? asUnknown(error) : error;
    }
  }

  /** The endpoint of the member that the target names; asks until it is found, or until all have said who they are. */
  private async findMember(): Promise<Endpoint> {
    const { target, wiring } = this;
    for (;;) {
      await this.pass(wiring.askAll());
      const found = this.pick();
      if (found !== undefined) return found;
      const known = wiring.endpoints.all().every((endpoint) => endpoint.failure === undefined);
      if (known && typeof target === "object" && "memberId" in target) {
        throw unknownMember(target.memberId, this.facts(undefined));
      }
      await this.pause();
    }
  }

  private async connect(connection: Connection): Promise<void> {
    const timeoutMs = Math.min(this.wiring.settings.connectTimeoutMs, this.scope.remainingMs());
    const link = linkSignals(this.scope.signal, this.options.sendWhile);
    try {
      await connection.ready({ timeoutMs, signal: link.signal });
    } finally {
      link.dispose();
    }
    // The call itself would tell why there is no connection, but there is no time left to make it.
    if (!connection.isReady() && this.scope.remainingMs() === 0) throw new TransportError("no connection", tooLate);
  }

  /** Nothing is written before it is known which cluster answers. */
  private async verify(endpoint: Endpoint): Promise<void> {
    const { endpoints, survey } = this.wiring;
    const asking = survey.verified(endpoint);
    if (asking !== undefined) {
      const failure = (await this.scope.within(asking))?.failure;
      this.checkBounds();
      if (failure instanceof TransportError && !endpoint.verified) throw unsentFor(failure);
    }
    if (endpoints.isForeign(endpoint)) throw new ForeignAnswer(endpoint, endpoints.clusterId, false);
  }

  private facts(endpoint: Endpoint | undefined): CallFacts {
    const unclear = this.method.kind !== "read" && (this.inFlight || this.doubtful);
    const outcome: Outcome = unclear ? "unknown" : "not-applied";
    return { outcome, endpoint: endpoint?.name, attempts: this.attempts };
  }

  /** Throws if the client was closed, the caller gave up, or time ran out. */
  private checkBounds(endpoint?: Endpoint, error?: TransportError): void {
    const { method, wiring, scope } = this;
    if (wiring.closing.aborted) throw clientClosed(method, this.facts(endpoint), error);
    if (scope.signal.aborted) throw givenUp(method, this.facts(endpoint), scope.signal.reason);
    // What was never sent fails for the reason that holds it back; what may have been applied already says so.
    if (!this.inFlight && !this.doubtful) this.options.sendWhile?.throwIfAborted();
    // The transport's timer runs on another clock than ours, and may be a little early.
    const earlyMs = error?.grpcStatus === Code.DEADLINE_EXCEEDED ? deadlineEarlyMsMax : 0;
    if (scope.remainingMs() > earlyMs) return;
    if (error !== undefined && endpoint !== undefined && this.isToBlame(endpoint, error)) wiring.blame(endpoint, error);
    const patience = { timeoutMs: scope.timeoutMs, everSent: this.everSent };
    throw timedOut(method, patience, this.facts(endpoint), { endpoints: wiring.endpoints, cause: error });
  }

  /** When time runs out: an endpoint that could not be reached, or that has been silent since it was asked. */
  private isToBlame(endpoint: Endpoint, error: TransportError): boolean {
    if (!error.sent) return true;
    const waitedMs = this.wiring.settings.clock.now() - this.sentAtMs;
    return waitedMs >= silenceMs && endpoint.answers === this.answersBefore;
  }
}

function isFinal(code: Judgement["code"], error: TransportError): boolean {
  return code === "NotSupportedForLearner" || code === "WrongCluster" || error.lasting;
}

/** The failure of the question before the request, which therefore never left. */
function unsentFor({ message, grpcStatus, lasting, cause }: TransportError): TransportError {
  return new TransportError(message, { grpcStatus, sent: false, lasting, cause });
}

/** Every etcd response but the health check's has a header. */
export function headerOf(response: unknown): ResponseHeader | undefined {
  if (typeof response !== "object" || response === null || !("header" in response)) return undefined;
  return response.header as ResponseHeader | undefined;
}

/**
 * Changes of the membership. The leader checks and proposes one at a time, in one go and while no earlier change is under
 * way; every other member asks the leader and answers once it has applied the change itself. A change is asked for once at
 * most where it may have been heard.
 */
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { MembershipChange, RejectReason } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Applied, CommandBody, Member, StateReader } from "../state/types.js";
import type { AppliedWait } from "./applied-wait.js";
import { failureOf } from "./leader-calls.js";
import {
  type ChangeRequest,
  type ClusterFacts,
  checkHealth,
  type PeerProgress,
  type PreparedChange,
  prepareChange,
} from "./membership-checks.js";
import type { ReconfigurationRules } from "./options.js";
import type { Peers } from "./peers.js";
import { abortError, orAborted, pause } from "./signals.js";
import type { MembershipControl, WaitOptions } from "./types.js";

export interface MembershipOptions {
  readonly memberId: bigint;
  readonly core: RaftCore;
  readonly state: StateReader;
  readonly peers: Pick<Peers, "ask" | "connectedSinceMs">;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly requestTimeoutMs: number;
  readonly rules: ReconfigurationRules;
  readonly applied: AppliedWait;
  /** Proposes a change; returns the number of the request. */
  readonly proposeChange: (change: MembershipChange, body: CommandBody) => number;
  readonly transfer: MembershipControl["transfer"];
}

/** A change that this member decided as the leader. */
export interface Decided {
  /** The entry of the change. */
  readonly index: number;
  /** The member that was added. */
  readonly added: Member | undefined;
}

/** What a proposed change came to. */
type Outcome =
  | { readonly kind: "applied"; readonly applied: Applied }
  | { readonly kind: "rejected"; readonly reason: RejectReason }
  | { readonly kind: "stopped" };

/** A leader that leaves looks so often whether the others know. */
const departureLookMs = 10;

export class Membership implements MembershipControl {
  private readonly options: MembershipOptions;
  /** Changes that this member proposed, by request. */
  private readonly proposed = new Map<number, (outcome: Outcome) => void>();
  private closed = false;

  constructor(options: MembershipOptions) {
    this.options = options;
  }

  async add(
    member: { readonly peerUrls: readonly string[]; readonly learner: boolean },
    options: WaitOptions,
  ): Promise<Member> {
    const { added } = await this.change({ kind: "add", ...member }, options);
    // The leader names the member that it added.
    if (added === undefined) throw new WireError(status.Timeout);
    return added;
  }

  async remove(id: bigint, options: WaitOptions): Promise<void> {
    await this.change({ kind: "remove", id }, options);
  }

  async update(id: bigint, peerUrls: readonly string[], options: WaitOptions): Promise<void> {
    await this.change({ kind: "update", id, peerUrls }, options);
  }

  async promote(id: bigint, options: WaitOptions): Promise<void> {
    await this.change({ kind: "promote", id }, options);
  }

  transfer(to: bigint, options: WaitOptions): Promise<void> {
    return this.options.transfer(to, options);
  }

  /**
   * Checks, proposes and waits until the change is applied here; a leader that removes itself, until others know of it.
   * Rejects with NotLeader if this member does not lead: then nothing was proposed.
   */
  async decide(request: ChangeRequest, signal: AbortSignal): Promise<Decided> {
    for (;;) {
      await this.myTurn(signal);
      const prepared = prepareChange(request, this.facts());
      const applied = appliedOf(await this.propose(prepared, signal));
      if (applied !== undefined) {
        const outcome = decided(applied, prepared);
        if (request.kind === "remove" && request.id === this.options.memberId) await this.othersKnow(signal);
        return outcome;
      }
      // An earlier change, or the end of a transfer, has to be waited for.
      await pause(this.options.clock, this.options.heartbeatMs, signal);
    }
  }

  /** An own entry was applied; false if it is no change that waits. */
  settle(sequence: number, applied: Applied): boolean {
    return this.end(sequence, { kind: "applied", applied });
  }

  /** The core did not append the change; false if the request is none. */
  rejected(requestId: number, reason: RejectReason): boolean {
    return this.end(requestId, { kind: "rejected", reason });
  }

  close(): void {
    this.closed = true;
    for (const requestId of this.proposed.keys()) this.end(requestId, { kind: "stopped" });
  }

  private async change(request: ChangeRequest, { signal }: WaitOptions): Promise<Decided> {
    const { core, memberId, clock, heartbeatMs, applied } = this.options;
    const askedMs = clock.monotonicMs();
    for (;;) {
      this.assertOpen(signal);
      const { leader } = core;
      if (leader === undefined) this.waitOrRefuse(request, askedMs);
      else {
        const outcome = await (leader === memberId
          ? this.decideHere(request, signal)
          : this.ask(leader, request, signal));
        if (outcome !== undefined) {
          // A member that is removed may never hear of it.
          const applies = request.kind !== "remove" || request.id !== memberId;
          if (applies) await orAborted(applied.reached(outcome.index), signal);
          return outcome;
        }
      }
      await pause(clock, heartbeatMs, signal);
    }
  }

  /** Nobody leads. A promotion waits as long as any request for somebody to ask (as in etcd), other changes as long as their callers. */
  private waitOrRefuse(request: ChangeRequest, askedMs: number): void {
    const { clock, requestTimeoutMs } = this.options;
    checkHealth(request, this.facts());
    const waitedMs = clock.monotonicMs() - askedMs;
    if (request.kind === "promote" && waitedMs >= requestTimeoutMs) throw new WireError(status.NoLeader);
  }

  /** Undefined if this member does not lead any more. */
  private async decideHere(request: ChangeRequest, signal: AbortSignal): Promise<Decided | undefined> {
    try {
      return await this.decide(request, signal);
    } catch (error) {
      if (isNotLeader(error)) return undefined;
      throw error;
    }
  }

  /** Undefined if that member does not lead, so that nothing can have happened. */
  private async ask(leader: bigint, request: ChangeRequest, signal: AbortSignal): Promise<Decided | undefined> {
    const answer = await this.answerOf(leader, request, signal);
    if (answer === "applied") return { index: this.options.core.appliedIndex, added: undefined };
    const { kind } = answer;
    if (kind?.$case === "failure") {
      const failure = failureOf(kind.value);
      if (isNotLeader(failure)) return undefined;
      throw failure;
    }
    if (kind?.$case !== "memberChange") throw new WireError(status.Timeout);
    return answered(kind.value);
  }

  /** A leader that is removed takes its link, and the answer on it, along; by then this member has applied the removal. */
  private async answerOf(leader: bigint, request: ChangeRequest, signal: AbortSignal): Promise<Answer | "applied"> {
    const { peers, state, requestTimeoutMs } = this.options;
    const isGone = (): boolean => !this.closed && request.kind === "remove" && state.isRemoved(request.id);
    const wasGone = isGone();
    try {
      return await orAborted(peers.ask(leader, questionOf(request), { timeoutMs: requestTimeoutMs }), signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof WireError)) throw error;
      if (!wasGone && isGone()) return "applied";
      // Whether the leader heard the question is not known, so it is not asked again.
      throw new WireError(status.TimeoutDueToConnectionLost, { cause: error });
    }
  }

  /**
   * Whoever gets the answer may destroy this machine at once. So it waits until a majority of those who stay knows of the
   * removal for sure, or lost touch with this member, or as long as any request: applied is the change in any case.
   */
  private async othersKnow(signal: AbortSignal): Promise<void> {
    const { core, clock, requestTimeoutMs } = this.options;
    const endMs = clock.monotonicMs() + requestTimeoutMs;
    while (!this.closed && core.role === "leader" && clock.monotonicMs() < endMs) {
      await pause(clock, departureLookMs, signal);
    }
  }

  /** Waits until every earlier change is applied here. Rejects with NotLeader when this member does not lead. */
  private async myTurn(signal: AbortSignal): Promise<void> {
    const { core, clock, heartbeatMs } = this.options;
    for (;;) {
      this.assertOpen(signal);
      if (core.role !== "leader") throw new WireError(status.NotLeader);
      if (!core.changePending && !core.transferring) return;
      await pause(clock, heartbeatMs, signal);
    }
  }

  /** Synchronous up to the core, which refuses the change if another one came before it. */
  private async propose({ change, body }: PreparedChange, signal: AbortSignal): Promise<Outcome> {
    const requestId = this.options.proposeChange(change, body);
    const outcome = new Promise<Outcome>((resolve) => this.proposed.set(requestId, resolve));
    try {
      return await orAborted(outcome, signal);
    } finally {
      this.proposed.delete(requestId);
    }
  }

  private end(requestId: number, outcome: Outcome): boolean {
    const resolve = this.proposed.get(requestId);
    this.proposed.delete(requestId);
    resolve?.(outcome);
    return resolve !== undefined;
  }

  private facts(): ClusterFacts {
    const { core, state, memberId, rules, peers, clock } = this.options;
    const nowMs = clock.monotonicMs();
    return {
      members: state.members(),
      isRemoved: (id) => state.isRemoved(id),
      self: memberId,
      rules,
      connectedForMs: (id) => {
        const sinceMs = peers.connectedSinceMs(id);
        return sinceMs === undefined ? undefined : nowMs - sinceMs;
      },
      progress: core.role === "leader" ? { lastIndex: core.lastIndex, of: (id) => this.progressOf(id) } : undefined,
      nowSeconds: Math.floor(clock.wallMs() / 1000),
    };
  }

  private progressOf(id: bigint): PeerProgress | undefined {
    const peer = this.options.core.peer(id);
    return peer && { match: peer.match, silentMs: peer.lastActiveTicks * this.options.heartbeatMs };
  }

  private assertOpen(signal: AbortSignal): void {
    if (this.closed) throw new WireError(status.Stopped);
    if (signal.aborted) throw abortError(signal);
  }
}

/** The applied entry; undefined if the change has to be tried again. Throws what ends it. */
function appliedOf(outcome: Outcome): Applied | undefined {
  if (outcome.kind === "applied") return outcome.applied;
  if (outcome.kind === "stopped") throw new WireError(status.Stopped);
  switch (outcome.reason) {
    case "changePending":
    case "transferring":
    // The checks were made against an older configuration than the core's; the next ones are not.
    case "changeInvalid":
      return undefined;
    case "noLeader":
    case "leaderChanged":
      throw new WireError(status.NotLeader);
    case "tooManyUncommitted":
    case "tooManyUnapplied":
      throw new WireError(status.TooManyRequests);
  }
}

function decided({ index, result }: Applied, { change }: PreparedChange): Decided {
  if (result.kind === "failed") throw new WireError(result.status);
  const members = result.response.kind === "members" ? result.response.members : [];
  return { index, added: members.find(({ id }) => id === change.member) };
}

function answered({ index, added }: Extract<Answer["kind"], { $case: "memberChange" }>["value"]): Decided {
  return { index: Number(index), added };
}

function questionOf(request: ChangeRequest): Question {
  switch (request.kind) {
    case "add": {
      const { peerUrls, learner } = request;
      return { kind: { $case: "memberAdd", value: { peerUrls: [...peerUrls], learner } } };
    }
    case "remove":
      return { kind: { $case: "memberRemove", value: { id: request.id } } };
    case "update":
      return { kind: { $case: "memberUpdate", value: { id: request.id, peerUrls: [...request.peerUrls] } } };
    case "promote":
      return { kind: { $case: "memberPromote", value: { id: request.id } } };
  }
}

function isNotLeader(error: unknown): boolean {
  return error instanceof WireError && error.message === status.NotLeader.message;
}

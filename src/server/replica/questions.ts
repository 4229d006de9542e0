/** Answers what other members ask. A failure that can happen is an answer with etcd's code and text. */
import type { Answer, MemberRecord, Question } from "../../../proto/gen/internal/peer.js";
import { Code, status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import { serverVersion } from "../runtime/version.js";
import type { HashResult, Member, StateReader } from "../state/types.js";
import type { ReplicaLeases } from "./leases.js";
import type { Membership } from "./membership.js";
import type { ChangeRequest } from "./membership-checks.js";
import { deadline } from "./signals.js";

type AnswerKind = NonNullable<Answer["kind"]>;

export interface QuestionsOptions {
  readonly clusterId: bigint;
  readonly state: StateReader;
  readonly leases: ReplicaLeases;
  readonly membership: Membership;
  /** Rejects with a WireError. */
  readonly hashKv: (revision: number) => Promise<HashResult>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bound on a change that somebody else's client waits for. */
  readonly requestTimeoutMs: number;
}

export class Questions {
  private readonly options: QuestionsOptions;

  constructor(options: QuestionsOptions) {
    this.options = options;
  }

  /** Never rejects. `from` is undefined for a stranger, who may only ask for the cluster view. */
  async answer(from: bigint | undefined, { kind: question }: Question): Promise<Answer> {
    try {
      if (question === undefined) throw new WireError(status.UnknownMethod);
      if (from === undefined && question.$case !== "clusterView") {
        throw new WireError({ code: Code.PERMISSION_DENIED, message: "only members may ask this" });
      }
      return { kind: await this.answerTo(question) };
    } catch (error) {
      return { kind: { $case: "failure", value: this.failure(error) } };
    }
  }

  private async answerTo(question: NonNullable<Question["kind"]>): Promise<AnswerKind> {
    const { leases, state } = this.options;
    switch (question.$case) {
      case "clusterView":
        return { $case: "clusterView", value: this.clusterView() };
      case "leaseRenew": {
        const ttlSeconds = await leases.renewHere(question.value.id);
        return { $case: "leaseRenew", value: { ttlSeconds: BigInt(ttlSeconds) } };
      }
      case "leaseTime": {
        const { remainingSeconds, grantedSeconds } = await leases.timeToLiveHere(question.value.id);
        const value = { remainingSeconds: BigInt(remainingSeconds), grantedSeconds: BigInt(grantedSeconds) };
        return { $case: "leaseTime", value };
      }
      case "memberAdd":
        return this.change({ kind: "add", ...question.value });
      case "memberRemove":
        return this.change({ kind: "remove", ...question.value });
      case "memberUpdate":
        return this.change({ kind: "update", ...question.value });
      case "memberPromote":
        return this.change({ kind: "promote", ...question.value });
      case "stateMarks": {
        const marks = state.stateMarks().map(({ index, hash }) => ({ index: BigInt(index), hash }));
        return { $case: "stateMarks", value: { marks } };
      }
      case "hashKv": {
        const { hash, compactRevision } = await this.options.hashKv(Number(question.value.revision));
        return { $case: "hashKv", value: { hash, compactRevision: BigInt(compactRevision) } };
      }
    }
  }

  private async change(request: ChangeRequest): Promise<AnswerKind> {
    const { membership, clock, requestTimeoutMs } = this.options;
    const { signal, cancel } = deadline(clock, requestTimeoutMs);
    try {
      const { index, added } = await membership.decide(request, signal);
      const value = { index: BigInt(index), added: added === undefined ? undefined : recordOf(added) };
      return { $case: "memberChange", value };
    } finally {
      cancel();
    }
  }

  private clusterView(): Extract<AnswerKind, { $case: "clusterView" }>["value"] {
    const { state, clusterId } = this.options;
    return {
      clusterId,
      members: state.members().map(recordOf),
      clusterVersion: state.clusterVersion() ?? "",
      serverVersion,
      removed: [...state.removedMembers()],
    };
  }

  private failure(error: unknown): { code: number; message: string } {
    if (error instanceof WireError) return { code: error.code, message: error.message };
    this.options.logger.error("a peer's question failed", { error });
    return { code: Code.INTERNAL, message: error instanceof Error ? error.message : String(error) };
  }
}

function recordOf({ id, name, peerUrls, clientUrls, learner }: Member): MemberRecord {
  return { id, name, peerUrls: [...peerUrls], clientUrls: [...clientUrls], learner };
}

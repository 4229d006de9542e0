/**
 * Watches that members which have applied the same entries hold the same state: the leader compares rolling hashes of what was
 * applied and, if asked to (`--corrupt-check-time`), hashes of what is stored, and raises the CORRUPT alarm for whoever differs.
 * Spec: raft-storage.md 4.8, server.md 13.2.
 */
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import type { MemberId } from "../raft/types.js";
import type { Logger } from "../runtime/logger.js";
import type { CommandBody, HashResult, StateMark, StateReader } from "../state/types.js";
import type { Peers } from "./peers.js";

const intervalMs = 5000;
const askTimeoutMs = 2000;
/** A member reads all that it has for its answer. */
const hashTimeoutMs = 60_000;
const marksQuestion: Question = { kind: { $case: "stateMarks", value: {} } };

export interface DivergenceOptions {
  readonly memberId: MemberId;
  readonly state: Pick<StateReader, "stateMarks" | "alarms" | "members">;
  readonly peers: Pick<Peers, "ask">;
  readonly logger: Logger;
  /** Time between comparisons of what is stored; 0: never. */
  readonly hashIntervalMs: number;
  /** Rejects with a WireError. */
  readonly hashKv: (revision: number) => Promise<HashResult>;
  /** Proposes only while this member leads. */
  readonly proposeAsLeader: (body: CommandBody) => Promise<unknown>;
}

/** Members by the hash that they have at one index. */
type Groups = ReadonlyMap<number, readonly MemberId[]>;

export class DivergenceWatch {
  private readonly options: DivergenceOptions;
  private lastCheckMs = 0;
  private lastIndex = 0;
  private underWay = false;
  private lastHashMs = 0;
  private hashing = false;
  private closed = false;

  constructor(options: DivergenceOptions) {
    this.options = options;
  }

  /** Once a tick at the leader. */
  tick(nowMs: number): void {
    this.tickMarks(nowMs);
    this.tickHashes(nowMs);
  }

  /** The state can no longer be read: answers under way count for nothing. */
  close(): void {
    this.closed = true;
  }

  /** Does something every few seconds, if a mark has come since. */
  private tickMarks(nowMs: number): void {
    if (this.underWay || nowMs - this.lastCheckMs < intervalMs) return;
    this.lastCheckMs = nowMs;
    const newest = this.options.state.stateMarks().at(-1)?.index ?? 0;
    if (newest === this.lastIndex) return;
    this.underWay = true;
    void this.checkMarks(newest);
  }

  private tickHashes(nowMs: number): void {
    const { hashIntervalMs } = this.options;
    if (hashIntervalMs <= 0 || this.hashing || nowMs - this.lastHashMs < hashIntervalMs) return;
    this.lastHashMs = nowMs;
    this.hashing = true;
    void this.checkHashes().finally(() => {
      this.hashing = false;
    });
  }

  /**
   * Everybody hashes what is stored as of one revision, ours now. Who has not got so far, or is compacted elsewhere, is left
   * out this time.
   */
  private async checkHashes(): Promise<void> {
    const { memberId, hashKv, logger } = this.options;
    const ours = await hashKv(0).catch((error: unknown) => {
      logger.debug("the state was not hashed", { error });
      return undefined;
    });
    if (ours === undefined) return;
    const { hash, hashRevision: index, compactRevision } = ours;
    const answers = await Promise.all(this.others().map((id) => this.hashOf(id, index)));
    if (this.closed) return;
    const comparable = answers.filter((answer) => answer?.compactRevision === compactRevision);
    const known = comparable.flatMap((answer) => (answer === undefined ? [] : [answer]));
    const marked = [{ id: memberId, hash }, ...known].map((member) => {
      return { id: member.id, marks: [{ index, hash: member.hash }] };
    });
    this.compare(marked);
  }

  private async hashOf(id: MemberId, revision: number): Promise<MemberHash | undefined> {
    const question: Question = { kind: { $case: "hashKv", value: { revision: BigInt(revision) } } };
    const kind = await this.answerOf(id, question, hashTimeoutMs);
    if (kind?.$case !== "hashKv") return undefined;
    return { id, hash: kind.value.hash, compactRevision: Number(kind.value.compactRevision) };
  }

  private others(): readonly MemberId[] {
    const { state, memberId } = this.options;
    return state
      .members()
      .map(({ id }) => id)
      .filter((id) => id !== memberId);
  }

  private async checkMarks(newest: number): Promise<void> {
    const { state, memberId } = this.options;
    const answers = await Promise.all(this.others().map(async (id) => ({ id, marks: await this.marksOf(id) })));
    this.underWay = false;
    if (this.closed) return;
    // Whoever did not answer is asked again at the next round.
    if (answers.every(({ marks }) => marks !== undefined)) this.lastIndex = newest;
    const known = answers.filter((answer): answer is MemberMarks => answer.marks !== undefined);
    this.compare([{ id: memberId, marks: state.stateMarks() }, ...known]);
  }

  private async marksOf(id: MemberId): Promise<readonly StateMark[] | undefined> {
    const kind = await this.answerOf(id, marksQuestion, askTimeoutMs);
    if (kind?.$case !== "stateMarks") return undefined;
    return kind.value.marks.map(({ index, hash }) => ({ index: Number(index), hash }));
  }

  private async answerOf(id: MemberId, question: Question, timeoutMs: number): Promise<Answer["kind"]> {
    try {
      return (await this.options.peers.ask(id, question, { timeoutMs })).kind;
    } catch (error) {
      const asked = question.kind?.$case;
      this.options.logger.debug("a member did not tell the hash of its state", { "remote-peer-id": id, asked, error });
      return undefined;
    }
  }

  private compare(members: readonly MemberMarks[]): void {
    for (const { id, index, groups } of differing(members)) {
      const raised = this.options.state.alarms().some(({ memberId, type }) => memberId === id && type === "CORRUPT");
      if (!raised) this.raise(id, index, groups);
    }
  }

  private raise(memberId: MemberId, index: number, groups: Groups): void {
    const { logger, proposeAsLeader } = this.options;
    const hashes = [...groups].flatMap(([hash, ids]) => ids.map((id) => `${id.toString(16)}: ${hash.toString(16)}`));
    logger.error("the state of a member differs", { "member-id": memberId, index, hashes });
    const value = { action: Action.ACTIVATE, memberID: memberId, alarm: AlarmType.CORRUPT };
    proposeAsLeader({ $case: "alarm", value }).catch((error: unknown) => {
      logger.warn("failed to raise an alarm", { error });
      this.lastIndex = 0;
    });
  }
}

interface MemberHash {
  readonly id: MemberId;
  readonly hash: number;
  readonly compactRevision: number;
}

export interface MemberMarks {
  readonly id: MemberId;
  readonly marks: readonly StateMark[];
}

export interface Difference {
  readonly id: MemberId;
  readonly index: number;
  readonly groups: Groups;
}

/**
 * Members whose hash differs from that of the majority at an index; where no hash has a majority, all that have one. An index
 * that shows who is in the minority goes before one that does not.
 */
export function differing(members: readonly MemberMarks[]): readonly Difference[] {
  const blamed = new Map<MemberId, Difference>();
  const undecided = new Map<MemberId, Difference>();
  for (const [index, groups] of groupsByIndex(members)) {
    if (groups.size < 2) continue;
    const { minority, decided } = minorityOf(groups);
    const target = decided ? blamed : undecided;
    for (const id of minority) target.set(id, { id, index, groups });
  }
  return [...(blamed.size > 0 ? blamed : undecided).values()];
}

function groupsByIndex(members: readonly MemberMarks[]): ReadonlyMap<number, Groups> {
  const byIndex = new Map<number, Map<number, MemberId[]>>();
  for (const { id, marks } of members) {
    for (const { index, hash } of marks) {
      const groups = byIndex.get(index) ?? new Map<number, MemberId[]>();
      byIndex.set(index, groups);
      groups.set(hash, [...(groups.get(hash) ?? []), id]);
    }
  }
  return byIndex;
}

function minorityOf(groups: Groups): { readonly minority: readonly MemberId[]; readonly decided: boolean } {
  const all = [...groups.values()].flat();
  const majority = [...groups.values()].find((ids) => ids.length * 2 > all.length);
  if (majority === undefined) return { minority: all, decided: false };
  return { minority: all.filter((id) => !majority.includes(id)), decided: true };
}

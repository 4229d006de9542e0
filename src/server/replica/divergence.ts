/**
 * Watches that members which have applied the same entries hold the same state: the leader compares rolling hashes and raises
 * the CORRUPT alarm for whoever differs. Spec: raft-storage.md 4.8.
 */
import { AlarmRequest_AlarmAction as Action, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import type { Question } from "../../../proto/gen/internal/peer.js";
import type { MemberId } from "../raft/types.js";
import type { Logger } from "../runtime/logger.js";
import type { CommandBody, StateMark, StateReader } from "../state/types.js";
import type { Peers } from "./types.js";

const intervalMs = 5000;
const askTimeoutMs = 2000;
const question: Question = { kind: { $case: "stateMarks", value: {} } };

export interface DivergenceOptions {
  readonly memberId: MemberId;
  readonly state: Pick<StateReader, "stateMarks" | "alarms" | "members">;
  readonly peers: Pick<Peers, "ask">;
  readonly logger: Logger;
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
  private closed = false;

  constructor(options: DivergenceOptions) {
    this.options = options;
  }

  /** Once a tick at the leader; does something every few seconds, if a mark has come since. */
  tick(nowMs: number): void {
    if (this.underWay || nowMs - this.lastCheckMs < intervalMs) return;
    this.lastCheckMs = nowMs;
    const newest = this.options.state.stateMarks().at(-1)?.index ?? 0;
    if (newest === this.lastIndex) return;
    this.underWay = true;
    void this.check(newest);
  }

  /** The state can no longer be read: answers under way count for nothing. */
  close(): void {
    this.closed = true;
  }

  private async check(newest: number): Promise<void> {
    const { state, memberId } = this.options;
    const others = state.members().filter(({ id }) => id !== memberId);
    const answers = await Promise.all(others.map(async ({ id }) => ({ id, marks: await this.marksOf(id) })));
    this.underWay = false;
    if (this.closed) return;
    // Whoever did not answer is asked again at the next round.
    if (answers.every(({ marks }) => marks !== undefined)) this.lastIndex = newest;
    const known = answers.filter((answer): answer is MemberMarks => answer.marks !== undefined);
    this.compare([{ id: memberId, marks: state.stateMarks() }, ...known]);
  }

  private async marksOf(id: MemberId): Promise<readonly StateMark[] | undefined> {
    try {
      const { kind } = await this.options.peers.ask(id, question, { timeoutMs: askTimeoutMs });
      if (kind?.$case !== "stateMarks") return undefined;
      return kind.value.marks.map(({ index, hash }) => ({ index: Number(index), hash }));
    } catch (error) {
      this.options.logger.debug("a member did not tell its state marks", { "remote-peer-id": id, error });
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

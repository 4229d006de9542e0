/** Handing leadership over: asked for by an operator (MoveLeader), or by this member before it stops. */
import { status, WireError } from "../../../proto/status.js";
import type { RaftCore } from "../raft/core.js";
import type { MemberId, RaftEvent } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { StateReader } from "../state/types.js";
import type { Peers } from "./peers.js";
import { orAborted } from "./signals.js";
import type { WaitOptions } from "./types.js";

export interface TransferOptions {
  readonly memberId: MemberId;
  readonly core: RaftCore;
  readonly state: Pick<StateReader, "members">;
  readonly peers: Pick<Peers, "connectedSinceMs">;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly step: (event: RaftEvent) => void;
}

/** The core gives up after one election timeout; the new leader needs a moment to be known here. */
const waitElections = 2;
/** A target whose process ends meanwhile, as when a whole cluster is stopped at once, is noticed after this time at most. */
const lookAgainMs = 20;

interface Waiting {
  readonly endMs: number;
  readonly lookMs?: number;
}

export class Transfer {
  private readonly options: TransferOptions;
  private waiting: (() => void)[] = [];

  constructor(options: TransferOptions) {
    this.options = options;
  }

  /**
   * Resolves when `to` leads, as seen here. Rejects with NotLeader, BadLeaderTransferee (no voter of the cluster) or
   * LeaderTransferTimeout: after two election timeouts at most, so that a target that is down holds nobody up.
   */
  async to(target: MemberId, { signal }: WaitOptions): Promise<void> {
    const { core, state, clock, electionMs } = this.options;
    if (core.role !== "leader") throw new WireError(status.NotLeader);
    const member = state.members().find(({ id }) => id === target);
    if (member === undefined || member.learner) throw new WireError(status.BadLeaderTransferee);
    if (core.leader === target) return;
    this.options.step({ kind: "transfer", to: target });
    const endMs = clock.monotonicMs() + waitElections * electionMs;
    await orAborted(
      this.until(() => core.leader === target, { endMs }),
      signal,
    );
    if (core.leader !== target) throw new WireError(status.LeaderTransferTimeout);
  }

  /**
   * Gives leadership to the voter that is best placed, if this member leads and there is one, and to the next one if that goes
   * away; bounded by an election timeout.
   */
  async giveAway(): Promise<void> {
    const { core, peers, clock, electionMs } = this.options;
    const endMs = clock.monotonicMs() + electionMs;
    while (core.role === "leader" && clock.monotonicMs() < endMs) {
      const target = this.bestTarget();
      if (target === undefined) return;
      this.options.step({ kind: "transfer", to: target });
      const isGone = (): boolean => peers.connectedSinceMs(target) === undefined;
      await this.until(() => core.role !== "leader" || isGone(), { endMs, lookMs: lookAgainMs });
    }
  }

  /** Something may have changed: called at every change of role. */
  roleChanged(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }

  /** The connected voter that has been so for the longest time, among those that hold (nearly) all of the log. */
  private bestTarget(): MemberId | undefined {
    const { core, memberId, peers } = this.options;
    const candidates = core.membership.voters
      .filter((id) => id !== memberId && core.peer(id)?.state === "replicate")
      .map((id) => ({ id, sinceMs: peers.connectedSinceMs(id) }))
      .filter((candidate): candidate is { id: bigint; sinceMs: number } => candidate.sinceMs !== undefined);
    return candidates.toSorted((a, b) => a.sinceMs - b.sinceMs).at(0)?.id;
  }

  /** Resolves when the condition holds, or at `endMs`. Looks at every change of role, and each `lookMs`. */
  private async until(condition: () => boolean, { endMs, lookMs = Infinity }: Waiting): Promise<void> {
    const { clock } = this.options;
    while (!condition() && clock.monotonicMs() < endMs) {
      await this.change(Math.min(endMs - clock.monotonicMs(), lookMs));
    }
  }

  private change(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.after(delayMs, resolve);
      this.waiting.push(() => {
        cancel();
        resolve();
      });
    });
  }
}

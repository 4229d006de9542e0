/** Ends streams that asked for a leader (`hasleader: true`) once there has been none for a while. Spec: server.md 11.2. */

import { status } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Call } from "./call.js";

export interface LeaderWatchOptions {
  readonly clock: Clock;
  readonly electionTimeoutMs: number;
  readonly hasLeader: () => boolean;
}

/** Leaderless looks in a row, one an election timeout, before the streams end. */
const leaderlessMax = 3;

export class LeaderWatch {
  private readonly options: LeaderWatchOptions;
  private readonly calls = new Set<Call>();
  private cancelTick: (() => void) | undefined;
  private leaderless = 0;

  constructor(options: LeaderWatchOptions) {
    this.options = options;
  }

  add(call: Call): void {
    this.calls.add(call);
    if (this.cancelTick === undefined) this.tickLater();
  }

  remove(call: Call): void {
    if (!this.calls.delete(call) || this.calls.size > 0) return;
    this.cancelTick?.();
    this.cancelTick = undefined;
    this.leaderless = 0;
  }

  private tickLater(): void {
    const { clock, electionTimeoutMs } = this.options;
    this.cancelTick = clock.after(electionTimeoutMs, () => this.tick());
  }

  private tick(): void {
    this.leaderless = this.options.hasLeader() ? 0 : this.leaderless + 1;
    this.tickLater();
    if (this.leaderless < leaderlessMax) return;
    for (const call of this.calls) call.abort(status.NoLeader);
  }
}

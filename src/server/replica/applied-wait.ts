/** Calls that wait until this member has applied an index. */
import { WireError, type WireStatus } from "../../../proto/status.js";

interface Waiting {
  readonly index: number;
  readonly resolve: () => void;
  readonly reject: (error: WireError) => void;
}

export class AppliedWait {
  private waiting: Waiting[] = [];
  private appliedIndex: number;

  constructor(appliedIndex: number) {
    this.appliedIndex = appliedIndex;
  }

  reached(index: number): Promise<void> {
    if (index <= this.appliedIndex) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiting.push({ index, resolve, reject }));
  }

  advance(appliedIndex: number): void {
    this.appliedIndex = appliedIndex;
    if (this.waiting.length === 0) return;
    const { waiting } = this;
    this.waiting = waiting.filter(({ index }) => index > appliedIndex);
    for (const { index, resolve } of waiting) if (index <= appliedIndex) resolve();
  }

  failAll(wireStatus: WireStatus): void {
    for (const { reject } of this.waiting.splice(0)) reject(new WireError(wireStatus));
  }
}

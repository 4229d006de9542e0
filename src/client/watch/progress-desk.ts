/** Those who asked how far a watch has come and wait for the answer. */
export class ProgressDesk {
  private readonly waiters = new Set<(revision: bigint | undefined) => void>();
  /** Questions that were put and not answered. */
  private open = 0;

  /** True while an answer is awaited. */
  get isWaitedAt(): boolean {
    return this.open > 0 || this.waiters.size > 0;
  }

  ask(): void {
    this.open++;
  }

  /** The next answer; undefined if none came in time or the watch ended. */
  next(withinMs: number): Promise<bigint | undefined> {
    return new Promise((resolve) => {
      const done = (revision: bigint | undefined): void => {
        clearTimeout(timer);
        this.waiters.delete(done);
        resolve(revision);
      };
      const timer = setTimeout(() => done(undefined), withinMs);
      this.waiters.add(done);
    });
  }

  /** Returns whether it was asked for. Who waits for an answer has it now. */
  answer(revision: bigint): boolean {
    const asked = this.open > 0;
    this.open = this.waiters.size > 0 ? 0 : Math.max(0, this.open - 1);
    for (const waiter of this.waiters) waiter(revision);
    return asked;
  }

  close(): void {
    for (const waiter of this.waiters) waiter(undefined);
  }
}

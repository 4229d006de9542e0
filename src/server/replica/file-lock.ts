/**
 * Whoever writes the next state file (a snapshot that comes in, a defragmentation) does it alone: both use the same name,
 * and both end by moving the pointer.
 */

export class FileLock {
  private taken = false;
  private readonly waiting: (() => void)[] = [];

  /** The function that gives the lock back; undefined if somebody has it. */
  tryTake(): (() => void) | undefined {
    if (this.taken) return undefined;
    this.taken = true;
    return () => this.release();
  }

  async take(): Promise<() => void> {
    if (this.taken) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.taken = true;
    return () => this.release();
  }

  /** Goes over to the next one in line without a moment in which it is free. */
  private release(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.taken = false;
    else next();
  }
}

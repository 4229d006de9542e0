/** Whether something is heard again and again, and since when without a break. */
export class Pulse {
  private readonly windowMs: number;
  private firstMs = 0;
  private lastMs: number | undefined;

  /** A silence of more than `windowMs` is a break. */
  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  beat(nowMs: number): void {
    if (this.sinceMs(nowMs) === undefined) this.firstMs = nowMs;
    this.lastMs = nowMs;
  }

  stop(): void {
    this.lastMs = undefined;
  }

  /** The first beat after the last break; undefined while it is silent. */
  sinceMs(nowMs: number): number | undefined {
    return this.lastMs !== undefined && nowMs - this.lastMs <= this.windowMs ? this.firstMs : undefined;
  }
}

/** Writers side by side, and what came of their writes. */
import { errorText } from "../output/error-text.js";
import type { Clock } from "./pace.js";

export interface Writing {
  readonly clients: number;
  /** Whether there is another write, as soon as it may begin. */
  readonly turn: () => boolean | Promise<boolean>;
  readonly write: () => Promise<unknown>;
  readonly clock: Pick<Clock, "now">;
}

/** Of the writes that succeeded; errors by their text, with how often each came. */
export interface Summary {
  readonly perSecond: number;
  readonly slowestSeconds: number;
  readonly stddevSeconds: number;
  readonly errors: ReadonlyMap<string, number>;
}

/** Grows while the writers write. */
export class Writers {
  private readonly writing: Writing;
  private readonly latenciesMs: number[] = [];
  private readonly errors = new Map<string, number>();
  private lastAnswerMs = 0;

  constructor(writing: Writing) {
    this.writing = writing;
  }

  /** Writes that have an answer, good or bad. */
  get done(): number {
    return this.latenciesMs.length + [...this.errors.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when there is nothing more to write and every write has its answer. */
  async run(): Promise<Summary> {
    const { clock, clients } = this.writing;
    const startedMs = clock.now();
    await Promise.all(Array.from({ length: clients }, () => this.writer()));
    return summary(this.latenciesMs, this.lastAnswerMs - startedMs, this.errors);
  }

  private async writer(): Promise<void> {
    const { turn, write, clock } = this.writing;
    while (await turn()) {
      const startedMs = clock.now();
      try {
        await write();
        this.latenciesMs.push(clock.now() - startedMs);
      } catch (error) {
        const text = errorText(error);
        this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
      }
      this.lastAnswerMs = clock.now();
    }
  }
}

function summary(latenciesMs: readonly number[], tookMs: number, errors: ReadonlyMap<string, number>): Summary {
  const count = latenciesMs.length;
  if (count === 0) return { perSecond: 0, slowestSeconds: 0, stddevSeconds: 0, errors };
  const mean = latenciesMs.reduce((sum, ms) => sum + ms, 0) / count;
  const variance = latenciesMs.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / count;
  const slowestMs = latenciesMs.reduce((slowest, ms) => Math.max(slowest, ms), 0);
  return {
    perSecond: (count * 1_000) / tookMs,
    slowestSeconds: slowestMs / 1_000,
    stddevSeconds: Math.sqrt(variance) / 1_000,
    errors,
  };
}

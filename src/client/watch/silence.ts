/** Tells a stream that has nothing to say from one that is dead: by when it was heard, and what it was asked. */
import type { MonotonicClock } from "../options.js";
import type { WatchTimings } from "./timings.js";

/** A stream is asked so often before it is given up. */
const questionsMin = 2;
/** Where asking and reopening change nothing, as behind a grpc-proxy, the patience doubles up to this. */
const patienceFactorMax = 32;

export class Silence {
  private readonly timings: WatchTimings;
  private readonly clock: MonotonicClock;
  private heardMs: number;
  private askedMs: number;
  private createdMs = 0;
  /** Questions since the stream was heard last. */
  private questions = 0;
  private patienceFactor = 1;

  constructor(timings: WatchTimings, clock: MonotonicClock) {
    this.timings = timings;
    this.clock = clock;
    this.heardMs = clock.now();
    this.askedMs = this.heardMs;
  }

  /** For how long nothing has come. */
  get ms(): number {
    return this.clock.now() - this.heardMs;
  }

  /** A stream was opened. */
  began(): void {
    this.heardMs = this.clock.now();
    this.askedMs = this.heardMs;
    this.questions = 0;
  }

  /** A message came. An answer to a create shows that the server is there; anything else, that it also speaks. */
  heard(message: "created" | "news"): void {
    this.heardMs = this.clock.now();
    this.questions = 0;
    if (message === "news") this.patienceFactor = 1;
  }

  asked(): void {
    this.askedMs = this.clock.now();
    this.questions++;
  }

  /** The question was put elsewhere, so that no answer is owed here. */
  askedElsewhere(): void {
    this.askedMs = this.clock.now();
  }

  /** A create was sent, so that an answer is due. */
  created(): void {
    this.createdMs = this.clock.now();
  }

  /** True if the server owes an answer to a create for too long. */
  get unconfirmed(): boolean {
    return this.clock.now() - Math.max(this.heardMs, this.createdMs) >= this.timings.confirmMs;
  }

  /** True if the last question was so long ago. */
  isDueAfter(ms: number): boolean {
    return this.clock.now() - this.askedMs >= ms;
  }

  /** True if the server was asked and asked and has not said a word. */
  get isDeath(): boolean {
    return this.questions >= questionsMin && this.ms >= this.timings.staleMs * this.patienceFactor;
  }

  /** The stream is given up. Should the next one be as silent, it was not the server's fault. */
  gaveUp(): void {
    this.patienceFactor = Math.min(patienceFactorMax, this.patienceFactor * 2);
  }
}

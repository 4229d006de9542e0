/** One watch stream as something to await: used by the Watch service and by the locks and elections on top of it. */
import { type WireStatus } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { WatchHub } from "../watch/hub.js";
import type { WatchMessage, WatchStream } from "../watch/stream.js";
import { abortError, pause, WakeUp } from "./abort.js";

export interface WatchFeedOptions {
  readonly hub: WatchHub;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What an abort without a wire error of its own means. */
  readonly onAbort: WireStatus;
}

/** Its opener closes it. */
export class WatchFeed {
  readonly stream: WatchStream;
  private readonly options: WatchFeedOptions;
  private readonly arrived = new WakeUp();
  private readonly taken = new WakeUp();
  private readonly aborted = (): void => {
    this.arrived.wake();
    this.taken.wake();
  };
  private failure: { readonly error: unknown } | undefined;

  constructor(options: WatchFeedOptions) {
    this.options = options;
    this.stream = options.hub.open(() => this.arrived.wake());
    options.signal.addEventListener("abort", this.aborted);
  }

  /** Every message of the stream, in order, until the signal aborts or {@link fail} is called. */
  async *messages(): AsyncGenerator<WatchMessage> {
    let stepped = false;
    for (;;) {
      this.throwIfOver();
      const message = this.stream.take();
      if (message !== undefined) {
        this.taken.wake();
        yield message;
      } else if (this.stream.behind) {
        // A long catch-up must not hold the event loop: one step a turn.
        if (stepped) await pause(this.options.clock);
        stepped = true;
        this.stream.catchUp();
      } else {
        await this.arrived.wait();
        stepped = false;
      }
    }
  }

  /** Resolves when the queue has room, so that a client that sends without reading is not read from either. */
  async room(): Promise<void> {
    while (this.stream.full && !this.options.signal.aborted) await this.taken.wait();
  }

  /** Ends {@link messages} with this error. */
  fail(error: unknown): void {
    this.failure = { error };
    this.arrived.wake();
  }

  close(): void {
    this.options.signal.removeEventListener("abort", this.aborted);
    this.stream.close();
    this.taken.wake();
  }

  private throwIfOver(): void {
    const { signal, onAbort } = this.options;
    if (signal.aborted) throw abortError(signal, onAbort);
    if (this.failure !== undefined) throw this.failure.error;
  }
}

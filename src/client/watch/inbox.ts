/** A bounded queue between a stream and its one reader: a full inbox makes the stream wait, so memory is bounded. */
export class Inbox<T> implements AsyncIterable<T> {
  private readonly items: { readonly item: T; readonly weight: number }[] = [];
  private readonly weightMax: number;
  private weight = 0;
  private ending: { readonly error: unknown } | "end" | undefined;
  /** Readers that wait for an item, and writers that wait for room. */
  private readers: (() => void)[] = [];
  private writers: (() => void)[] = [];

  constructor(weightMax: number) {
    this.weightMax = weightMax;
  }

  get full(): boolean {
    return this.weight >= this.weightMax;
  }

  /** Takes the item even if full; a writer that minds waits for `room()` first. */
  push(item: T, weight: number): void {
    if (this.ending !== undefined) return;
    this.items.push({ item, weight });
    this.weight += weight;
    wake(this.readers);
  }

  /** Resolves when there is room, when nothing more will be read, or after `wakeWriters` once the signal aborted. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.full && this.ending === undefined && !signal.aborted) await waiting(this.writers);
  }

  wakeWriters(): void {
    wake(this.writers);
  }

  /** What was pushed is still read; then the reader's loop ends. */
  end(): void {
    this.ending ??= "end";
    wake(this.readers);
    wake(this.writers);
  }

  /** What was pushed is still read; then the reader gets the error, once. */
  fail(error: unknown): void {
    this.ending ??= { error };
    wake(this.readers);
    wake(this.writers);
  }

  /** The next item, or undefined at the end. */
  async take(): Promise<T | undefined> {
    for (;;) {
      const next = this.items.shift();
      if (next !== undefined) {
        this.weight -= next.weight;
        wake(this.writers);
        return next.item;
      }
      if (this.ending !== undefined) return this.over(this.ending);
      await waiting(this.readers);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = await this.take();
      if (item === undefined) return;
      yield item;
    }
  }

  private over(ending: { readonly error: unknown } | "end"): undefined {
    if (ending === "end") return undefined;
    this.ending = "end";
    throw ending.error;
  }
}

function wake(waiters: (() => void)[]): void {
  for (const waiter of waiters.splice(0)) waiter();
}

function waiting(waiters: (() => void)[]): Promise<void> {
  return new Promise((resolve) => waiters.push(resolve));
}

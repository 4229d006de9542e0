/** What arrives for one reader, kept until it is read. Of more than the reader may miss, the oldest is dropped. */
export class Inbox<T> implements AsyncIterable<T> {
  private readonly items: T[] = [];
  private readonly itemsMax: number;
  private ending: { readonly error: unknown } | "end" | undefined;
  private wake: (() => void) | undefined;

  constructor(itemsMax: number) {
    this.itemsMax = itemsMax;
  }

  push(item: T): void {
    if (this.ending !== undefined) return;
    if (this.items.length === this.itemsMax) this.items.shift();
    this.items.push(item);
    this.wake?.();
  }

  /** What was pushed is still read; then the reader's loop ends. */
  end(): void {
    this.ending ??= "end";
    this.wake?.();
  }

  /** What was pushed is still read; then the reader gets the error. */
  fail(error: unknown): void {
    this.ending ??= { error };
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.items.shift();
      if (next !== undefined) yield next;
      else if (this.ending === "end") return;
      else if (this.ending !== undefined) throw this.ending.error;
      else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }
}

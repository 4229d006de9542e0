/** One question that several ask together. It is taken back when nobody waits for the answer any more. */
import { onAbort } from "../calls/abort.js";

export class SharedRead<T> {
  private readonly controller = new AbortController();
  private readonly answer: Promise<T>;
  private waiting = 0;

  /** `read` begins at once, and ends when its signal aborts. */
  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.answer = read(this.controller.signal);
    // Everybody who asked may have left when it fails.
    this.answer.catch(() => {});
  }

  /** True once it was taken back: nobody can join any more. */
  get over(): boolean {
    return this.controller.signal.aborted;
  }

  /** As the answer, or rejects with the signal's reason, whichever comes first. */
  join(signal: AbortSignal): Promise<T> {
    this.waiting++;
    return new Promise<T>((resolve, reject) => {
      let undo: (() => void) | undefined;
      const leave = (): void => {
        undo?.();
        this.waiting--;
        if (this.waiting === 0) this.controller.abort();
      };
      this.answer.then(resolve, reject).finally(() => undo?.());
      undo = onAbort(signal, () => {
        leave();
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what the signal says is the reason
        reject(signal.reason);
      });
    });
  }
}

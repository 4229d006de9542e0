/** Work that is performed one piece after the other, each when the owner's scheduler says so. */

/** Calls `work` now or later, and exactly once. */
export type Defer = (work: () => void) => void;

/** In order, each piece after the end of the one before it, whatever order the scheduler calls back in. */
export class Lane {
  private readonly defer: Defer;
  private readonly waiting: (() => void)[] = [];
  private busy = false;

  constructor(defer: Defer) {
    this.defer = defer;
  }

  push(work: () => void): void {
    this.waiting.push(work);
    this.next();
  }

  private next(): void {
    if (this.busy) return;
    const work = this.waiting.shift();
    if (work === undefined) return;
    this.busy = true;
    this.defer(() => {
      work();
      this.busy = false;
      this.next();
    });
  }
}

/** No delay at all. */
export const atOnce: Defer = (work) => work();

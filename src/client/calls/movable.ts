/** A two-way stream that can be moved off its endpoint when that is removed from the client. */
import type { Movable } from "../connection/endpoint.js";
import type { Duplex } from "../connection/transport.js";

export class MovableDuplex<Req, Res> implements Duplex<Req, Res>, Movable {
  reads = 0;
  private readonly inner: Duplex<Req, Res>;
  private readonly putDown: () => void;

  /** `carry` takes the stream onto its endpoint, and returns what takes it off. */
  constructor(inner: Duplex<Req, Res>, carry: (stream: Movable) => () => void) {
    this.inner = inner;
    this.putDown = carry(this);
  }

  write(request: Req): void {
    this.inner.write(request);
  }

  end(): void {
    this.inner.end();
  }

  cancel(): void {
    this.inner.cancel();
    this.putDown();
  }

  [Symbol.asyncIterator](): AsyncIterator<Res> {
    const iterator = this.inner[Symbol.asyncIterator]();
    return {
      next: () => {
        this.reads++;
        return iterator.next();
      },
      return: async () => {
        this.putDown();
        return (await iterator.return?.()) ?? { done: true, value: undefined };
      },
    };
  }
}

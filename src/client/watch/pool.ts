/**
 * The streams of one client's watchers. Watchers share streams, so many to a stream; one that asks for it, or that is
 * too slow for the others, has a stream of its own.
 */
import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import { Calls } from "../calls/call.js";
import type { Wiring } from "../calls/wiring.js";
import { Carrier, type CarrierParts } from "./carrier.js";
import { keyOf, NowReader } from "./now.js";
import type { ReadRange, Rider, StreamOptions } from "./rider.js";
import { type WatchTimings, watchTimings } from "./timings.js";

export class WatchPool {
  private readonly calls: Calls;
  private readonly timings: WatchTimings;
  private readonly reader: NowReader;
  /** Streams that others may join, by the options they were opened with. */
  private readonly shared = new Map<string, readonly Carrier[]>();

  constructor(wiring: Wiring, timings: WatchTimings = watchTimings) {
    // Outside of every namespace: watchers of different ones share streams.
    this.calls = new Calls(wiring);
    this.timings = timings;
    this.reader = new NowReader(this.calls);
  }

  /** A stream that carries the watcher from here on, until the watcher leaves it. */
  place(rider: Rider, kind: "shared" | "own", options: StreamOptions): Carrier {
    const carrier = kind === "own" ? this.open(kind, options) : this.sharedCarrier(options);
    carrier.enter(rider);
    return carrier;
  }

  /** The store's revision at some time after the call, see NowReader. `range` is as the wire has it. */
  now(range: ReadRange, options: StreamOptions, signal: AbortSignal): Promise<ResponseHeader | undefined> {
    return this.reader.read(range, options, signal);
  }

  private sharedCarrier(options: StreamOptions): Carrier {
    this.forgetEnded();
    const key = keyOf(options);
    const carriers = this.shared.get(key) ?? [];
    const roomy = carriers.find(({ size }) => size < this.timings.watchersPerStream);
    if (roomy !== undefined) return roomy;
    const opened = this.open("shared", options);
    this.shared.set(key, [...carriers, opened]);
    return opened;
  }

  private forgetEnded(): void {
    for (const [key, carriers] of this.shared) {
      const open = carriers.filter(({ admits }) => admits);
      if (open.length === 0) this.shared.delete(key);
      else if (open.length < carriers.length) this.shared.set(key, open);
    }
  }

  private open(kind: "shared" | "own", options: StreamOptions): Carrier {
    const now: CarrierParts["now"] = (range, signal) => this.now(range, options, signal);
    return new Carrier({ calls: this.calls, options, kind, timings: this.timings, now });
  }
}

const pools = new WeakMap<Wiring, WatchPool>();

/** The pool of a client, made when it is first needed. It ends with the client. */
export function poolOf({ wiring }: Calls): WatchPool {
  const known = pools.get(wiring);
  if (known !== undefined) return known;
  const made = new WatchPool(wiring);
  pools.set(wiring, made);
  return made;
}

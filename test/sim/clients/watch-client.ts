/** A client that watches, with pauses and from old revisions, and goes on elsewhere when its watch breaks. */
import type { Event } from "../../../proto/gen/etcd/kv.js";
import { Event_EventType } from "../../../proto/gen/etcd/kv.js";
import type { WatchCreateRequest, WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import { WatchCreateRequest_FilterType as Filter } from "../../../proto/gen/etcd/rpc.js";
import { latin1, pairText, versionText } from "../../check/sequential-model.js";
import { type WatchedEvent, type WatchHistory, WatchValidator, type WatchWish } from "../../check/watch-validators.js";
import type { RandomStream } from "../world/random.js";
import { Violation } from "../world/world.js";
import type { ClientWorld } from "./kv-client.js";
import { ClientWatchStream } from "./watch-stream.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** No message keeps a client busy for longer: at the end of a run everybody has to come through. */
const slowestMs = 5000;

export class WatchClient {
  private readonly shared: ClientWorld;
  private readonly random: RandomStream;
  private readonly name: string;
  private readonly history: WatchHistory;
  /** How long it takes over a message; some clients are slow. */
  private readonly slowMs: number;
  private validator: WatchValidator | undefined;
  private stream: ClientWatchStream | undefined;
  private wish: WatchWish | undefined;

  constructor(shared: ClientWorld, name: string) {
    this.shared = shared;
    this.name = name;
    this.random = shared.world.random(`watcher ${name}`);
    this.slowMs = this.random.chance(0.3) ? this.random.between(10, 2000) : 0;
    const { model } = shared.history;
    this.history = {
      get revision() {
        return model.revision;
      },
      get compactRevision() {
        return model.compactRevision;
      },
      changesAt: (revision) => model.changesAt(revision),
    };
  }

  /** The revision that it waits for next; undefined while it has no watch. */
  get waitsFor(): number | undefined {
    return this.stream === undefined ? undefined : this.validator?.resumeRevision;
  }

  async run(): Promise<void> {
    const { world } = this.shared;
    while (!this.shared.stopping()) {
      const wish = this.nextWish();
      this.wish = wish;
      await this.watch(wish);
      this.stream = undefined;
      await world.sleep(10 + this.random.around(200));
    }
  }

  /** Every event up to the last revision must have come by now. */
  settle(revision: number): void {
    if (this.stream === undefined || this.validator === undefined) return;
    this.validator.quiet(revision);
    this.report();
  }

  /** Lets go of its stream. */
  leave(): void {
    this.stream?.end();
  }

  /** Goes on from where the last watch ended, mostly. */
  private nextWish(): WatchWish {
    const { random } = this;
    const before = this.validator?.resumeRevision;
    if (this.wish !== undefined && before !== undefined && random.chance(0.8))
      return { ...this.wish, startRevision: before };
    const startRevision = this.nextStart();
    const key = `k${String(random.below(this.shared.keyCount)).padStart(2, "0")}`;
    const everything = random.chance(0.4);
    return {
      key: everything ? "\0" : key,
      rangeEnd: everything ? "\0" : random.pick(["", "", "k~"]),
      startRevision,
      puts: !random.chance(0.1),
      deletes: !random.chance(0.1),
      previousKv: random.chance(0.3),
    };
  }

  /** Now, some time ago, a little later, or exactly where the last compaction was. */
  private nextStart(): number {
    const { random } = this;
    const { toldRevision, model } = this.shared.history;
    if (model.compactRevision > 0 && random.chance(0.2)) return model.compactRevision;
    return random.chance(0.5) ? 0 : Math.max(1, model.compactRevision, toldRevision + random.between(-30, 5));
  }

  private async watch(wish: WatchWish): Promise<void> {
    const port = this.random.pick(this.shared.ports())();
    if (port === undefined) return;
    const stream = new ClientWatchStream(port);
    this.validator = undefined;
    this.stream = stream;
    stream.create(this.creation(wish));
    const endsAtMs = this.shared.world.nowMs + this.random.around(60_000);
    for (;;) {
      const response = await stream.next();
      if (response === undefined || !this.take(response, wish)) break;
      if (!this.shared.stopping()) {
        if (this.slowMs > 0) await this.shared.world.sleep(Math.min(this.random.around(this.slowMs), slowestMs));
        if (this.random.chance(0.05)) stream.askProgress();
        if (this.shared.world.nowMs > endsAtMs) break;
      }
    }
    stream.end();
  }

  private creation({ key, rangeEnd, startRevision, puts, deletes, previousKv }: WatchWish): WatchCreateRequest {
    return {
      key: bytes(key),
      rangeEnd: bytes(rangeEnd),
      startRevision: BigInt(startRevision),
      progressNotify: this.random.chance(0.3),
      filters: [...(puts ? [] : [Filter.NOPUT]), ...(deletes ? [] : [Filter.NODELETE])],
      prevKv: previousKv,
      watchId: 0n,
      fragment: this.random.chance(0.2),
    };
  }

  /** Answers whether the watch goes on. */
  private take(response: WatchResponse, wish: WatchWish): boolean {
    const { world, counts } = this.shared;
    const revision = Number(response.header?.revision);
    world.note(`${this.name} got ${response.events.length}`, revision);
    if (response.canceled) {
      // What was compacted away is lost to this watcher: the next one starts anew.
      this.validator = undefined;
      return false;
    }
    if (response.created) {
      this.validator = new WatchValidator(wish, revision, this.history, versionText);
      return true;
    }
    if (this.validator === undefined) throw new Violation("watch", `${this.name} got a message before its creation`);
    counts.events += response.events.length;
    if (response.events.length > 0)
      this.validator.events(response.events.map(watched), { fragment: response.fragment });
    else this.validator.progress(revision);
    if (revision > this.shared.history.model.revision)
      throw new Violation("watch", `${this.name} was told of revision ${revision}`);
    this.report();
    return true;
  }

  private report(): void {
    const [finding] = this.validator?.findings ?? [];
    if (finding === undefined) return;
    const what = JSON.stringify(this.wish);
    throw new Violation(`watch ${finding.problem}`, `${this.name} ${what}: ${finding.detail}`);
  }
}

function watched({ type, kv, prevKv }: Event): WatchedEvent {
  const kind = type === Event_EventType.PUT ? "put" : "delete";
  return {
    kind,
    key: latin1(kv?.key ?? new Uint8Array(0)),
    revision: Number(kv?.modRevision),
    createRevision: Number(kv?.createRevision),
    version: Number(kv?.version),
    value: latin1(kv?.value ?? new Uint8Array(0)),
    lease: kv?.lease ?? 0n,
    previous: prevKv === undefined ? undefined : pairText(prevKv),
  };
}

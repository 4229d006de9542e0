/**
 * The watchers on one stream, and which message is whose. Creates are sent all at once if the server takes the ids we
 * choose, which its first answer shows; otherwise (grpc-proxy) one after the other, since answers then name no request.
 */
import { WatchCreateRequest, type WatchRequest, type WatchResponse } from "../../../proto/gen/etcd/rpc.js";
import type { Rider } from "./rider.js";
import { broadcastId, type Coverage, Fragments } from "./watch-order.js";

/** A watcher on the gRPC stream at hand. */
interface Seat {
  readonly rider: Rider;
  /** The id we chose; 0n if the server is to choose. */
  readonly askedId: bigint;
  /** Progress requests sent before its create. */
  readonly askedBefore: number;
  readonly fragments: Fragments;
  /** What the server calls it, once it has said so. */
  id: bigint | undefined;
  /** Of the header that confirmed it. */
  revision: bigint;
  left: boolean;
}

/** Servers that choose ids count from 0, so that one of ours in an answer is no accident. */
const firstId = 1n << 40n;

export class Seats {
  private readonly send: (request: WatchRequest) => void;
  private readonly ids: "ours" | "theirs";
  /** Everyone aboard; with a seat once a create was sent on the stream at hand. */
  private readonly riders = new Map<Rider, Seat | undefined>();
  private readonly byId = new Map<bigint, Seat>();
  /** Creates that were sent and not answered, in the order they were sent and will be answered. */
  private unanswered: Seat[] = [];
  /** Creates that wait for their turn. */
  private queue: Rider[] = [];
  private opened = false;
  private takesOurIds: boolean | undefined;
  private nextId = firstId;
  /** Progress requests sent, and answers to them, on the stream at hand. */
  private asked = 0;
  private answered = 0;
  /** The newest revision the server has shown. */
  private newest = 0n;

  /** `ids`: whether to choose ids, if the server lets us. */
  constructor(ids: "ours" | "theirs", send: (request: WatchRequest) => void) {
    this.ids = ids;
    this.send = send;
  }

  get size(): number {
    return this.riders.size;
  }

  all(): readonly Rider[] {
    return [...this.riders.keys()];
  }

  /** True while the server owes the answer to a create. */
  get expectant(): boolean {
    return this.unanswered.length > 0;
  }

  get wantProgress(): boolean {
    return this.all().some((rider) => rider.wantsProgress);
  }

  /** True if someone but `asker` may keep the server from answering a progress request. */
  isMuted(asker?: Rider): boolean {
    const others = this.all().filter((rider) => rider !== asker);
    for (const rider of others) rider.heardOf(this.newest);
    return others.some((rider) => rider.serverMayBeSilent);
  }

  /** True if someone but `asker` may have history to catch up with, so that progress has to wait. */
  isBusy(asker: Rider): boolean {
    return this.all().some((rider) => rider !== asker && rider.isCatchingUp);
  }

  enter(rider: Rider): void {
    this.riders.set(rider, undefined);
    if (this.opened) this.create(rider);
  }

  leave(rider: Rider): void {
    const seat = this.riders.get(rider);
    this.riders.delete(rider);
    this.queue = this.queue.filter((waiting) => waiting !== rider);
    if (seat === undefined) return;
    seat.left = true;
    if (seat.id === undefined) return;
    this.byId.delete(seat.id);
    this.cancel(seat.id);
  }

  /** A new gRPC stream: everyone is created on it, from where they stand. */
  open(): void {
    this.opened = true;
    this.takesOurIds = this.ids === "ours" ? undefined : false;
    this.asked = 0;
    this.answered = 0;
    this.newest = 0n;
    for (const rider of this.riders.keys()) this.create(rider);
  }

  /** The gRPC stream is over. Whoever was on it stays for the next one. */
  close(): void {
    this.opened = false;
    this.byId.clear();
    this.unanswered = [];
    this.queue = [];
    for (const rider of this.riders.keys()) this.riders.set(rider, undefined);
  }

  requestProgress(): void {
    this.asked++;
    this.send({ requestUnion: { $case: "progressRequest", value: {} } });
  }

  /** Hands a message to whom it is for. What is for nobody is for one who has left. */
  take(response: WatchResponse): void {
    const { watchId } = response;
    const revision = response.header?.revision ?? 0n;
    if (revision > this.newest) this.newest = revision;
    const seat = this.byId.get(watchId);
    if (response.created || (watchId === broadcastId && response.canceled)) return this.onCreated(response);
    if (watchId === broadcastId) return this.onBroadcast(response);
    const whole = seat?.fragments.join(response);
    if (seat === undefined || whole === undefined) return;
    if (!whole.canceled) return seat.rider.receive(whole, "covered");
    this.byId.delete(watchId);
    this.riders.delete(seat.rider);
    seat.rider.canceled(whole);
  }

  private create(rider: Rider): void {
    if (this.takesOurIds !== true && this.unanswered.length > 0) {
      this.queue.push(rider);
      return;
    }
    const askedId = this.takesOurIds === false ? 0n : this.nextId++;
    const askedBefore = this.asked;
    const seat = { rider, askedId, askedBefore, fragments: new Fragments(), id: undefined, revision: 0n, left: false };
    this.riders.set(rider, seat);
    this.unanswered.push(seat);
    const value = WatchCreateRequest.fromPartial({ ...rider.begin(), watchId: askedId, fragment: true });
    this.send({ requestUnion: { $case: "createRequest", value } });
  }

  private onCreated(response: WatchResponse): void {
    const seat = this.answeredSeat(response);
    if (seat === undefined) return;
    this.unanswered = this.unanswered.filter((each) => each !== seat);
    if (response.canceled) this.onRefused(seat, response);
    else this.onSeated(seat, response);
    // Either the server takes our ids, and all may go, or the next one may.
    const next = this.takesOurIds === true ? this.queue.splice(0) : this.queue.splice(0, this.expectant ? 0 : 1);
    for (const rider of next) this.create(rider);
  }

  /** A refusal has no id, but answers come in the order of the creates. */
  private answeredSeat(response: WatchResponse): Seat | undefined {
    const [oldest] = this.unanswered;
    if (response.canceled || this.takesOurIds !== true) return oldest;
    return this.unanswered.find(({ askedId }) => askedId === response.watchId);
  }

  private onRefused(seat: Seat, response: WatchResponse): void {
    if (seat.left) return;
    this.riders.delete(seat.rider);
    seat.rider.canceled(response);
  }

  private onSeated(seat: Seat, response: WatchResponse): void {
    this.takesOurIds ??= seat.askedId === response.watchId;
    if (seat.left) return this.cancel(response.watchId);
    seat.id = response.watchId;
    seat.revision = response.header?.revision ?? 0n;
    this.byId.set(response.watchId, seat);
    seat.rider.confirmed(response);
  }

  private onBroadcast(response: WatchResponse): void {
    this.answered++;
    for (const seat of this.byId.values()) if (!seat.left) seat.rider.receive(response, this.coverage(seat, response));
  }

  /**
   * An answer that was made before the watcher joined says nothing about it. It was made after if the store has moved
   * since, or if more answers have come than were asked for before: they come in order, and no request gets two.
   */
  private coverage(seat: Seat, response: WatchResponse): Coverage {
    const revision = response.header?.revision ?? 0n;
    return revision > seat.revision || this.answered > seat.askedBefore ? "covered" : "unclear";
  }

  private cancel(watchId: bigint): void {
    this.send({ requestUnion: { $case: "cancelRequest", value: { watchId } } });
  }
}

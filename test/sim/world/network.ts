/**
 * The wires between the members: each direction has its own delay, loss and bandwidth and can be cut. Gives every member
 * the `Peers` that the replica asks for.
 */
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { Code, WireError } from "../../../proto/status.js";
import { decodeFrame, encodeFrame } from "../../../src/server/peer/codec.js";
import type { MemberId, Message } from "../../../src/server/raft/types.js";
import type { OutgoingSnapshot, PeerAddress, PeerListener, Peers } from "../../../src/server/replica/peers.js";
import { contentOf } from "../disk/virtual-fs.js";
import type { SimProcess } from "./process.js";
import type { RandomStream } from "./random.js";
import type { World } from "./world.js";

/** How one direction of a link behaves. Times in milliseconds, probabilities in [0, 1]. */
export interface LinkWeather {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** Bytes a millisecond; 0 for no limit. */
  readonly bandwidth: number;
}

export const fairWeather: LinkWeather = {
  latencyMs: 0.5,
  jitterMs: 1,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  bandwidth: 0,
};

interface Link {
  weather: LinkWeather;
  cut: boolean;
  /** Messages that meet a cut link arrive after it is mended, instead of being lost. */
  holds: boolean;
  held: (() => void)[];
  lastArrivalMs: number;
  /** Since when both ends are up and both directions are open. */
  openSinceMs: number;
  lastRefusedMs: number;
}

/** What the network knows of a member: where its messages go while it runs. */
export interface Endpoint {
  readonly id: MemberId;
  process: SimProcess | undefined;
  listener: PeerListener | undefined;
  /** Whether this member knows that another one was removed. */
  knowsRemoved: (id: MemberId) => boolean;
  /** Who has called this process, and said where it is. */
  readonly callers: Set<MemberId>;
  /** The machine is there, so a connection is refused and not swallowed. */
  hostUp: boolean;
}

/** Who knows the cluster as a whole. */
export interface NetworkWatcher {
  /** Whether the committed log has this member as part of the cluster. */
  isMember(id: MemberId): boolean;
  /** A vote leaves its member. */
  voted(id: MemberId, term: number, candidate: MemberId): void;
}

const chunkBytes = 16 * 1024;
const refusedEveryMs = 250;
const handshakeEveryMs = 500;

function unavailable(why: string): WireError {
  return new WireError({ code: Code.UNAVAILABLE, message: `simulated network: ${why}` });
}

export class Network {
  readonly world: World;
  private readonly random: RandomStream;
  private readonly endpoints = new Map<MemberId, Endpoint>();
  private readonly links = new Map<MemberId, Map<MemberId, Link>>();
  private readonly watcher: NetworkWatcher;
  private readonly framed: boolean;

  /** `framed`: whether messages travel in production's encoding. */
  constructor(world: World, watcher: NetworkWatcher, { framed }: { readonly framed: boolean }) {
    this.world = world;
    this.framed = framed;
    this.watcher = watcher;
    this.world.after(handshakeEveryMs, () => this.shakeHands());
    this.random = world.random("network");
  }

  endpoint(id: MemberId): Endpoint {
    let endpoint = this.endpoints.get(id);
    if (endpoint === undefined) {
      const nobody = { process: undefined, listener: undefined, knowsRemoved: () => false };
      endpoint = { id, ...nobody, callers: new Set(), hostUp: true };
      this.endpoints.set(id, endpoint);
    }
    return endpoint;
  }

  /** The member runs (again). */
  attach(id: MemberId, parts: Pick<Endpoint, "process" | "listener" | "knowsRemoved">): void {
    Object.assign(this.endpoint(id), parts);
    this.touch(id);
  }

  /** The member's process is gone; its peers notice at once if the host is still there. */
  detach(id: MemberId): void {
    const endpoint = this.endpoint(id);
    endpoint.process = undefined;
    endpoint.listener = undefined;
    endpoint.callers.clear();
    for (const other of this.endpoints.values()) other.callers.delete(id);
    this.touch(id);
    if (!endpoint.hostUp) return;
    for (const other of this.endpoints.values()) if (other.id !== id) this.tellRefused(other, id);
  }

  setWeather(from: MemberId, to: MemberId, weather: LinkWeather): void {
    this.link(from, to).weather = weather;
  }

  cut(from: MemberId, to: MemberId, holds = false): void {
    const link = this.link(from, to);
    link.cut = true;
    link.holds = holds;
  }

  mend(from: MemberId, to: MemberId): void {
    const link = this.link(from, to);
    if (!link.cut) return;
    link.cut = false;
    link.openSinceMs = this.world.nowMs;
    const { held } = link;
    link.held = [];
    for (const arrive of held) this.world.after(this.random.fraction() * 20, arrive);
  }

  mendAll(): void {
    for (const [from, links] of this.links) {
      for (const to of links.keys()) {
        this.mend(from, to);
        this.setWeather(from, to, fairWeather);
      }
    }
  }

  isOpen(from: MemberId, to: MemberId): boolean {
    return !this.link(from, to).cut && !this.link(to, from).cut;
  }

  /** What a member that joins is told of the others. */
  addressesFor(id: MemberId): readonly PeerAddress[] {
    const others = [...this.endpoints.keys()].filter((other) => other !== id && this.watcher.isMember(other));
    return others.map((other) => ({ id: other, peerUrls: [] }));
  }

  peersOf(id: MemberId, process: SimProcess): Peers {
    const endpoint = this.endpoint(id);
    let known = new Set<MemberId>();
    // As the transport, which sends nothing to whom it has no address of.
    const isReachable = ({ to }: Message): boolean => known.has(to) || endpoint.callers.has(to);
    return {
      send: (messages) => this.send(endpoint, messages.every(isReachable) ? messages : messages.filter(isReachable)),
      setMembers: (others) => {
        known = new Set(others.map((other) => other.id));
      },
      sendSnapshot: (to, snapshot) => this.sendSnapshot({ from: id, process, to }, snapshot),
      ask: (to, question, { timeoutMs }) => this.ask({ from: id, process, to }, question, timeoutMs),
      connectedSinceMs: (to) => this.connectedSinceMs(id, to, process),
    };
  }

  private link(from: MemberId, to: MemberId): Link {
    let links = this.links.get(from);
    if (links === undefined) this.links.set(from, (links = new Map<MemberId, Link>()));
    let link = links.get(to);
    if (link === undefined) {
      const state = {
        cut: false,
        holds: false,
        held: [],
        lastArrivalMs: 0,
        openSinceMs: this.world.nowMs,
        lastRefusedMs: -1e9,
      };
      link = { weather: fairWeather, ...state };
      links.set(to, link);
    }
    return link;
  }

  private touch(id: MemberId): void {
    for (const other of this.endpoints.keys()) {
      if (other === id) continue;
      this.link(id, other).openSinceMs = this.world.nowMs;
      this.link(other, id).openSinceMs = this.world.nowMs;
    }
  }

  private connectedSinceMs(from: MemberId, to: MemberId, process: SimProcess): number | undefined {
    const target = this.endpoint(to);
    if (target.process === undefined || !this.isOpen(from, to)) return undefined;
    const sinceMs = Math.max(this.link(from, to).openSinceMs, this.link(to, from).openSinceMs);
    return process.clock.monotonicMs() - (this.world.nowMs - sinceMs);
  }

  private send(from: Endpoint, messages: readonly Message[]): void {
    const first = messages[0];
    if (first === undefined) return;
    if (messages.every(({ to }) => to === first.to)) this.sendTo(from, first.to, messages);
    else {
      const targets = [...new Set(messages.map(({ to }) => to))];
      for (const to of targets)
        this.sendTo(
          from,
          to,
          messages.filter((message) => message.to === to),
        );
    }
  }

  private sendTo(from: Endpoint, to: MemberId, messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.kind === "voteReply" && message.granted) this.watcher.voted(from.id, message.term, to);
    }
    const link = this.link(from.id, to);
    const { weather } = link;
    if (link.cut) {
      if (link.holds) link.held.push(() => this.arrive(from, to, messages));
      else this.tellUnsent(from, messages);
      return;
    }
    const passing = weather.loss > 0 ? messages.filter(() => !this.random.chance(weather.loss)) : messages;
    if (passing.length === 0) return;
    const bytes = weather.bandwidth > 0 ? bytesOf(passing) / weather.bandwidth : 0;
    let atMs = this.world.nowMs + weather.latencyMs + this.random.fraction() * weather.jitterMs + bytes;
    if (weather.reorder === 0 || !this.random.chance(weather.reorder)) {
      atMs = Math.max(atMs, link.lastArrivalMs);
      link.lastArrivalMs = atMs;
    }
    this.world.at(atMs, () => this.arrive(from, to, passing));
    if (weather.duplicate > 0 && this.random.chance(weather.duplicate)) {
      this.world.at(atMs + this.random.around(50), () => this.arrive(from, to, passing));
    }
  }

  private arrive(from: Endpoint, to: MemberId, messages: readonly Message[]): void {
    if (this.link(from.id, to).cut) return;
    const target = this.endpoint(to);
    const { listener, process } = target;
    if (listener === undefined || process === undefined) {
      if (target.hostUp) this.tellRefused(from, to);
      return;
    }
    for (const message of messages) this.world.note(message.kind, message.term, Number(to & 0xffffn));
    // As production does: what the frames do not carry does not arrive here either. It takes a tenth of the time of a world.
    const arrived = this.framed ? decodeFrame(encodeFrame({ to, messages, pingMs: 0 }), from.id).messages : messages;
    process.run(() => {
      if (!target.callers.has(from.id) && !target.knowsRemoved(from.id)) target.callers.add(from.id);
      listener.messages(arrived);
    }, `peer ${from.id}`);
  }

  /** Links are opened again now and then: a member that was removed is told so, even if it has nothing to say. */
  private shakeHands(): void {
    this.world.after(handshakeEveryMs, () => this.shakeHands());
    for (const stranger of this.endpoints.values()) {
      if (stranger.process === undefined || this.watcher.isMember(stranger.id)) continue;
      for (const other of this.endpoints.values()) {
        if (other === stranger || !this.isOpen(stranger.id, other.id)) continue;
        other.process?.run(() => {
          if (other.knowsRemoved(stranger.id)) stranger.process?.after(1, () => stranger.listener?.removed());
        });
      }
    }
  }

  /** As a reconnecting transport would: not for every message. */
  private tellRefused(teller: Endpoint, id: MemberId): void {
    const { listener, process } = teller;
    const link = this.link(teller.id, id);
    if (listener === undefined || process === undefined || !this.isOpen(teller.id, id)) return;
    if (this.world.nowMs - link.lastRefusedMs < refusedEveryMs) return;
    link.lastRefusedMs = this.world.nowMs;
    process.after(1 + this.random.fraction() * 10, () => {
      listener.unreachable(id);
      if (this.endpoint(id).process === undefined) listener.refused(id);
    });
  }

  /** As production does when it has no stream: proposals that never left are given back. */
  private tellUnsent({ listener, process }: Endpoint, messages: readonly Message[]): void {
    const proposals = messages.filter((message) => message.kind === "proposeForward");
    if (proposals.length > 0) process?.after(0, () => listener?.unsent(proposals));
  }

  private ask({ from, process, to }: Hop, question: Question, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let over = false;
      const finish = (work: () => void): void => {
        if (over) return;
        over = true;
        process.run(work);
      };
      this.world.after(timeoutMs, () => finish(() => reject(unavailable("no answer in time"))));
      this.hop(from, to, (target, listener) => {
        if (listener === undefined || target === undefined)
          return finish(() => reject(unavailable("connection refused")));
        target.run(() => {
          void listener.answer(from, question).then((answer) => {
            this.hop(to, from, () => finish(() => resolve(answer)));
          });
        });
      });
    });
  }

  /** Calls back at the other end, unless the wire loses it. */
  private hop(
    from: MemberId,
    to: MemberId,
    arrived: (process: SimProcess | undefined, listener: PeerListener | undefined) => void,
  ): void {
    const link = this.link(from, to);
    if (link.cut || this.random.chance(link.weather.loss)) return;
    this.world.after(link.weather.latencyMs + this.random.fraction() * link.weather.jitterMs, () => {
      if (link.cut) return;
      const { process, listener } = this.endpoint(to);
      arrived(process, listener);
    });
  }

  private async sendSnapshot(route: Hop, snapshot: OutgoingSnapshot): Promise<void> {
    const { from, to } = route;
    const bytes = contentOf(snapshot.path);
    this.world.note("snapshot", snapshot.index, Number(to & 0xffffn));
    const { path: _path, ...head } = snapshot;
    const sink = await this.remote(route, (listener) => listener.receiveSnapshot(head), 5000);
    try {
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        const chunk = Uint8Array.from(bytes.subarray(at, at + chunkBytes));
        await this.remote(route, () => sink.write(chunk), 5000);
      }
      await this.remote(route, () => sink.finish(), 60_000);
    } catch (error) {
      this.hop(from, to, (process) => process?.run(() => sink.abort(error)));
      throw error;
    }
  }

  /** Runs something at the other end and comes back with its result; rejects if it does not come in time. */
  private remote<T>(
    { from, process, to }: Hop,
    work: (listener: PeerListener) => T | Promise<T>,
    timeoutMs: number,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let over = false;
      const finish = (settle: () => void): void => {
        if (over) return;
        over = true;
        process.run(settle);
      };
      this.world.after(timeoutMs, () => finish(() => reject(unavailable("the transfer stalled"))));
      this.hop(from, to, (target, listener) => {
        if (listener === undefined || target === undefined)
          return finish(() => reject(unavailable("connection refused")));
        target.run(() => {
          const back = (settle: () => void): void => this.hop(to, from, () => finish(settle));
          new Promise<T>((done) => done(work(listener))).then(
            (result) => back(() => resolve(result)),
            (error: unknown) => back(() => reject(error)),
          );
        });
      });
    });
  }
}

interface Hop {
  readonly from: MemberId;
  readonly process: SimProcess;
  readonly to: MemberId;
}

function bytesOf(messages: readonly Message[]): number {
  let bytes = 0;
  for (const message of messages) {
    bytes += 64;
    if (message.kind === "append") for (const { data } of message.entries) bytes += data.length;
    else if (message.kind === "proposeForward") bytes += message.data.length;
  }
  return bytes;
}

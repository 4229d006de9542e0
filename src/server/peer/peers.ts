/** The room's face: listens for other members, and keeps a link to each. */

import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { invariant } from "../invariant.js";
import type { MemberId, Message } from "../raft/types.js";
import type { OutgoingSnapshot, PeerAddress, PeerListener } from "../replica/peers.js";
import { Complaints } from "../tls/complaints.js";
import { defaultDialer } from "../tls/open.js";
import { AddressBook } from "./address-book.js";
import { peerUnreachable } from "./ask.js";
import { PeerHost } from "./host.js";
import { Link, type LinkSurroundings } from "./link.js";
import { openPorts, type PeerPorts } from "./port.js";
import { SnapshotSendError } from "./snapshot-send.js";
import type { PeerOptions, PeerRoom } from "./types.js";

const frameBytesMaxDefault = 64 * 1024 * 1024;
/** Pings in an election timeout, so that a lost one does not make a link look dead. */
const pingsPerElection = 4;

/** Listens at once; links come with `setMembers`. Rejects with PeerUrlError or the system's error. */
export async function startPeers(options: PeerOptions): Promise<PeerRoom> {
  const room = new Room(options);
  await room.listen();
  return room;
}

class Room implements PeerRoom {
  private readonly options: PeerOptions;
  private readonly around: LinkSurroundings;
  private readonly host: PeerHost;
  private readonly book = new AddressBook();
  private readonly links = new Map<MemberId, Link>();
  private readonly closing = new Set<Promise<void>>();
  private readonly pingMs: number;
  private ports: PeerPorts | undefined;
  private listener: PeerListener | undefined;
  private lastPingMs: number;
  private cancelPing: () => void = () => undefined;
  private isClosed = false;

  constructor(options: PeerOptions) {
    const { clusterId, memberId, isRemoved, ownUrls, clock, random, electionMs, observer } = options;
    this.options = options;
    this.listener = options.listener;
    this.pingMs = electionMs / pingsPerElection;
    this.lastPingMs = clock.monotonicMs();
    const gate = { clusterId, memberId, isRemoved };
    const logger = options.logger.in("peer");
    const listener = (): PeerListener | undefined => (this.isClosed ? undefined : this.listener);
    const dialer = options.tls?.dialer ?? defaultDialer(logger);
    const unsent = (messages: readonly Message[]): void => this.reportUnsent(messages);
    this.around = { gate, ownUrls, clock, random, logger, electionMs, dialer, observer, listener, unsent };
    this.host = new PeerHost({
      gate,
      clock,
      logger,
      observer,
      listener,
      frameBytesMax: options.frameBytesMax ?? frameBytesMaxDefault,
      isMember: (id) => this.book.isMember(id),
      onStream: (from, peerUrls) => this.called(from, peerUrls),
      onNoStream: (from) => {
        if (this.book.hungUp(from)) this.relink();
      },
      onFrame: (from, nowMs) => this.links.get(from)?.frameCame(nowMs),
    });
  }

  get urls(): readonly string[] {
    return this.ports?.urls ?? [];
  }

  async listen(): Promise<void> {
    const { listenUrls, tls, logger } = this.options;
    this.ports = await openPorts(listenUrls, {
      admission: tls?.admission,
      complaints: new Complaints(logger.in("peer")),
      onConnection: (socket) => this.host.serve(socket),
    });
    this.schedulePing();
  }

  attach(listener: PeerListener): void {
    this.listener = listener;
  }

  send(messages: readonly Message[]): void {
    const touched = new Set<Link>();
    const unsent: Message[] = [];
    for (const message of messages) {
      const { memberId } = this.options;
      invariant(message.from === memberId, "a message of another member is to be sent", {
        from: message.from,
        memberId,
      });
      const link = this.links.get(message.to);
      if (link?.push(message) !== "queued") unsent.push(message);
      if (link !== undefined) touched.add(link);
    }
    for (const link of touched) link.flush();
    this.reportUnsent(unsent);
  }

  setMembers(others: readonly PeerAddress[]): void {
    if (this.isClosed) return;
    this.book.setMembers(others);
    this.relink();
    this.host.review();
  }

  async sendSnapshot(to: MemberId, snapshot: OutgoingSnapshot): Promise<void> {
    const link = this.links.get(to);
    if (link === undefined) throw new SnapshotSendError("there is no link to this member");
    await link.sendSnapshot(snapshot);
  }

  async ask(to: MemberId, question: Question, { timeoutMs }: { readonly timeoutMs: number }): Promise<Answer> {
    const link = this.links.get(to);
    if (link === undefined) throw peerUnreachable();
    return await link.ask(question, timeoutMs);
  }

  connectedSinceMs(id: MemberId): number | undefined {
    return this.links.get(id)?.connectedSinceMs(this.options.clock.monotonicMs());
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.cancelPing();
    for (const link of this.links.values()) this.retire(link);
    this.links.clear();
    this.host.close();
    await Promise.all([this.ports?.close(), ...this.closing]);
  }

  /** A link that stands is left alone, whatever the caller says. */
  private called(from: MemberId, peerUrls: readonly string[]): void {
    const isReached = this.links.get(from)?.isUp ?? false;
    if (!isReached && from !== this.options.memberId && this.book.called(from, peerUrls)) this.relink();
    this.links.get(from)?.nudge();
  }

  private relink(): void {
    if (this.isClosed) return;
    const wanted = new Map(this.book.addresses().map((address) => [address.id, address]));
    for (const [id, link] of this.links) {
      const address = wanted.get(id);
      if (address === undefined) {
        this.links.delete(id);
        this.retire(link);
      } else if (!sameUrls(address, link)) link.moveTo(address.peerUrls);
    }
    for (const [id, address] of wanted) {
      if (id !== this.options.memberId && !this.links.has(id)) this.links.set(id, new Link(address, this.around));
    }
  }

  private retire(link: Link): void {
    const closed = link.close();
    this.closing.add(closed);
    void closed.then(() => this.closing.delete(closed));
  }

  /** Proposals only: Raft repairs the loss of all else. Later than now, because the caller is in the middle of its turn. */
  private reportUnsent(messages: readonly Message[]): void {
    const proposals = messages.filter((message) => message.kind === "proposeForward");
    if (proposals.length === 0) return;
    queueMicrotask(() => {
      if (!this.isClosed) this.listener?.unsent(proposals);
    });
  }

  private schedulePing(): void {
    this.cancelPing = this.options.clock.after(this.pingMs, () => {
      const nowMs = this.options.clock.monotonicMs();
      // The receipts may lie in the system's buffers, unread because this process stood still.
      const stoodStill = nowMs - this.lastPingMs > this.pingMs * 2;
      this.lastPingMs = nowMs;
      for (const link of this.links.values()) {
        if (stoodStill) link.forgive(nowMs);
        link.ping(nowMs);
      }
      this.schedulePing();
    });
  }
}

function sameUrls(address: PeerAddress, link: Link): boolean {
  return JSON.stringify(address.peerUrls) === JSON.stringify(link.peerUrls);
}

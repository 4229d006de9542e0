/** All that goes to one other member: messages in two lanes, questions, and a snapshot at a time. */

import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import type { MemberId, Message } from "../raft/types.js";
import type { OutgoingSnapshot, PeerAddress, PeerListener } from "../replica/peers.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Random } from "../runtime/random.js";
import type { TlsDialer } from "../tls/dialer.js";
import { type PeerEndpoint, PeerUrlError, parsePeerUrl } from "./address.js";
import { askOnce, peerUnreachable } from "./ask.js";
import { openConnection } from "./connection.js";
import { type Gate, helloHeaders, type LaneName, type Refusal } from "./handshake.js";
import { Lane, type LaneEvents } from "./lane.js";
import { Pulse } from "./pulse.js";
import { SnapshotSendError, sendSnapshotFile } from "./snapshot-send.js";
import type { PeerObserver } from "./types.js";

/** What all links of a member share. */
export interface LinkSurroundings {
  readonly gate: Gate;
  /** Where this member can be called. */
  readonly ownUrls: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly electionMs: number;
  readonly dialer: TlsDialer;
  readonly observer: PeerObserver | undefined;
  /** Undefined until somebody listens. */
  readonly listener: () => PeerListener | undefined;
  /** Told about messages that have surely not left. */
  readonly unsent: (messages: readonly Message[]) => void;
}

/** Heartbeats, votes, reads and answers are small; a full lane of them is a peer that takes nothing. */
const urgentLimits = { messagesMax: 4_096, bytesMax: 1024 * 1024 };
/** Bytes are what counts here: one turn may forward thousands of small proposals. */
const bulkLimits = { messagesMax: 65_536, bytesMax: 16 * 1024 * 1024 };
/** Behind a full window a slow link needs its time, and must not be cut for it: 1 MiB/s passes 16 MiB in this. */
const bulkSilenceMs = 20_000;
const connectTimeoutMs = 1_000;
/** Drops are reported once in so many parts of an election timeout: about a heartbeat. */
const reportsPerElection = 10;

export class Link {
  readonly id: MemberId;
  private urls: readonly string[];
  private readonly around: LinkSurroundings;
  private endpoints: readonly PeerEndpoint[];
  private readonly urgent: Lane;
  private readonly bulk: Lane;
  private readonly standing = new Map<LaneName, number>();
  /** Receipts of what this member sends, and frames that the other sends. */
  private readonly heard: Readonly<Record<"receipts" | "frames", Pulse>>;
  private readonly end = new AbortController();
  private sending: Promise<void> | undefined;
  private lastReportMs = -Infinity;
  private lastComplaint: string | undefined;

  constructor(address: PeerAddress, around: LinkSurroundings) {
    this.id = address.id;
    this.urls = address.peerUrls;
    this.around = around;
    this.endpoints = address.peerUrls.flatMap((url) => this.endpointOf(url));
    this.heard = { receipts: new Pulse(around.electionMs), frames: new Pulse(around.electionMs) };
    this.urgent = this.openLane("urgent");
    this.bulk = this.openLane("bulk");
  }

  get peerUrls(): readonly string[] {
    return this.urls;
  }

  /** The member has moved. What stands is kept until it breaks: it leads to the right member, which has said who it is. */
  moveTo(peerUrls: readonly string[]): void {
    this.urls = peerUrls;
    this.endpoints = peerUrls.flatMap((url) => this.endpointOf(url));
    this.nudge();
  }

  push(message: Message): "queued" | "dropped" {
    const lane = message.kind === "append" || message.kind === "proposeForward" ? this.bulk : this.urgent;
    const outcome = lane.push(message);
    if (outcome === "dropped") this.reportDrop();
    return outcome;
  }

  flush(): void {
    this.urgent.flush();
    this.bulk.flush();
  }

  ping(nowMs: number): void {
    this.urgent.ping(nowMs);
    this.bulk.ping(nowMs);
  }

  forgive(nowMs: number): void {
    this.urgent.forgive(nowMs);
    this.bulk.forgive(nowMs);
  }

  /** A frame of this member has come. */
  frameCame(nowMs: number): void {
    this.heard.frames.beat(nowMs);
  }

  /** The member has opened a stream to this one, so it is there. */
  nudge(): void {
    this.urgent.nudge();
    this.bulk.nudge();
  }

  /** Both lanes stand. */
  get isUp(): boolean {
    return this.standing.size === 2;
  }

  connectedSinceMs(nowMs: number): number | undefined {
    if (!this.isUp) return undefined;
    const receiptsMs = this.heard.receipts.sinceMs(nowMs);
    const framesMs = this.heard.frames.sinceMs(nowMs);
    if (receiptsMs === undefined || framesMs === undefined) return undefined;
    return Math.max(receiptsMs, framesMs, ...this.standing.values());
  }

  ask(question: Question, timeoutMs: number): Promise<Answer> {
    const { connection } = this.urgent;
    if (connection === undefined) return Promise.reject(peerUnreachable());
    return askOnce(question, { connection, headers: this.headers(), clock: this.around.clock, timeoutMs });
  }

  async sendSnapshot(snapshot: OutgoingSnapshot): Promise<void> {
    if (this.sending !== undefined) throw new SnapshotSendError("another snapshot is on its way to this member");
    this.sending = this.transfer(snapshot);
    try {
      await this.sending;
    } catch (error) {
      this.around.observer?.sendFailed(this.id);
      throw error;
    } finally {
      this.sending = undefined;
    }
  }

  async close(): Promise<void> {
    this.end.abort();
    const snapshot = this.sending?.catch(() => undefined);
    await Promise.all([this.urgent.close(), this.bulk.close(), snapshot]);
  }

  /** Over a connection of its own, so that messages do not wait behind it. */
  private async transfer(snapshot: OutgoingSnapshot): Promise<void> {
    const endpoint = this.standingEndpoint();
    if (endpoint === undefined) throw new SnapshotSendError("the member cannot be reached");
    await sendSnapshotFile(snapshot, {
      connection: openConnection(endpoint, this.around.dialer),
      headers: this.headers(),
      signal: this.end.signal,
      clock: this.around.clock,
      openTimeoutMs: connectTimeoutMs * 5,
      onSent: (bytes) => this.around.observer?.sent(this.id, bytes),
    });
  }

  /** Where the messages go now. */
  private standingEndpoint(): PeerEndpoint | undefined {
    return this.bulk.endpoint ?? this.urgent.endpoint;
  }

  /** A URL that cannot be dialled is the business of whoever chose it: it must not stop this member. */
  private endpointOf(url: string): readonly PeerEndpoint[] {
    try {
      return [parsePeerUrl(url)];
    } catch (error) {
      if (!(error instanceof PeerUrlError)) throw error;
      this.complain(error.message);
    }
    return [];
  }

  private headers() {
    const { gate, ownUrls } = this.around;
    return helloHeaders({ clusterId: gate.clusterId, from: gate.memberId, to: this.id, peerUrls: ownUrls() });
  }

  private openLane(name: LaneName): Lane {
    const { clock, random, dialer, electionMs } = this.around;
    return new Lane({
      to: this.id,
      endpoints: () => this.endpoints,
      headers: () => this.headers(),
      dialer,
      limits: name === "urgent" ? urgentLimits : bulkLimits,
      silenceMsMax: name === "urgent" ? electionMs * 2 : Math.max(bulkSilenceMs, electionMs * 2),
      connectTimeoutMs,
      clock,
      random,
      events: this.laneEvents(name),
    });
  }

  private laneEvents(name: LaneName): LaneEvents {
    const { clock, logger, observer } = this.around;
    const isUrgent = name === "urgent";
    return {
      up: () => {
        this.standing.set(name, clock.monotonicMs());
        if (!isUrgent) return;
        this.lastComplaint = undefined;
        logger.info("the link to a member stands", { member: this.id, urls: this.peerUrls });
        observer?.linked(this.id, "up");
      },
      down: ({ reason }, unsent) => {
        this.standing.delete(name);
        this.reportDrop();
        this.around.unsent(unsent);
        if (!isUrgent) return;
        this.heard.receipts.stop();
        // What is silent in one lane is silent in the other, which has more patience.
        this.bulk.cut(reason);
        if (!this.end.signal.aborted) logger.warn("the link to a member broke", { member: this.id, reason });
        observer?.linked(this.id, "down");
      },
      failed: (reason) => this.complain(isUrgent ? reason : undefined),
      refused: () => {
        if (isUrgent) this.around.listener()?.refused(this.id);
      },
      turnedAway: (refusal) => this.turnedAway(isUrgent ? refusal : undefined),
      sent: (bytes) => observer?.sent(this.id, bytes),
      receipt: (roundTripMs) => {
        if (!isUrgent) return;
        this.heard.receipts.beat(clock.monotonicMs());
        observer?.roundTrip(this.id, roundTripMs / 1000);
      },
    };
  }

  private turnedAway(refusal: Refusal | undefined): void {
    if (refusal === undefined) return;
    this.complain(refusal.reason);
    if (refusal.kind === "removed") this.around.listener()?.removed();
  }

  /** Says the same thing once, and not at every attempt. */
  private complain(reason: string | undefined): void {
    if (reason === undefined || reason === this.lastComplaint) return;
    this.lastComplaint = reason;
    this.around.logger.warn("no link to a member", { member: this.id, urls: this.peerUrls, reason });
  }

  /** Later than now, because the caller is in the middle of its turn. */
  private reportDrop(): void {
    const { clock, electionMs, listener, observer } = this.around;
    observer?.sendFailed(this.id);
    const nowMs = clock.monotonicMs();
    if (this.end.signal.aborted || nowMs - this.lastReportMs < electionMs / reportsPerElection) return;
    this.lastReportMs = nowMs;
    queueMicrotask(() => {
      if (!this.end.signal.aborted) listener()?.unreachable(this.id);
    });
  }
}

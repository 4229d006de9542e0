/**
 * What this room offers and what it needs: messages, snapshots and questions between members. `replica/` declares the
 * same shapes for itself, because neither room imports the other; the composition root plugs them together.
 */

import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import type { MemberId, Message } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Random } from "../runtime/random.js";

/** What a member can do with the others; nobody waits in `send`. */
export interface Peers {
  /** May lose and reorder messages, and says so where it can (`PeerListener.unreachable`). All are from this member. */
  send(messages: readonly Message[]): void;
  /** Keeps links to exactly these members; called with all others whenever the membership or a URL changes. */
  setMembers(others: readonly PeerAddress[]): void;
  /** Resolves when the peer has the whole file, verified; rejects if it could not be sent or was not wanted. */
  sendSnapshot(to: MemberId, snapshot: OutgoingSnapshot): Promise<void>;
  /**
   * Asks once. Rejects with WireError Unavailable if there is no link to this peer now, if the question may not have
   * been heard, or after `timeoutMs`.
   */
  ask(to: MemberId, question: Question, options: { readonly timeoutMs: number }): Promise<Answer>;
  /** Monotonic milliseconds since which messages to and from this peer pass; undefined while they do not. */
  connectedSinceMs(id: MemberId): number | undefined;
}

export interface PeerAddress {
  readonly id: MemberId;
  readonly peerUrls: readonly string[];
}

/** Identifies a snapshot on its way: the sender's term, and the index and term of the last entry that the state holds. */
export interface SnapshotHead {
  readonly from: MemberId;
  readonly senderTerm: number;
  readonly index: number;
  readonly term: number;
  readonly sizeBytes: number;
}

export interface OutgoingSnapshot extends SnapshotHead {
  readonly path: string;
}

/** What the other members bring. */
export interface PeerListener {
  messages(messages: readonly Message[]): void;
  /** Messages to this peer were dropped. Comes later than the call that dropped them, and not for every one. */
  unreachable(id: MemberId): void;
  /** The peer's host answers and refuses connections: its process is gone (spec/raft-storage.md 1.5). */
  refused(id: MemberId): void;
  /** A peer says that this member was removed from the cluster. May come more than once. */
  removed(): void;
  /** A snapshot arrives. Throws if it is not wanted; the sender is told why. */
  receiveSnapshot(head: SnapshotHead): SnapshotSink;
  /** Never rejects: a failure is an answer. `from` is undefined for a stranger, who may only ask for the cluster view. */
  answer(from: MemberId | undefined, question: Question): Promise<Answer>;
}

/** Takes the bytes of one snapshot, in order. */
export interface SnapshotSink {
  /** Resolves when more may come. The chunk may be a view into a larger buffer. */
  write(chunk: Uint8Array): Promise<void>;
  /** All bytes have come, and their number and SHA-256 are right. Resolves when the snapshot is installed or refused. */
  finish(): Promise<void>;
  abort(reason: unknown): void;
}

/** Keys and certificates, as PEM. */
export interface PeerTls {
  readonly server: {
    readonly cert: Uint8Array;
    readonly key: Uint8Array;
    /** If given, only members with a certificate that these roots vouch for may connect. */
    readonly trustedCa?: Uint8Array;
  };
  readonly client: PeerClientTls;
}

export interface PeerClientTls {
  /** Roots that vouch for the other members; the system's if undefined. */
  readonly ca?: Uint8Array;
  /** What this member shows to the others; both or none. */
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
}

/** Sees what passes, for metrics. Called on the hot path: counts and returns. */
export interface PeerObserver {
  sent(to: MemberId, bytes: number): void;
  received(from: MemberId, bytes: number): void;
  /** Messages or a snapshot to this peer were dropped. */
  sendFailed(to: MemberId): void;
  /** From a ping to its receipt. */
  roundTrip(to: MemberId, seconds: number): void;
  /** The links of this member to that peer stand, or stand no more. */
  linked(to: MemberId, state: "up" | "down"): void;
}

export interface PeerOptions {
  readonly clusterId: bigint;
  readonly memberId: MemberId;
  /** `http`, `https`, `unix` and `unixs`. Port 0 lets the system choose. */
  readonly listenUrls: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Election timeout: links that are silent for so long do not count as connected, and for twice as long are cut. */
  readonly electionMs: number;
  /** Whether this member has been removed from the cluster, as far as is known here. */
  readonly isRemoved: (id: MemberId) => boolean;
  /** May be given later (`PeerRoom.attach`). */
  readonly listener?: PeerListener;
  /** Needed for https and unixs. */
  readonly tls?: PeerTls;
  readonly observer?: PeerObserver;
  /** Longest frame that is taken; an entry has to fit. 64 MiB by default. */
  readonly frameBytesMax?: number;
}

export interface PeerRoom extends Peers {
  /** What is listened on, with the ports that were chosen where 0 was asked for. */
  readonly urls: readonly string[];
  /** From now on the listener hears what comes. Until then messages are dropped, snapshots and questions refused. */
  attach(listener: PeerListener): void;
  /** Cuts all links and stops listening. */
  close(): Promise<void>;
}

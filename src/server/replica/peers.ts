/**
 * What the replica needs of the other members and what they bring: the seam between it and whoever carries messages. `peer/`
 * fulfils it over the network, the simulator in its own world.
 */

import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import type { MemberId, Message } from "../raft/types.js";

/** What a member can do with the others; nobody waits in `send`. */
export interface Peers {
  /**
   * May lose, repeat and reorder messages, and says so where it can (`PeerListener.unreachable` and `unsent`). All are from
   * this member.
   */
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

/** A proposal on its way to the leader. */
export type ForwardedProposal = Extract<Message, { kind: "proposeForward" }>;

/** What the other members bring. */
export interface PeerListener {
  messages(messages: readonly Message[]): void;
  /** Messages to this peer were dropped. Comes later than the call that dropped them, and not for every one. */
  unreachable(id: MemberId): void;
  /** These have surely not left this member, and are given up. Comes later than the call that gave them. */
  unsent(proposals: readonly ForwardedProposal[]): void;
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

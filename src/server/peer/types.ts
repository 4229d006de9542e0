/** What this room is built from and what it offers beside the seam that the replica declares (replica/peers.ts). */

import type { MemberId } from "../raft/types.js";
import type { PeerListener, Peers } from "../replica/peers.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { Random } from "../runtime/random.js";
import type { Admission } from "../tls/acceptor.js";
import type { TlsDialer } from "../tls/dialer.js";

/** Whom this member lets in over TLS, and how it calls others with it. */
export interface PeerTls {
  /** Needed to listen on https and unixs. */
  readonly admission: Admission | undefined;
  readonly dialer: TlsDialer;
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
  /** Where the others can call this member: it tells whomever it calls, who may not have heard yet. */
  readonly ownUrls: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Election timeout: links that are silent for so long do not count as connected, and for twice as long are cut. */
  readonly electionMs: number;
  /** Whether this member has been removed from the cluster, as far as is known here. */
  readonly isRemoved: (id: MemberId) => boolean;
  /** May be given later (`PeerRoom.attach`). */
  readonly listener?: PeerListener;
  /** Undefined: TLS is not listened for, and others are called with it by Node's list of roots. */
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

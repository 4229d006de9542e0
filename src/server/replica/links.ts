/**
 * Tells the transport whom to keep links to, whenever that changes. A member that is removed keeps its links for a while: it
 * is told of its removal over them, and a leader that leaves has to hear that the others know.
 */
import type { MemberId } from "../raft/types.js";
import type { Clock } from "../runtime/clock.js";
import type { StateReader } from "../state/types.js";
import type { PeerAddress, Peers } from "./peers.js";

const partingMs = 5000;

export interface PeerLinksOptions {
  readonly memberId: MemberId;
  readonly state: Pick<StateReader, "members" | "isRemoved">;
  readonly peers: Pick<Peers, "setMembers">;
  readonly firstPeers: readonly PeerAddress[];
  readonly clock: Pick<Clock, "monotonicMs">;
}

interface Parting extends PeerAddress {
  readonly untilMs: number;
}

export class PeerLinks {
  private readonly options: PeerLinksOptions;
  private others: readonly PeerAddress[] = [];
  private parting: readonly Parting[] = [];

  constructor(options: PeerLinksOptions) {
    this.options = options;
  }

  /** Called at the start, and after every applied change of the membership. */
  update(): void {
    const { memberId, state, firstPeers, clock } = this.options;
    const members = state.members();
    const before = this.others;
    // A member that joins knows nobody until its first snapshot, and has to answer whoever sends it.
    this.others = members.length === 0 ? firstPeers : members.filter(({ id }) => id !== memberId);
    const untilMs = clock.monotonicMs() + partingMs;
    const gone = before.filter(({ id }) => state.isRemoved(id)).map((address) => ({ ...address, untilMs }));
    this.parting = [...this.parting, ...gone];
    this.tell();
  }

  /** Once a tick: time is up for members that were removed. */
  tick(nowMs: number): void {
    const left = this.parting.filter(({ untilMs }) => untilMs > nowMs);
    if (left.length === this.parting.length) return;
    this.parting = left;
    this.tell();
  }

  /** Whether this member was removed, and so long ago that nobody should talk to it any more. */
  hasParted(id: MemberId): boolean {
    return this.options.state.isRemoved(id) && !this.parting.some((member) => member.id === id);
  }

  private tell(): void {
    const addresses = [...this.others, ...this.parting].map(({ id, peerUrls }) => ({ id, peerUrls }));
    this.options.peers.setMembers(addresses);
  }
}

/** Tells the transport whom to keep links to, whenever that changes. */
import type { MemberId } from "../raft/types.js";
import type { StateReader } from "../state/types.js";
import type { PeerAddress, Peers } from "./types.js";

export interface PeerLinksOptions {
  readonly memberId: MemberId;
  readonly state: Pick<StateReader, "members">;
  readonly peers: Pick<Peers, "setMembers">;
  readonly firstPeers: readonly PeerAddress[];
}

export class PeerLinks {
  private readonly options: PeerLinksOptions;

  constructor(options: PeerLinksOptions) {
    this.options = options;
  }

  /** Called at the start, and after every applied change of the membership. */
  update(): void {
    const { memberId, state, peers, firstPeers } = this.options;
    const members = state.members();
    // A member that joins knows nobody until its first snapshot, and has to answer whoever sends it.
    if (members.length === 0) peers.setMembers(firstPeers);
    else peers.setMembers(members.filter(({ id }) => id !== memberId).map(({ id, peerUrls }) => ({ id, peerUrls })));
  }
}

/**
 * Where the other members are: as the replica has it, and as they say themselves when they call. A member that was away while
 * another joined or moved knows no address of it, and could not even answer it when it leads.
 */
import type { MemberId } from "../raft/types.js";
import type { PeerAddress } from "../replica/peers.js";

/** Callers come under any id they like, as long as nobody asks for certificates. */
const strangersMax = 16;

export class AddressBook {
  private members: ReadonlyMap<MemberId, PeerAddress> = new Map();
  private readonly callers = new Map<MemberId, readonly string[]>();

  setMembers(members: readonly PeerAddress[]): void {
    this.members = new Map(members.map((address) => [address.id, address]));
  }

  isMember(id: MemberId): boolean {
    return this.members.has(id);
  }

  /** Somebody calls and says where it is. Returns whether that is news. */
  called(id: MemberId, peerUrls: readonly string[]): boolean {
    const known = [...(this.members.get(id)?.peerUrls ?? []), ...(this.callers.get(id) ?? [])];
    if (peerUrls.every((url) => known.includes(url))) return false;
    if (!this.isMember(id) && this.strangers().length >= strangersMax) return false;
    this.callers.set(id, peerUrls);
    return true;
  }

  /** It calls no more, so what it said does not count any longer. Returns whether nobody else knows where it is. */
  hungUp(id: MemberId): boolean {
    return this.callers.delete(id) && !this.isMember(id);
  }

  /** All that can be reached, with every URL that is known of each. */
  addresses(): readonly PeerAddress[] {
    return [...this.members.keys(), ...this.strangers()].map((id) => ({
      id,
      peerUrls: [...new Set([...(this.members.get(id)?.peerUrls ?? []), ...(this.callers.get(id) ?? [])])],
    }));
  }

  private strangers(): readonly MemberId[] {
    return [...this.callers.keys()].filter((id) => !this.members.has(id));
  }
}

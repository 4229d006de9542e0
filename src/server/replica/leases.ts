/**
 * The lease clock as the api rooms use it: renewals, remaining times, new ids. Built on the expiry heap.
 */
import { status, WireError } from "../../../proto/status.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/logger.js";
import type { CommandBody, LeaseChange, StateReader } from "../state/types.js";
import { ActiveClock } from "./active-clock.js";
import { LeaseExpiry } from "./lease-expiry.js";
import type { LeaseClock } from "./types.js";

export interface ReplicaLeasesOptions {
  readonly memberId: bigint;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly state: StateReader;
  readonly propose: (body: CommandBody) => Promise<unknown>;
  readonly linearizableRead: () => Promise<void>;
  readonly term: () => number;
}

const idCounterBits = 8n;
const idTimeBits = 40n;
const idMemberShift = idCounterBits + idTimeBits;

export class ReplicaLeases implements LeaseClock {
  readonly ttlSecondsMin: number;
  private readonly options: ReplicaLeasesOptions;
  private readonly active: ActiveClock;
  private readonly expiry: LeaseExpiry;
  private idCounter = 0n;

  constructor(options: ReplicaLeasesOptions) {
    this.options = options;
    const electionTicks = Math.floor(options.electionMs / options.heartbeatMs);
    this.ttlSecondsMin = Math.ceil((Math.floor((3 * electionTicks) / 2) * options.heartbeatMs) / 1000);
    this.active = new ActiveClock(options.clock, { tickMs: options.heartbeatMs });
    this.expiry = new LeaseExpiry({
      revoke: (id) => this.revokeExpired(id),
      nowMs: () => this.active.nowMs(),
      extendMs: options.electionMs,
    });
  }

  async renew(id: bigint): Promise<number> {
    const renewed = await this.expiry.renew(id);
    if (renewed !== undefined) return renewed;
    // The grant may be committed but not applied yet: look again once everything acknowledged is here (spec 5.4).
    await this.options.linearizableRead();
    if (!this.expiry.primary) throw new WireError(status.NotPrimaryLessor);
    return (await this.expiry.renew(id)) ?? 0;
  }

  remainingSeconds(id: bigint): number | undefined {
    return this.expiry.remainingSeconds(id);
  }

  ordered(): readonly bigint[] {
    return this.expiry.ordered();
  }

  /** Positive int63: low 16 bits of the member id, low 40 bits of the time in ms, an 8-bit counter (spec 5.1). */
  nextId(): bigint {
    this.idCounter = (this.idCounter + 1n) & ((1n << idCounterBits) - 1n);
    const member = (this.options.memberId & 0xffffn) << idMemberShift;
    const time = (BigInt(this.options.clock.wallMs()) & ((1n << idTimeBits) - 1n)) << idCounterBits;
    const id = (member | time | this.idCounter) & ((1n << 63n) - 1n);
    return id === 0n || this.options.state.lease(id) !== undefined ? this.nextId() : id;
  }

  follow(changes: readonly LeaseChange[]): void {
    this.expiry.follow(changes);
  }

  promote(): void {
    this.expiry.promote(this.options.state.leases());
  }

  demote(): void {
    this.expiry.demote();
  }

  /** Once a Raft tick. */
  tick(): void {
    this.active.tick();
  }

  scan(): void {
    this.expiry.scan();
  }

  /** Ends every blocked renewal; nothing expires any more. */
  stop(): void {
    this.expiry.demote();
  }

  private async revokeExpired(id: bigint): Promise<void> {
    const onlyInTerm = BigInt(this.options.term());
    try {
      await this.options.propose({ $case: "leaseRevoke", value: { id, onlyInTerm } });
    } catch (error) {
      this.options.logger.warn("failed to revoke an expired lease", { "lease-id": id, error });
      throw error;
    }
  }
}

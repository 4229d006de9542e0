/**
 * Who leads, as far as the client knows. Advice only: a call never fails for a wrong or missing hint. Learned from
 * Status, voided by any header of a higher term. Source: spec/sdk.md 1.7.
 */
import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import type { Endpoint } from "../connection/endpoints.js";

export interface LeaderHint {
  readonly memberId: bigint;
  readonly term: bigint;
}

export class LeaderTracker {
  private known: LeaderHint | undefined;
  /** A leader whose connection broke: others may believe in it for an election timeout more. */
  private lost: LeaderHint | undefined;
  private termMax = 0n;
  private asking: Promise<void> | undefined;

  get leader(): bigint | undefined {
    return this.known?.memberId;
  }

  /** Every reply's header names the member behind the endpoint and the term it lives in. */
  observe(endpoint: Endpoint, header: ResponseHeader | undefined): void {
    if (header === undefined) return;
    if (header.memberId !== 0n) endpoint.memberId = header.memberId;
    this.seeTerm(header.raftTerm);
  }

  /** True while a leader was lost and no successor is known. */
  get awaitsSuccessor(): boolean {
    return this.lost !== undefined;
  }

  /** What a member's Status reply says of the leader; 0n is no leader. A lost one has to speak for itself. */
  learn(hint: LeaderHint, saidBy: bigint): void {
    this.seeTerm(hint.term);
    if (hint.memberId === 0n || hint.term < this.termMax) return;
    const { lost } = this;
    const stale = lost?.memberId === hint.memberId && lost.term === hint.term && saidBy !== hint.memberId;
    if (stale) return;
    this.known = hint;
    this.lost = undefined;
  }

  /** The member behind a connection that broke. */
  lose(memberId: bigint | undefined): void {
    if (this.known === undefined || this.known.memberId !== memberId) return;
    this.lost = this.known;
    this.known = undefined;
  }

  /** Whoever was lost or known is no longer of interest. */
  forget(): void {
    this.known = undefined;
    this.lost = undefined;
  }

  /** Asks once for all who wait; `ask` reports what it finds through `learn` and does not reject. */
  refresh(ask: () => Promise<void>): Promise<void> {
    this.asking ??= ask().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  private seeTerm(term: bigint): void {
    if (term <= this.termMax) return;
    this.termMax = term;
    if (this.known !== undefined && this.known.term < term) this.known = undefined;
  }
}

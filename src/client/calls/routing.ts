/**
 * Who leads, as far as the client knows. Advice only: a call never fails for a wrong or missing hint. Learned from
 * Status and from headers that say it, voided by any header of a higher term. Source: spec/sdk.md 1.7.
 */
import type { ResponseHeader } from "../../../proto/gen/etcd/rpc.js";
import type { Endpoint } from "../connection/endpoint.js";
import { publishLeader } from "../observe/channels.js";

export interface LeaderHint {
  readonly memberId: bigint;
  readonly term: bigint;
}

/** Told of every change: another leader, or none that is known. */
export type LeaderListener = (change: { readonly memberId: bigint | undefined; readonly term: bigint }) => void;

export class LeaderTracker {
  private known: LeaderHint | undefined;
  /** A leader whose connection broke: others may believe in it for an election timeout more. */
  private lost: LeaderHint | undefined;
  private termMax = 0n;
  private asking: Promise<void> | undefined;
  private readonly listener: LeaderListener | undefined;

  constructor(listener?: LeaderListener) {
    this.listener = listener;
  }

  get leader(): bigint | undefined {
    return this.known?.memberId;
  }

  /** The highest term seen. */
  get term(): bigint {
    return this.termMax;
  }

  /** Every reply's header names the member behind the endpoint, the term it lives in, and perhaps the leader. */
  observe(endpoint: Endpoint, header: ResponseHeader | undefined): void {
    if (header === undefined) return;
    const { memberId, raftTerm, leaderId } = header;
    if (memberId !== endpoint.memberId) endpoint.identify(memberId);
    if (raftTerm > this.termMax) this.seeTerm(raftTerm);
    if (leaderId !== undefined && leaderId !== 0n) this.learn({ memberId: leaderId, term: raftTerm }, memberId);
  }

  /** True while a leader was lost and no successor is known. */
  get awaitsSuccessor(): boolean {
    return this.lost !== undefined;
  }

  /** What a member's reply says of the leader; 0n is no leader. A lost one has to speak for itself. */
  learn(hint: LeaderHint, saidBy: bigint): void {
    this.seeTerm(hint.term);
    if (hint.memberId === 0n || hint.term < this.termMax) return;
    const { lost } = this;
    const stale = lost?.memberId === hint.memberId && lost.term === hint.term && saidBy !== hint.memberId;
    if (stale) return;
    this.lost = undefined;
    this.set(hint);
  }

  /** The member behind a connection that broke. */
  lose(memberId: bigint | undefined): void {
    if (this.known === undefined || this.known.memberId !== memberId) return;
    this.lost = this.known;
    this.set(undefined);
  }

  /** Whoever was lost or known is no longer of interest. */
  forget(): void {
    this.lost = undefined;
    this.set(undefined);
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
    if (this.known !== undefined && this.known.term < term) this.set(undefined);
  }

  private set(hint: LeaderHint | undefined): void {
    const changed = this.known?.memberId !== hint?.memberId;
    this.known = hint;
    if (!changed) return;
    const change = { memberId: hint?.memberId, term: this.termMax };
    publishLeader(change);
    this.listener?.(change);
  }
}

/**
 * Who leads, as far as the client knows. Advice only: a call never fails for a wrong or missing hint. Learned from
 * Status, voided by any header of a higher term. Source: spec/sdk.md 1.7.
 */
import type { ResponseHeader } from "../../proto/gen/etcd/rpc.js";
import type { Endpoint } from "./endpoints.js";

export interface LeaderHint {
  readonly memberId: bigint;
  readonly term: bigint;
}

export class LeaderTracker {
  private known: LeaderHint | undefined;
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

  /** What a Status reply says of the leader; 0n is no leader. */
  learn(hint: LeaderHint): void {
    this.seeTerm(hint.term);
    if (hint.memberId !== 0n && hint.term >= this.termMax) this.known = hint;
  }

  forget(): void {
    this.known = undefined;
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

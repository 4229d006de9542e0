/** What one turn has produced so far: messages that may leave, answers that wait for the disk, reads, rejections. */
import type { ConfirmedRead, MemberId, Message, Rejected, RejectReason } from "./types.js";

export class Outbox {
  #send: Message[] = [];
  #promises: Message[] = [];
  /** The first so many promises rest on the snapshot that is to be installed, the others on what was appended after it. */
  #installPromiseCount = 0;
  #reads: ConfirmedRead[] = [];
  #rejected: Rejected[] = [];
  #needSnapshot: MemberId[] = [];

  /** Leaves at any time. */
  send(message: Message): void {
    this.#send.push(message);
  }

  /**
   * Leaves once everything written so far is durable: append replies, votes and pre-votes, rejections included
   * (spec 1.1). A vote for oneself is such a promise too, addressed to oneself.
   */
  promise(message: Message): void {
    this.#promises.push(message);
  }

  confirm(requestId: number, index: number): void {
    this.#reads.push({ requestId, index });
  }

  reject(requestId: number, reason: RejectReason): void {
    this.#rejected.push({ requestId, reason });
  }

  needSnapshot(peer: MemberId): void {
    this.#needSnapshot.push(peer);
  }

  /** Whatever was promised so far waits for the installation of a snapshot, and what comes later for a later write. */
  closeInstall(): void {
    this.#installPromiseCount = this.#promises.length;
  }

  /** The term moved on: what was promised in an older one helps nobody. */
  dropPromises(): void {
    this.#promises = [];
    this.#installPromiseCount = 0;
  }

  get hasPromises(): boolean {
    return this.#promises.length > 0;
  }

  takeSend(): readonly Message[] {
    const send = this.#send;
    if (send.length > 0) this.#send = [];
    return send.length > 0 ? send : none;
  }

  takePromises(): readonly Message[] {
    const promises = this.#promises;
    if (promises.length > 0) this.#promises = [];
    return promises.length > 0 ? promises : none;
  }

  /** The promises that leave with the installation of a snapshot. */
  takeInstallPromises(): readonly Message[] {
    const promises = this.#promises.splice(0, this.#installPromiseCount);
    this.#installPromiseCount = 0;
    return promises;
  }

  takeReads(): readonly ConfirmedRead[] {
    const reads = this.#reads;
    if (reads.length > 0) this.#reads = [];
    return reads.length > 0 ? reads : none;
  }

  takeRejected(): readonly Rejected[] {
    const rejected = this.#rejected;
    if (rejected.length > 0) this.#rejected = [];
    return rejected.length > 0 ? rejected : none;
  }

  takeNeedSnapshot(): readonly MemberId[] {
    const needSnapshot = this.#needSnapshot;
    if (needSnapshot.length > 0) this.#needSnapshot = [];
    return needSnapshot.length > 0 ? needSnapshot : none;
  }
}

const none: readonly never[] = [];

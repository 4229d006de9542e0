/** Complaints about strangers, for the log: each at first, and then only so many that nobody can flood it. */

import type { Logger } from "../runtime/logger.js";

const windowMs = 10_000;
const linesPerWindowMax = 10;

/**
 * In each window a host is named once for each reason, and so many lines are written in all; the next line says how
 * many were left out.
 */
export class Complaints {
  private readonly logger: Logger;
  private readonly nowMs: () => number;
  private windowBeganMs = Number.NEGATIVE_INFINITY;
  private readonly said = new Set<string>();
  private unsaid = 0;

  constructor(logger: Logger, nowMs: () => number = () => performance.now()) {
    this.logger = logger;
    this.nowMs = nowMs;
  }

  /** `remote` is `address:port`. */
  say(message: string, remote: string, error: string): void {
    const nowMs = this.nowMs();
    if (nowMs - this.windowBeganMs >= windowMs) {
      this.windowBeganMs = nowMs;
      this.said.clear();
    }
    const complaint = `${remote.replace(/:\d+$/, "")} ${error}`;
    if (this.said.has(complaint) || this.said.size >= linesPerWindowMax) {
      this.unsaid += 1;
      return;
    }
    this.said.add(complaint);
    const fields = { "remote-addr": remote, error };
    this.logger.warn(message, this.unsaid === 0 ? fields : { ...fields, "lines-left-out-before": this.unsaid });
    this.unsaid = 0;
  }

  /** What is no cause for concern: a port that was looked at and left. */
  mention(message: string, remote: string, error: string): void {
    this.logger.debug(message, { "remote-addr": remote, error });
  }
}

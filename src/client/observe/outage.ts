/** How long a watch was without a server: what is published when it goes on. */
import { publishWatchResume } from "./channels.js";

export class Outage {
  private sinceMs: number | undefined;

  begin(): void {
    this.sinceMs ??= performance.now();
  }

  /** The watch goes on from `revision`. Nothing is published if it was not away. */
  end(revision: bigint): void {
    if (this.sinceMs === undefined) return;
    publishWatchResume({ revision, disconnectedMs: performance.now() - this.sinceMs });
    this.sinceMs = undefined;
  }
}

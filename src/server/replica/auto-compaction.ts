/**
 * Automatic compaction by the leader: keep so much time (periodic) or so many revisions.
 * Spec: server.md 3.6. The clock here is monotonic time that the owner passes in.
 */

export type AutoCompactionRule =
  | { readonly kind: "off" }
  | { readonly kind: "periodic"; readonly retentionMs: number }
  | { readonly kind: "revision"; readonly retentionRevisions: number };

const hourMs = 3_600_000;
const revisionIntervalMs = 5 * 60_000;
const samplesPerInterval = 10;

/** Says which revision to compact to, if any, each time it is asked. */
export interface AutoCompaction {
  due(nowMs: number, revision: number): number | undefined;
}

export function createAutoCompaction(rule: AutoCompactionRule, startedMs: number): AutoCompaction {
  switch (rule.kind) {
    case "off":
      return { due: () => undefined };
    case "periodic":
      return new PeriodicCompaction(rule.retentionMs, startedMs);
    case "revision":
      return new RevisionCompaction(rule.retentionRevisions, startedMs);
  }
}

/** Samples the revision ten times an interval and compacts to the sample that is one retention old. */
class PeriodicCompaction implements AutoCompaction {
  private readonly retentionMs: number;
  private readonly intervalMs: number;
  private readonly sampleMs: number;
  private samples: { readonly atMs: number; readonly revision: number }[] = [];
  private lastSampleMs: number;
  private lastRunMs: number;
  private lastRevision = -1;

  constructor(retentionMs: number, startedMs: number) {
    this.retentionMs = retentionMs;
    this.intervalMs = Math.min(retentionMs, hourMs);
    this.sampleMs = this.intervalMs / samplesPerInterval;
    this.lastSampleMs = startedMs;
    this.lastRunMs = startedMs + retentionMs - this.intervalMs;
  }

  due(nowMs: number, revision: number): number | undefined {
    if (nowMs - this.lastSampleMs < this.sampleMs) return undefined;
    this.lastSampleMs = nowMs;
    this.samples.push({ atMs: nowMs, revision });
    const oldEnough = this.samples.findLast((sample) => nowMs - sample.atMs >= this.retentionMs - this.sampleMs);
    if (oldEnough === undefined || nowMs - this.lastRunMs < this.intervalMs) return undefined;
    this.samples = this.samples.filter((sample) => sample.atMs >= oldEnough.atMs);
    this.lastRunMs = nowMs;
    if (oldEnough.revision === this.lastRevision) return undefined;
    this.lastRevision = oldEnough.revision;
    return oldEnough.revision;
  }
}

class RevisionCompaction implements AutoCompaction {
  private readonly retentionRevisions: number;
  private lastRunMs: number;
  private lastRevision = 0;

  constructor(retentionRevisions: number, startedMs: number) {
    this.retentionRevisions = retentionRevisions;
    this.lastRunMs = startedMs;
  }

  due(nowMs: number, revision: number): number | undefined {
    if (nowMs - this.lastRunMs < revisionIntervalMs) return undefined;
    this.lastRunMs = nowMs;
    const target = revision - this.retentionRevisions;
    if (target <= 0 || target === this.lastRevision) return undefined;
    this.lastRevision = target;
    return target;
  }
}

/**
 * The version that all members of a cluster understand: the leader asks every member for its own and writes the lowest into
 * the log. Source: spec/server.md 13.4 (etcd: monitorVersions).
 */
import type { Peers } from "./replica/peers.js";
import type { Replica } from "./replica/types.js";
import type { Clock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";

export interface ClusterVersionOptions {
  readonly replica: Replica;
  readonly peers: Pick<Peers, "ask">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This server's, x.y.z. */
  readonly serverVersion: string;
  /** Called when the cluster's version is another than before. */
  readonly onVersion: (version: string) => void;
}

const reviewIntervalMs = 4000;
/** As long as there is no version, a new cluster waits for it. */
const firstReviewIntervalMs = 10;
const askTimeoutMs = 1000;

export class ClusterVersion {
  private readonly options: ClusterVersionOptions;
  private readonly ended = new AbortController();
  private shown: string | undefined;
  private readonly waiting: (() => void)[] = [];
  private cancel: () => void = () => undefined;

  constructor(options: ClusterVersionOptions) {
    this.options = options;
  }

  /** Reviews the version now and from then on, until {@link stop}. */
  start(): void {
    void this.review().then(() => {
      if (this.ended.signal.aborted) return;
      const decided = this.options.replica.state.clusterVersion() !== undefined;
      this.cancel = this.options.clock.after(decided ? reviewIntervalMs : firstReviewIntervalMs, () => this.start());
    });
  }

  /** Resolves when the cluster has a version, or after `timeoutMs`: it is no reason not to serve. */
  known(timeoutMs: number): Promise<void> {
    if (this.shown !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.options.clock.after(timeoutMs, resolve);
      this.waiting.push(cancel, resolve);
    });
  }

  stop(): void {
    this.cancel();
    this.ended.abort();
  }

  /** Never rejects: what fails is tried again at the next review. */
  private async review(): Promise<void> {
    const { replica, logger } = this.options;
    try {
      const { leader, memberId } = replica.status();
      if (leader === memberId) await this.decide();
    } catch (error) {
      if (!this.ended.signal.aborted) logger.warn("failed to update the cluster's version", { error });
    }
    if (!this.ended.signal.aborted) this.show();
  }

  private async decide(): Promise<void> {
    const { replica, logger } = this.options;
    const versions = await this.versions();
    const current = replica.state.clusterVersion();
    const next = nextVersion(current, { versions, downgradeTarget: replica.state.downgradeTarget() });
    if (next === undefined) return;
    // A member that was deposed while it asked must not overwrite what its successor decided (spec/raft-storage.md 1.7).
    const body = { $case: "clusterVersionSet", value: { version: next } } as const;
    await replica.proposeAsLeader(body, { signal: this.ended.signal });
    logger.info("set the cluster's version", { from: current ?? "", to: next });
  }

  /** Of all members; undefined for one that does not answer. */
  private async versions(): Promise<readonly (string | undefined)[]> {
    const { replica, peers, serverVersion } = this.options;
    const { memberId } = replica.status();
    return Promise.all(
      replica.state.members().map(async ({ id }) => {
        if (id === memberId) return serverVersion;
        const question = { kind: { $case: "clusterView", value: {} } } as const;
        const answer = await peers.ask(id, question, { timeoutMs: askTimeoutMs }).catch(() => undefined);
        return answer?.kind?.$case === "clusterView" ? answer.kind.value.serverVersion : undefined;
      }),
    );
  }

  private show(): void {
    const version = this.options.replica.state.clusterVersion();
    if (version === undefined || version === this.shown) return;
    this.shown = version;
    this.options.onVersion(version);
    for (const done of this.waiting.splice(0)) done();
  }
}

export interface VersionFacts {
  /** x.y.z of each member; undefined where it is not known. */
  readonly versions: readonly (string | undefined)[];
  readonly downgradeTarget: string | undefined;
}

/**
 * What the cluster's version has to become, as x.y.0; undefined if it stays. A new cluster takes the lowest version that is
 * known. Later it only rises, and only when all are known; it falls to the target of a downgrade that all have reached.
 */
export function nextVersion(
  current: string | undefined,
  { versions, downgradeTarget }: VersionFacts,
): string | undefined {
  const known = versions.flatMap((version) => (version === undefined ? [] : [minorOf(version)]));
  const lowest = known.toSorted(compareMinors)[0];
  if (lowest === undefined) return undefined;
  const next = `${lowest.major}.${lowest.minor}.0`;
  if (current === undefined) return next;
  if (known.length < versions.length) return undefined;
  const direction = compareMinors(lowest, minorOf(current));
  if (direction > 0 && downgradeTarget === undefined) return next;
  return direction < 0 && next === downgradeTarget ? next : undefined;
}

interface Minor {
  readonly major: number;
  readonly minor: number;
}

function minorOf(version: string): Minor {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return { major, minor };
}

function compareMinors(a: Minor, b: Minor): number {
  return a.major - b.major || a.minor - b.minor;
}

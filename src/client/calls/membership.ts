/** Which members the client talks to: the first introduction, and endpoints taken from the cluster's own member list. */
import { Code } from "../../../proto/status.js";
import type { Endpoint } from "../connection/endpoint.js";
import { EtcdError, isEtcdError } from "../errors.js";
import type { CallOptions } from "../options.js";
import type { Calls } from "./call.js";
import { clusterMethods, maintenanceMethods } from "./methods.js";

/** What one endpoint said of the member behind it. */
export interface EndpointInfo {
  readonly endpoint: string;
  /** Undefined if it did not answer. */
  readonly memberId: bigint | undefined;
  /** As `major.minor.patch`; undefined if it did not answer. */
  readonly version: string | undefined;
  readonly learner: boolean;
  /** Why it did not answer, or may not be used. */
  readonly failure?: Error;
}

/** The cluster as the client has found it. */
export interface ClusterInfo {
  readonly clusterId: bigint;
  readonly revision: bigint;
  readonly raftTerm: bigint;
  /** The member that leads; undefined if none is known. */
  readonly leader: bigint | undefined;
  readonly endpoints: readonly EndpointInfo[];
}

export class Membership {
  private readonly calls: Calls;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();

  /** Begins to sync if the client's settings say so. */
  constructor(calls: Calls) {
    this.calls = calls;
    const { syncIntervalMs } = calls.wiring.settings;
    if (syncIntervalMs === undefined) return;
    this.timer = setInterval(() => this.syncQuietly(), syncIntervalMs);
    // It is no reason for a process to live on.
    this.timer.unref();
  }

  /** Resolves when a member of the cluster has answered. Rejects as a call does. */
  async ready(options: CallOptions = {}): Promise<ClusterInfo> {
    const { wiring } = this.calls;
    const { header } = await this.calls.unary(maintenanceMethods.status, {}, options);
    const answers = await wiring.survey.askAll();
    const endpoints = answers.map(({ endpoint, status, failure }): EndpointInfo => {
      const { name } = endpoint;
      const reason = wiring.endpoints.reasonAgainst(endpoint) ?? failure;
      const memberId = status?.header?.memberId;
      const about = { endpoint: name, memberId, version: status?.version, learner: status?.isLearner ?? false };
      return reason instanceof Error ? { ...about, failure: reason } : about;
    });
    return {
      clusterId: wiring.endpoints.clusterId ?? header?.clusterId ?? 0n,
      revision: header?.revision ?? 0n,
      raftTerm: wiring.leader.term,
      leader: wiring.leader.leader,
      endpoints,
    };
  }

  /**
   * Replaces the endpoints by the client URLs of all started voting members. Rejects, and changes nothing, if none of
   * those URLs can be reached, or all lead to another cluster.
   */
  async sync(options: CallOptions = {}): Promise<void> {
    const { endpoints } = this.calls.wiring;
    const { members } = await this.calls.unary(clusterMethods.memberList, { linearizable: true }, options);
    // A member that has not started has no name and no URLs yet.
    const serving = members.filter(({ isLearner, name }) => !isLearner && name !== "");
    const urls = [...new Set(serving.flatMap(({ clientURLs }) => clientURLs))];
    const current = endpoints.names();
    if (urls.length > 0 && urls.length === current.length && urls.every((url) => current.includes(url))) return;
    const failures = await this.unreachable(urls);
    if (failures.length === urls.length) throw unreachableError(urls, failures);
    if (!this.calls.wiring.closing.aborted) endpoints.replace(urls);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.running;
  }

  /** Why each URL is of no use, for those that are of none. */
  private async unreachable(urls: readonly string[]): Promise<Error[]> {
    const { endpoints, survey } = this.calls.wiring;
    const known = new Map(endpoints.all().map((endpoint) => [endpoint.name, endpoint]));
    const tried = await Promise.all(urls.map((url) => this.tried(known.get(url) ?? endpoints.probe(url), survey)));
    for (const { endpoint } of tried) if (!known.has(endpoint.name)) endpoint.close();
    return tried.flatMap(({ failure }) => (failure === undefined ? [] : [failure]));
  }

  private async tried(
    endpoint: Endpoint,
    survey: { ask(endpoint: Endpoint): Promise<{ readonly status: unknown; readonly failure: unknown }> },
  ): Promise<{ endpoint: Endpoint; failure: Error | undefined }> {
    const { status, failure } = await survey.ask(endpoint);
    const foreign = this.calls.wiring.endpoints.reasonAgainst(endpoint);
    if (foreign !== undefined) return { endpoint, failure: foreign };
    if (status !== undefined || endpoint.verified) return { endpoint, failure: undefined };
    return { endpoint, failure: failure instanceof Error ? failure : new Error(String(failure)) };
  }

  private syncQuietly(): void {
    const { settings, closing } = this.calls.wiring;
    this.running = this.running.then(() =>
      this.sync().catch((cause: unknown) => {
        if (!isEtcdError(cause)) throw cause;
        if (!closing.aborted) settings.log({ level: "warn", message: `sync: ${cause.message}`, cause });
      }),
    );
  }
}

function unreachableError(urls: readonly string[], failures: readonly Error[]): EtcdError {
  const texts = failures.map((failure, index) => `${urls[index]}: ${failure.message}`);
  const what = urls.length === 0 ? "no member says where clients reach it" : "none of the members' URLs can be used";
  return new EtcdError([what, ...texts].join("; "), {
    code: "ConnectFailed",
    grpcStatus: Code.UNAVAILABLE,
    outcome: "not-applied",
    retryable: true,
    ...(failures.length === 0 ? {} : { cause: new AggregateError(failures, what) }),
  });
}

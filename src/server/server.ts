/**
 * The composition root: builds every room in order, plugs the callbacks together, makes the member known, opens the
 * front door, and closes it all in reverse. Wires, never decides.
 */
import { createServices } from "./api/services.js";
import type { ApiLimits } from "./api/types.js";
import { type Authentication, openAuthentication } from "./authentication.js";
import { ClusterVersion } from "./cluster-version.js";
import type { ServerConfig } from "./config/config.js";
import type { DurableMode } from "./durable.js";
import { type FrontDoor, openFrontDoor } from "./front-door.js";
import { type Member, MemberRemoved, openMember } from "./member.js";
import { countCalls, readMetricsFrom, showClusterVersion } from "./member-metrics.js";
import { publish } from "./publish.js";
import type { Logger } from "./runtime/logger.js";
import { createMetrics, type Metrics } from "./runtime/metrics.js";
import { serverVersion } from "./runtime/version.js";
import { openSecurity, type Security } from "./security.js";

export interface StartOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  /** Called once if memory and disk may differ: the process must end (exit code 70), whatever else is under way. */
  readonly onFatal: (error: unknown) => void;
  /** Calls off a start that waits, for other members perhaps: it is undone and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface RunningServer {
  /** Where clients reach this server, with the ports that were chosen where the config said 0. */
  readonly clientUrls: readonly string[];
  readonly metricsUrls: readonly string[];
  /** Resolves when the cluster has removed this member, which then has to be closed. Never rejects. */
  readonly removed: Promise<void>;
  /** Ends cleanly: leadership is handed over, streams are told, calls under way finish, what is acknowledged is on disk. */
  close(): Promise<void>;
}

/**
 * Starts one member and resolves when it serves, which takes a quorum. Rejects if it cannot: bad data directory, bad
 * certificate, port in use, nothing to join, removed from its cluster.
 */
export function startServer(options: StartOptions): Promise<RunningServer> {
  return startServerWith(options, "threads");
}

/** The same, with a choice of where durable work runs. */
export async function startServerWith(options: StartOptions, durable: DurableMode): Promise<RunningServer> {
  const { config, logger, signal = new AbortController().signal } = options;
  const metrics = createMetrics();
  const security = await openSecurity(config, logger);
  const authentication = await openAuthentication(config, logger);
  const { follower } = authentication;
  const member = await openMember({ ...options, metrics, durable, signal, security, follower });
  try {
    signal.throwIfAborted();
    const door = await openDoor({ ...options, security, authentication, metrics }, member);
    const version = clusterVersionOf(options, member, metrics);
    try {
      member.start();
      version.start();
      await publishMember({ ...options, signal }, member, door);
      await version.known(config.electionTimeoutMs);
      door.serve();
      logger.info("ready to serve client requests", { urls: door.clientUrls });
      return running(member, door, version, authentication);
    } catch (error) {
      version.stop();
      await door.close();
      throw error;
    }
  } catch (error) {
    await authentication.close();
    await member.close();
    throw error;
  }
}

interface DoorOptions extends StartOptions {
  readonly security: Security;
  readonly authentication: Authentication;
  readonly metrics: Metrics;
}

function openDoor(options: DoorOptions, member: Member): Promise<FrontDoor> {
  const { config, logger, security, authentication, metrics } = options;
  const services = createServices({
    ...member,
    tokens: authentication.tokens(member.replica),
    passwords: authentication.passwords,
    limits: apiLimits(config),
    logger,
    onCall: countCalls(metrics),
  });
  readMetricsFrom(metrics, member, config);
  return openFrontDoor({ ...options, member, services, admission: security.clients });
}

/** Until the cluster knows this member, clients that come wait in the queue of the port (spec/server.md 13.4). */
async function publishMember(
  { config, logger, signal }: StartOptions & { readonly signal: AbortSignal },
  { replica, removed, clock }: Member,
  door: FrontDoor,
): Promise<void> {
  const stopping = new AbortController();
  void removed.then(() => stopping.abort(new MemberRemoved("removed from the cluster")));
  await publish({
    replica,
    clock,
    logger: logger.in("publish"),
    name: config.name,
    clientUrls: door.advertised(config.advertiseClientUrls),
    signal: AbortSignal.any([signal, stopping.signal]),
  });
}

function clusterVersionOf({ logger }: StartOptions, member: Member, metrics: Metrics): ClusterVersion {
  const onVersion = (version: string): void => showClusterVersion(metrics, version);
  return new ClusterVersion({ ...member, logger: logger.in("cluster-version"), serverVersion, onVersion });
}

function running(
  member: Member,
  door: FrontDoor,
  version: ClusterVersion,
  authentication: Authentication,
): RunningServer {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    version.stop();
    await member.handOver();
    await door.close();
    await authentication.close();
    await member.close();
  };
  return {
    clientUrls: door.clientUrls,
    metricsUrls: door.metricsUrls,
    removed: member.removed,
    close: () => (closing ??= close()),
  };
}

function apiLimits(config: ServerConfig): ApiLimits {
  return {
    requestBytesMax: config.maxRequestBytes,
    txnOpsMax: config.maxTxnOps,
    quotaBackendBytes: config.quotaBackendBytes,
  };
}

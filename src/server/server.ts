/**
 * The composition root: builds every room in order, plugs the callbacks together, makes the member known, opens the
 * front door, and closes it all in reverse. Wires, never decides.
 */
import { createServices } from "./api/services.js";
import type { ApiLimits } from "./api/types.js";
import type { ServerConfig } from "./config/config.js";
import { type FrontDoor, openFrontDoor } from "./front-door.js";
import { type Member, openMember } from "./member.js";
import { countCalls, readMetricsFrom, showClusterVersion } from "./member-metrics.js";
import type { Logger } from "./runtime/logger.js";
import { createMetrics } from "./runtime/metrics.js";
import { clusterVersionAtStart } from "./runtime/version.js";

export interface StartOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  /** Called once if memory and disk may differ: the process must end (exit code 70), whatever else is under way. */
  readonly onFatal: (error: unknown) => void;
}

export interface RunningServer {
  /** Where clients reach this server, with the ports that were chosen where the config said 0. */
  readonly clientUrls: readonly string[];
  readonly metricsUrls: readonly string[];
  /** Ends cleanly: streams are told, calls under way finish, everything acknowledged is on disk. */
  close(): Promise<void>;
}

/** Starts one member and resolves when it serves. Rejects if it cannot: bad data directory, port in use. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { config, logger } = options;
  const metrics = createMetrics();
  const member = openMember({ ...options, metrics });
  try {
    const services = createServices({ ...member, limits: apiLimits(config), logger, onCall: countCalls(metrics) });
    readMetricsFrom(metrics, member, config);
    const door = await openFrontDoor({ ...options, member, services, metrics });
    try {
      member.replica.start();
      showClusterVersion(metrics, await publish(member, config, door));
    } catch (error) {
      await door.close();
      throw error;
    }
    logger.info("ready to serve client requests", { urls: door.clientUrls });
    return running(member, door);
  } catch (error) {
    await member.close();
    throw error;
  }
}

function running(member: Member, door: FrontDoor): RunningServer {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await door.close();
    await member.close();
  };
  return {
    clientUrls: door.clientUrls,
    metricsUrls: door.metricsUrls,
    close: () => (closing ??= close()),
  };
}

/** Makes this member's name and client URLs known through the log. Resolves to the cluster's version, set if it is new. */
async function publish({ replica }: Member, config: ServerConfig, door: FrontDoor): Promise<string> {
  const { memberId } = replica.status();
  await replica.linearizableRead();
  const known = replica.state.members().find(({ id }) => id === memberId);
  const clientUrls = door.advertised(config.advertiseClientUrls);
  if (known?.name !== config.name || known.clientUrls.join() !== clientUrls.join()) {
    const value = { id: memberId, name: config.name, clientUrls: [...clientUrls] };
    await replica.propose({ $case: "memberPublish", value });
  }
  const version = replica.state.clusterVersion();
  if (version !== undefined) return version;
  await replica.propose({ $case: "clusterVersionSet", value: { version: clusterVersionAtStart } });
  return clusterVersionAtStart;
}

function apiLimits(config: ServerConfig): ApiLimits {
  return {
    requestBytesMax: config.maxRequestBytes,
    txnOpsMax: config.maxTxnOps,
    quotaBackendBytes: config.quotaBackendBytes,
  };
}

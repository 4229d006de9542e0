/** What `--dev` asks for: a cluster on this machine, whose names and addresses are not the caller's business. */

import type { FlagName } from "./flag-table.js";
import { ConfigError, type Settings } from "./settings.js";

export interface DevConfig {
  readonly memberCount: number;
  /** Client and peer port of the first member, then of the next; 0 chooses free ports. */
  readonly portBase: number;
  /** Where the data is kept; undefined throws it away at the end. */
  readonly dataDir: string | undefined;
  /** Flags for every member, as they were given. */
  readonly memberFlags: readonly string[];
}

/** Flags that say what `--dev` decides by itself. */
const decidedByDev: readonly FlagName[] = [
  "name",
  "wal-dir",
  "listen-peer-urls",
  "listen-client-urls",
  "listen-client-http-urls",
  "listen-metrics-urls",
  "initial-advertise-peer-urls",
  "initial-cluster",
  "initial-cluster-state",
  "advertise-client-urls",
  "discovery-endpoints",
  "discovery-srv",
  "force-new-cluster",
  "config-file",
];

const ownFlags: readonly string[] = ["dev", "dev-port", "data-dir"] satisfies readonly FlagName[];

/** Undefined without `--dev`. Throws ConfigError if another flag says what `--dev` decides. */
export function devConfig(settings: Settings): DevConfig | undefined {
  const values = settings.values();
  if (values.dev === undefined) {
    if (settings.isSet("dev-port")) throw new ConfigError("--dev-port goes with --dev");
    return undefined;
  }
  const decided = decidedByDev.find((flag) => settings.isSet(flag));
  if (decided !== undefined)
    throw new ConfigError(`--dev chooses names and addresses itself: --${decided} does not go with it`);
  const passedOn = settings.commandWords().filter(({ name }) => !ownFlags.includes(name));
  return {
    memberCount: values.dev,
    portBase: values["dev-port"],
    dataDir: settings.isSet("data-dir") && values["data-dir"] !== "" ? values["data-dir"] : undefined,
    memberFlags: [
      ...(settings.isSet("log-level") ? [] : ["--log-level=error"]),
      // What is thrown away at the end need not survive a power cut.
      ...(settings.isSet("unsafe-no-fsync") || settings.isSet("data-dir") ? [] : ["--unsafe-no-fsync"]),
      ...passedOn.map(({ name, value }) => `--${name}=${value}`),
    ],
  };
}

/** The environment for the members: without what `--dev` takes for itself. */
export function memberEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const own = ownFlags.map((flag) => `ETCD_${flag.toUpperCase().replaceAll("-", "_")}`);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !own.includes(name)));
}

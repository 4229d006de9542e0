/** The names that `--feature-gates` takes, and which of them change something here. Source: spec/server.md 13.2. */

import { BadValue } from "./bad-value.js";
import type { Flag } from "./flag.js";

export type FeatureGates = ReadonlyMap<string, boolean>;

/** Gate -> the switch of etcd 3.5 that stood for it, if there was one. */
const gates: ReadonlyMap<string, string | undefined> = new Map([
  ["CompactHashCheck", "experimental-compact-hash-check-enabled"],
  ["FastLeaseKeepAlive", undefined],
  ["InitialCorruptCheck", "experimental-initial-corrupt-check"],
  ["LeaseCheckpoint", "experimental-enable-lease-checkpoint"],
  ["LeaseCheckpointPersist", "experimental-enable-lease-checkpoint-persist"],
  ["PriorityRequest", undefined],
  ["SetMemberLocalAddr", "experimental-set-member-localaddr"],
  ["StopGRPCServiceOnDefrag", "experimental-stop-grpc-service-on-defrag"],
  ["TxnModeWriteWithSharedBuffer", "experimental-txn-mode-write-with-shared-buffer"],
]);

/** Gates that are obeyed. What is left of a lease is always kept on disk here, which is what the second asks for. */
const obeyed: ReadonlySet<string> = new Set(["LeaseCheckpoint", "LeaseCheckpointPersist"]);

/** Gates among these that change nothing yet. */
export function gatesWithoutEffect(given: FeatureGates): readonly string[] {
  return [...given.keys()].filter((gate) => !obeyed.has(gate));
}

/** The gate that a switch of etcd 3.5 stands for. */
export function gateOfExperimentalSwitch(name: string): string | undefined {
  return [...gates].find(([, oldName]) => oldName === name)?.[0];
}

/** `Gate=true,Gate=false`; only gates that were named are kept. */
export function featureGates(meaning: string): Flag<FeatureGates> {
  return { argument: "gates", defaultText: "", effect: "now", meaning, parse: parseGates, fromFile: gatesOfFile };
}

function gatesOfFile(value: unknown): FeatureGates {
  if (typeof value === "string") return parseGates(value);
  throw new BadValue('must be text such as "Gate=true"');
}

function parseGates(text: string): FeatureGates {
  return new Map(text === "" ? [] : text.split(",").map((word) => parseGate(word.trim())));
}

function parseGate(word: string): [string, boolean] {
  const [, name = "", value] = /^([^=]*)=(true|false)$/i.exec(word) ?? [];
  if (value === undefined) throw new BadValue(`holds ${JSON.stringify(word)}, which is not Gate=true or Gate=false`);
  if (!gates.has(name)) throw new BadValue(`names a gate that does not exist: ${name}`);
  return [name, value.toLowerCase() === "true"];
}

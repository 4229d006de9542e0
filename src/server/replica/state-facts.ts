/** What a state file says of itself: which cluster it belongs to, how far it has applied, and who is a member. */
import { existsSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { membershipOf } from "../state/members.js";
import type { StateReader } from "../state/types.js";
import { StorageFailure, StorageRefused } from "../storage/failure.js";
import { StateStore } from "../storage/state-store.js";
import type { StateFacts } from "./workers.js";

/** The facts of a state that is open. `sizeBytes` is that of its file. */
export function factsOf(
  reader: Pick<StateReader, "appliedIndex" | "appliedTerm" | "revision" | "membership">,
  clusterId: bigint,
  sizeBytes: number,
): StateFacts {
  return {
    clusterId,
    appliedIndex: reader.appliedIndex(),
    appliedTerm: reader.appliedTerm(),
    revision: reader.revision(),
    membership: reader.membership(),
    sizeBytes,
  };
}

/** Reads and checks a file that came from elsewhere; undefined if it is damaged, missing or not a state file of this version. */
export function inspectStateFile(path: string): StateFacts | undefined {
  if (!existsSync(path) || statSync(path).size === 0) return undefined;
  try {
    return inspectDatabase(path);
  } catch (error) {
    const unusable = error instanceof StorageRefused || (error instanceof StorageFailure && error.reason === "corrupt");
    if (unusable) return undefined;
    throw error;
  }
}

function inspectDatabase(path: string): StateFacts | undefined {
  const store = new StateStore({ dir: dirname(path), file: basename(path), mode: "existing" });
  try {
    const facts = store.read(() => {
      const { meta, members } = store.tables;
      return {
        clusterId: meta.clusterId(),
        appliedIndex: meta.number("applied_index") ?? 0,
        appliedTerm: meta.number("applied_term") ?? 0,
        revision: meta.number("revision") ?? 1,
        membership: membershipOf(members.all()),
        sizeBytes: statSync(path).size,
      };
    });
    return facts.clusterId === undefined ? undefined : { ...facts, clusterId: facts.clusterId };
  } finally {
    store.close();
  }
}

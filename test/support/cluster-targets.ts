/** The programs that a cluster of processes can be made of: ours and a real etcd, chosen as the conformance suite's targets. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";
import { etcdIn, litecd, type Program } from "./member.js";
import { realEtcdDirectory } from "./real-etcd.js";

export interface ClusterTarget {
  readonly name: "process" | "etcd";
  readonly program: Program;
  /** Whether this is a real etcd of the 3.5 series, which differs from our level (3.7) here and there. */
  readonly isEtcd35: boolean;
  /** Flags that make no difference but in speed. */
  readonly flags: readonly string[];
}

const builtServer = fileURLToPath(new URL("../../dist/server/main.js", import.meta.url));
const flags = ["--unsafe-no-fsync"];

/** Ours as a process; `unavailable` says why it cannot run here. */
const ours: ClusterTarget & Availability = {
  name: "process",
  program: litecd,
  isEtcd35: false,
  flags,
  unavailable: existsSync(builtServer) ? undefined : "dist is not built: run npm run build",
};

const theirs: ClusterTarget & Availability = {
  name: "etcd",
  program: etcdIn(realEtcdDirectory ?? ""),
  isEtcd35: true,
  flags,
  unavailable: realEtcdDirectory === undefined ? "LITECD_TEST_ETCD names no directory with a real etcd" : undefined,
};

interface Availability {
  readonly unavailable: string | undefined;
}

/**
 * Runs `define` for each target that the environment chooses (LITECD_CONFORMANCE_TARGETS, both by default). Says of one that
 * cannot run here why not, and fails for it in CI.
 */
export function onClusterTargets(area: string, define: (target: ClusterTarget) => void): void {
  const wanted = (process.env["LITECD_CONFORMANCE_TARGETS"] || "process,etcd").split(",").map((name) => name.trim());
  for (const target of [ours, theirs].filter(({ name }) => wanted.includes(name))) {
    describe(`${area} [${target.name}]`, () => {
      if (target.unavailable === undefined) define(target);
      else reportUnavailable(target.unavailable);
    });
  }
}

/** The same for tests of our server alone. */
export function onOurCluster(area: string, define: (target: ClusterTarget) => void): void {
  describe(area, () => {
    if (ours.unavailable === undefined) define(ours);
    else reportUnavailable(ours.unavailable);
  });
}

function reportUnavailable(reason: string): void {
  if (process.env["CI"] !== "true") {
    it.skip(`skipped: ${reason}`, () => undefined);
    return;
  }
  it("has its target", () => {
    throw new Error(reason);
  });
}

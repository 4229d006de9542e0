/** What `--dev` asks for, and what does not go with it. */
import { describe, expect, it } from "vitest";
import { type DevConfig, memberEnvironment } from "../../../src/server/config/dev.js";
import { configOf, errorOf, parse } from "./parse.js";

function devOf(line: string, env: Readonly<Record<string, string>> = {}): DevConfig {
  const parsed = parse(line, { env });
  if (parsed.kind !== "dev") throw new Error(`no development cluster but ${JSON.stringify(parsed)}`);
  return parsed.dev;
}

const thrownAway = ["--log-level=error", "--unsafe-no-fsync"];

describe("--dev", () => {
  it.each([
    ["--dev", 1],
    ["--dev 3", 3],
    ["--dev=5", 5],
    ["-dev 3 --max-txn-ops 7", 3],
    ["--max-txn-ops 7 --dev", 1],
    ["--dev --max-txn-ops 7", 1],
  ])("%s is a cluster of %i", (line, memberCount) => {
    const memberFlags = [...thrownAway, ...(line.includes("txn") ? ["--max-txn-ops=7"] : [])];
    expect(devOf(line)).toEqual({ memberCount, portBase: 0, dataDir: undefined, memberFlags });
  });

  it("keeps the data where it is told, and then waits for the disk", () => {
    expect(devOf("--dev 3 --data-dir d --dev-port 4000 --log-level=info")).toEqual({
      memberCount: 3,
      portBase: 4000,
      dataDir: "d",
      memberFlags: ["--log-level=info"],
    });
    expect(devOf("--dev", { ETCD_DATA_DIR: "d" }).dataDir).toBe("d");
  });

  it.each([
    ["--dev 0", "2 --dev=0: must be a whole number from 1 to 9"],
    ["--dev=x", "2 --dev=x: must be a whole number from 1 to 9"],
    ["--dev three", `1 "three" is not a flag, and nothing else is taken`],
    ["--dev 3 --name a", "1 --dev chooses names and addresses itself: --name does not go with it"],
    [
      "--dev --initial-cluster a=http://h:1",
      "1 --dev chooses names and addresses itself: --initial-cluster does not go with it",
    ],
    ["--dev-port 4000", "1 --dev-port goes with --dev"],
    ["--dev --election-timeout 100", /at least 5 times/],
  ])("%s is refused", (line, complaint) => {
    expect(errorOf(line)).toMatch(complaint);
  });

  it("is not taken from a config file, which is about one member", () => {
    const files = { "c.yaml": "dev: 3\nname: a\n" };
    expect(configOf("--config-file c.yaml", { files }).name).toBe("a");
  });
});

it("members do not inherit what the cluster takes for itself", () => {
  const env = { ETCD_DEV: "3", ETCD_DEV_PORT: "1", ETCD_DATA_DIR: "d", ETCD_LOG_LEVEL: "info", PATH: "p" };
  expect(memberEnvironment(env)).toEqual({ ETCD_LOG_LEVEL: "info", PATH: "p" });
});

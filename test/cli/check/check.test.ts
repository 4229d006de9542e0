/** `check perf` and `check datascale` on servers: what is printed, what is left behind, and what an interrupt does. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkDatascale } from "../../../src/cli/check/datascale.js";
import type { CheckValues } from "../../../src/cli/check/flags.js";
import { checkPerf } from "../../../src/cli/check/perf.js";
import { globalFlags } from "../../../src/cli/flags.js";
import { valuesOf } from "../../../src/cli/input/command-line.js";
import { printerOf, ResultPrinter } from "../../../src/cli/output/formats.js";
import { Session as CliSession } from "../../../src/cli/session.js";
import { createClient, type EtcdClient } from "../../../src/client/index.js";
import { litectl as program, Session } from "../../interop/session.js";
import { Member } from "../../support/member.js";
import { listening, litectl } from "../captured.js";
import { serverTargets } from "../servers.js";

const testMsMax = 60_000;

async function session(endpoint: string): Promise<CliSession> {
  const given = new Map([["endpoints", [endpoint]]]);
  const printer = new ResultPrinter("simple", await printerOf("simple"), { hex: false });
  return CliSession.open({ values: valuesOf(globalFlags, given), given, printer });
}

function flagsOf(change: Partial<CheckValues> = {}): CheckValues {
  return { load: "s", prefix: "/check/", "auto-compact": false, "auto-defrag": false, ...change };
}

describe.each(serverTargets)("on $name", ({ program: server, missing }) => {
  if (missing !== undefined) {
    it.skip(`checks a cluster (${missing})`, () => undefined);
    return;
  }
  let member: Member;
  let client: EtcdClient;

  beforeAll(async () => {
    member = await Member.create(server);
    await member.start();
    client = createClient({ endpoints: member.endpoint });
  }, testMsMax);

  afterAll(async () => {
    await client.close();
    await member.dispose();
  });

  it("perf writes at its rate, deletes, reclaims and reports", { timeout: testMsMax }, async () => {
    await using cli = await session(member.endpoint);
    const load = { writesPerSecond: 100, clients: 5, durationMs: 1_000 };
    const flags = flagsOf({ "auto-compact": true, "auto-defrag": true });
    const before = (await client.list("/check/")).header.revision;
    const { result: isPassed, stdout, stderr } = await listening(() => checkPerf(cli, load, flags));
    const revision = Number(before) + 101;
    expect(stderr).toBe("");
    const lines = stdout.split("\n");
    // A busy machine may not keep the pace; then the revision tells how many there were.
    const [, written = ""] = /^Compacting with revision (\d+)$/.exec(lines[0] ?? "") ?? [];
    expect(Number(written)).toBeLessThanOrEqual(revision);
    expect(Number(written)).toBeGreaterThan(Number(before) + 10);
    expect(lines.slice(1, 4)).toEqual([
      `Compacted with revision ${written}`,
      `Defragmenting "${member.endpoint}"`,
      `Defragmented "${member.endpoint}"`,
    ]);
    expect(lines[4]).toMatch(/^(PASS: Throughput is|FAIL: Throughput too low:) \d+ writes\/s$/);
    expect(lines[5]).toMatch(/^(PASS: Slowest request took|Slowest request took too long:) \d+\.\d{6}s$/);
    expect(lines[6]).toMatch(/^(PASS: Stddev is|Stddev too high:) \d+\.\d{6}s$/);
    expect(lines.slice(7)).toEqual([isPassed ? "PASS" : "FAIL", ""]);
    await expect(client.count({ prefix: "/check/" })).resolves.toBe(0);
  });

  it("datascale says how much memory the pairs took, and deletes them", { timeout: testMsMax }, async () => {
    await using cli = await session(member.endpoint);
    const { result, stdout, stderr } = await listening(() =>
      checkDatascale(cli, { pairs: 300, clients: 10 }, flagsOf()),
    );
    expect([result, stderr]).toEqual([true, ""]);
    const [start, verdict, end] = stdout.split("\n");
    expect(start).toBe(
      "Start data scale check for work load [300 key-value pairs, 1024 bytes per key-value, 10 concurrent clients].",
    );
    expect(verdict).toMatch(/^PASS: Approximate system memory used : -?\d+\.\d\d MB\.$/);
    expect(end).toBe("");
    await expect(client.count({ prefix: "/check/" })).resolves.toBe(0);
  });

  it("refuses a prefix with keys, which it would delete", { timeout: testMsMax }, async () => {
    await client.put("/mine/1", "kept");
    const common = ["--prefix=/mine/", `--endpoints=${member.endpoint}`];
    await expect(litectl(["check", "perf", ...common])).resolves.toEqual({
      exitCode: 3,
      stdout: "",
      stderr: "Error: prefix \"/mine/\" has keys. Delete with 'etcdctl del --prefix /mine/' first\n",
    });
    await expect(litectl(["check", "datascale", ...common])).resolves.toEqual({
      exitCode: 3,
      stdout: "",
      stderr: 'Error: prefix "/mine/" has keys. Delete with etcdctl del --prefix /mine/ first\n',
    });
    await expect(client.get("/mine/1")).resolves.toMatchObject({ value: "kept" });
  });

  it.each([
    ["perf", "SIGINT"],
    ["datascale", "SIGTERM"],
  ] as const)("%s deletes its keys when %s comes", { timeout: testMsMax }, async (check, signal) => {
    const prefix = `/etcdctl-check-${check}/`;
    const tool = new Session(program, { endpoint: member.endpoint, directory: member.directory });
    try {
      const running = tool.start(["check", check]);
      await using watch = client.watch({ prefix });
      for await (const batch of watch) if (batch.events.length > 0) break;
      await tool.end(running, signal);
      const [{ stdout, exit } = { stdout: "", exit: undefined }] = tool.transcript;
      if (check === "perf") {
        // The report is about the time until then.
        expect(stdout).toMatch(/^(?:PASS|FAIL): Throughput.*\n.*\n.*\n(?:PASS|FAIL)\n$/);
        expect(exit).toBe(stdout.endsWith("PASS\n") && !stdout.endsWith("FAIL\n") ? 0 : 1);
      } else {
        expect(stdout.split("\n")).toEqual([expect.stringMatching(/^Start data scale check/), ""]);
        expect(exit).toBe(signal);
      }
      await expect(client.count({ prefix })).resolves.toBe(0);
    } finally {
      tool.close();
    }
  });
});

describe("without a server", () => {
  it.each(["perf", "datascale"])("%s knows no other load than its own", async (check) => {
    await expect(litectl(["check", check, "--load=nosuch"])).resolves.toEqual({
      exitCode: 4,
      stdout: "",
      stderr: "Error: unknown load option nosuch\n",
    });
  });

  it.each(["perf", "datascale"])("%s gives up after the dial timeout and says where nobody answers", async (check) => {
    const argv = ["check", check, "--endpoints=127.0.0.1:1", "--dial-timeout=100ms"];
    const { exitCode, stdout, stderr } = await litectl(argv);
    const [error, log = ""] = stderr.split("\n");
    expect([exitCode, stdout, error]).toEqual([1, "", "Error: context deadline exceeded"]);
    expect(JSON.parse(log)).toMatchObject({ error: expect.stringContaining("127.0.0.1:1") });
  });
});

/** The config that flags come to: defaults, what depends on several flags, what is checked before a start. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bootstrapProblem } from "../../../src/server/config/bootstrap.js";
import { parseDurationMs } from "../../../src/server/config/flag.js";
import { clusterIdOf, memberIdOf } from "../../../src/server/config/identity.js";
import { defaultConfig } from "../../../src/server/config/parse-config.js";
import { hostOf } from "../../../src/server/config/url.js";
import { litecdVersion } from "../../../src/server/runtime/version.js";
import { describeWithEtcd, startEtcd } from "../http/real-etcd.js";
import { configOf, errorOf, parse } from "./parse.js";

describe("the config", () => {
  it("has etcd's defaults", () => {
    expect(defaultConfig()).toMatchObject({
      name: "default",
      dataDir: "default.etcd",
      heartbeatIntervalMs: 100,
      electionTimeoutMs: 1000,
      listenPeerUrls: ["http://localhost:2380"],
      listenClientUrls: ["http://localhost:2379"],
      listenMetricsUrls: [],
      advertiseClientUrls: ["http://localhost:2379"],
      initialCluster: [{ name: "default", peerUrls: ["http://localhost:2380"] }],
      maxRequestBytes: 1_572_864,
      maxTxnOps: 128,
      maxConcurrentStreams: 4_294_967_295,
      grpcKeepaliveMinTimeMs: 5000,
      grpcKeepaliveIntervalMs: 7_200_000,
      grpcKeepaliveTimeoutMs: 20_000,
      autoCompaction: { kind: "off" },
      corruptCheckIntervalMs: 0,
      watchProgressNotifyIntervalMs: 600_000,
      corsOrigins: ["*"],
      log: { level: "info", format: "json", outputs: [{ kind: "stderr" }] },
    });
  });

  it("keeps its data in a directory named after the member", () => {
    expect(configOf("--name a").dataDir).toBe("a.etcd");
    expect(configOf("--name a --data-dir /d").dataDir).toBe("/d");
  });

  it("founds a cluster of its own name when only a name is given", () => {
    const line = "--name a --initial-advertise-peer-urls http://10.0.0.1:1";
    expect(configOf(line).initialCluster).toEqual([{ name: "a", peerUrls: ["http://10.0.0.1:1"] }]);
  });

  it("collects the URLs of a member that --initial-cluster names several times", () => {
    const line = "--initial-cluster a=http://h:1,b=http://i:1,a=http://h:2";
    expect(configOf(line).initialCluster).toEqual([
      { name: "a", peerUrls: ["http://h:1", "http://h:2"] },
      { name: "b", peerUrls: ["http://i:1"] },
    ]);
  });

  it.each([
    ["--auto-compaction-retention=1", { kind: "periodic", retentionMs: 3_600_000 }],
    ["--auto-compaction-retention=10m", { kind: "periodic", retentionMs: 600_000 }],
    ["--auto-compaction-retention=0s", { kind: "off" }],
    [
      "--auto-compaction-mode=revision --auto-compaction-retention=1000",
      { kind: "revision", retentionRevisions: 1000 },
    ],
    ["--auto-compaction-mode=revision", { kind: "off" }],
  ])("reads %s", (line, expected) => {
    expect(configOf(line).autoCompaction).toEqual(expected);
  });

  it.each([
    "unix:///tmp/a.sock",
    "http://127.0.0.1:0",
    "http://[::1]:2379",
    "http://0.0.0.0:2379",
    "http://localhost:1,http://127.0.0.1:2",
  ])("listens on %s", (url) => {
    const config = configOf(`--listen-client-urls ${url} --advertise-client-urls http://h:1`);
    expect(config.listenClientUrls).toEqual(url.split(","));
  });

  const client = "--advertise-client-urls http://h:1";
  it.each([
    ["--listen-client-urls http://127.0.0.1:1", "--advertise-client-urls must be set when --listen-client-urls is"],
    [`--listen-client-urls= ${client}`, "--listen-client-urls must name at least one URL"],
    [
      `--listen-client-urls http://foo:1 ${client}`,
      "--listen-client-urls holds http://foo:1, but one can listen only on an IP address or localhost",
    ],
    [
      `--listen-client-urls http://:1 ${client}`,
      "--listen-client-urls holds http://:1, but one can listen only on an IP address or localhost",
    ],
    [
      `--listen-client-urls https://127.0.0.1:1 ${client}`,
      "--listen-client-urls holds https://127.0.0.1:1, which needs --cert-file and --key-file, or --auto-tls",
    ],
    [
      "--listen-metrics-urls http://foo:1",
      "--listen-metrics-urls holds http://foo:1, but one can listen only on an IP address or localhost",
    ],
    ["--advertise-client-urls http://:1", "--advertise-client-urls holds http://:1, which names no host"],
    [
      "--election-timeout=499 --heartbeat-interval=100",
      "--election-timeout (499 ms) must be at least 5 times --heartbeat-interval (100 ms)",
    ],
    ["--election-timeout=50001", "--election-timeout (50001 ms) must not be more than 50000 ms"],
    ["--heartbeat-interval=0", "--heartbeat-interval must be more than 0 ms"],
    ["--initial-cluster a", '--initial-cluster holds "a", which is not name=url'],
    [
      "--initial-cluster a=ftp://h:1",
      '--initial-cluster holds "ftp://h:1", whose scheme is none of http, https, unix, unixs',
    ],
    [
      "--auto-compaction-retention=abc",
      '--auto-compaction-retention=abc: must be a duration such as "300ms" or "1h30m"',
    ],
    [
      "--auto-compaction-mode=revision --auto-compaction-retention=5m",
      "--auto-compaction-retention=5m: must be a number of revisions",
    ],
    [
      "--initial-cluster a=http://h:1 --discovery-srv d",
      "--initial-cluster and --discovery-srv are both set; there is one way to bootstrap",
    ],
    ["--discovery-token t", "--discovery-endpoints and --discovery-token go together"],
    [
      "--peer-cert-allowed-cn a --peer-cert-allowed-hostname b",
      "--peer-cert-allowed-cn and --peer-cert-allowed-hostname exclude each other",
    ],
    ["--compact-hash-check-time 0s", "--compact-hash-check-time must be more than 0"],
    [
      "--tls-min-version TLS1.3 --cipher-suites A",
      "--tls-min-version=TLS1.3 goes neither with --tls-max-version=TLS1.2 nor with --cipher-suites",
    ],
    ["--auth-token paper", '--auth-token=paper: must be "simple", or "jwt" with its options'],
  ])("refuses %s with exit code 1", (line, complaint) => {
    expect(errorOf(line)).toBe(`1 ${complaint}`);
  });

  it("accepts an election timeout of exactly five heartbeats and of exactly fifty seconds", () => {
    expect(configOf("--election-timeout=500").electionTimeoutMs).toBe(500);
    expect(configOf("--election-timeout=50000").electionTimeoutMs).toBe(50_000);
  });
});

describe("a duration", () => {
  it.each([
    ["0", 0],
    ["5s", 5000],
    ["1h2m3.5s", 3_723_500],
    ["300ms", 300],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["250us", 0.25],
    ["-2s", -2000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDurationMs(text)).toBeCloseTo(ms, 6);
  });

  it.each(["", "5", "s", "5 s", "5x", "5s5", "1h-2m", "--5s"])("%j is none", (text) => {
    expect(() => parseDurationMs(text)).toThrow("must be a duration");
  });
});

describe("the host of a URL", () => {
  it.each([
    ["http://localhost:1", "localhost"],
    ["http://[::1]:1", "::1"],
    ["http://:1", ""],
    ["unix:///a", undefined],
  ])("%s is %s", (url, host) => {
    expect(hostOf(url)).toBe(host);
  });
});

function problem(line: string): string | undefined {
  return bootstrapProblem(configOf(line));
}

describe("founding or joining a cluster", () => {
  it("works with the defaults, with a name, and with several members", () => {
    expect(problem("")).toBeUndefined();
    expect(problem("--name a")).toBeUndefined();
    expect(problem("--initial-cluster default=http://localhost:2380,b=http://h:1")).toBeUndefined();
    expect(problem("--initial-cluster-state existing")).toBeUndefined();
  });

  it.each([
    ["--name n1 --initial-cluster n2=http://h:1", `couldn't find local name "n1" in the initial cluster configuration`],
    [
      "--initial-advertise-peer-urls http://h:1",
      "--initial-cluster has default=http://localhost:2380, which differs from --initial-advertise-peer-urls=http://h:1",
    ],
    [
      "--name a --initial-cluster a=http://localhost:2380,b=http://localhost:2380",
      "the initial cluster has a duplicate url: http://localhost:2380",
    ],
  ])("does not with %s", (line, complaint) => {
    expect(problem(line)).toBe(complaint);
  });

  it("does not mind the order of URLs", () => {
    const line =
      "--name a --initial-cluster a=http://h:1,a=http://h:2 --initial-advertise-peer-urls http://h:2,http://h:1";
    expect(problem(line)).toBeUndefined();
  });
});

describe("ids", () => {
  it("depend on URLs and token, not on the order of the URLs", () => {
    const id = memberIdOf(["http://h:1", "http://h:2"], "t");
    expect(memberIdOf(["http://h:2", "http://h:1"], "t")).toBe(id);
    expect(memberIdOf(["http://h:1", "http://h:2"], "u")).not.toBe(id);
    expect(memberIdOf(["http://h:1"], "t")).not.toBe(id);
  });

  it("are those of etcd's own defaults", () => {
    // The best known member of the world: etcd without a flag.
    expect(memberIdOf(["http://localhost:2380"], "etcd-cluster").toString(16)).toBe("8e9e05c52164694d");
    const founders = [{ name: "default", peerUrls: ["http://localhost:2380"] }];
    expect(clusterIdOf(founders, "etcd-cluster").toString(16)).toBe("cdf818194e3a8c32");
  });

  it("of a cluster do not depend on the order of its founders", () => {
    const [a, b] = [
      { name: "a", peerUrls: ["http://a:1"] },
      { name: "b", peerUrls: ["http://b:1"] },
    ];
    expect(clusterIdOf([a, b], "t")).toBe(clusterIdOf([b, a], "t"));
  });
});

describe("our version", () => {
  it("is that of the package", () => {
    const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as unknown;
    expect(manifest).toMatchObject({ version: litecdVersion });
  });
});

describeWithEtcd("against a real etcd", () => {
  it("computes the same ids", async () => {
    await using member = await startEtcd();
    const body = { method: "POST", body: "{}" };
    const answer = await fetch(`http://${member.endpoint}/v3/cluster/member/list`, body);
    const { header, members } = (await answer.json()) as {
      header: { cluster_id: string };
      members: { ID: string; name: string; peerURLs: string[] }[];
    };
    const [self] = members;
    expect(self).toBeDefined();
    expect(memberIdOf(self?.peerURLs ?? [], "etcd-cluster")).toBe(BigInt(self?.ID ?? 0));
    const founders = [{ name: "m1", peerUrls: self?.peerURLs ?? [] }];
    expect(clusterIdOf(founders, "etcd-cluster")).toBe(BigInt(header.cluster_id));
  });

  it("takes every flag that etcd's help lists, except those that 3.7 removed", () => {
    const help = execFileSync(join(process.env["LITECD_TEST_ETCD"] ?? "", "etcd"), ["--help"], {
      encoding: "utf8",
      stdio: "pipe",
    });
    const names = Array.from(help.matchAll(/^ {2}--([a-z0-9-]+)/gm), (found) => found[1] ?? "");
    const removed = /^(discovery|discovery-proxy|enable-v2|v2-deprecation|proxy.*|experimental-enable-v2v3)$/;
    const refused = names.filter((name) => {
      const parsed = parse(`--${name}`);
      return parsed.kind === "error" && parsed.message.startsWith("there is no flag");
    });
    expect(names.length).toBeGreaterThan(90);
    expect(refused.filter((name) => !removed.test(name))).toEqual([]);
  });
});

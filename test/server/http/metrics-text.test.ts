/** Metrics as a scraper sees them: etcd's names, types, labels and buckets. */

import { describe, expect, it } from "vitest";
import { renderMetrics } from "../../../src/server/http/metrics-text.js";
import { Counter, exponentialBounds, Family, Histogram } from "../../../src/server/runtime/instruments.js";
import { createMetrics } from "../../../src/server/runtime/metrics.js";
import { describeWithEtcd, startEtcd } from "./real-etcd.js";

function lines(text: string, start: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(start));
}

describe("a scrape", () => {
  it("shows a counter from its first moment, at zero", async () => {
    expect(lines(await renderMetrics(createMetrics().all()), "etcd_mvcc_put_total")).toEqual(["etcd_mvcc_put_total 0"]);
  });

  it("shows what was counted", async () => {
    const metrics = createMetrics();
    metrics.mvccPutTotal.inc();
    metrics.mvccPutTotal.inc(4);
    expect(lines(await renderMetrics(metrics.all()), "etcd_mvcc_put_total")).toEqual(["etcd_mvcc_put_total 5"]);
  });

  it("asks the owner of a gauge at each scrape", async () => {
    const metrics = createMetrics();
    let pending = 3;
    metrics.serverProposalsPending.readFrom(() => pending);
    expect(await renderMetrics(metrics.all())).toContain("\netcd_server_proposals_pending 3\n");
    pending = 8;
    expect(await renderMetrics(metrics.all())).toContain("\netcd_server_proposals_pending 8\n");
  });

  it("asks the owner of a counter that counts elsewhere", async () => {
    const metrics = createMetrics();
    metrics.serverLeaderChangesSeen.readFrom(() => 7);
    expect(await renderMetrics(metrics.all())).toContain("\netcd_server_leader_changes_seen_total 7\n");
  });

  it("keeps etcd's odd types: a gauge may be called total", async () => {
    const text = await renderMetrics(createMetrics().all());
    expect(text).toContain("# TYPE etcd_server_proposals_committed_total gauge\n");
    expect(text).toContain("# TYPE etcd_disk_wal_write_bytes_total gauge\n");
  });

  it("leaves out a family that has no children, as etcd does", async () => {
    const metrics = createMetrics();
    expect(await renderMetrics(metrics.all())).not.toContain("etcd_server_id");
    metrics.serverId.labels({ server_id: "474f8fd6da73ef6f" }).set(1);
    expect(await renderMetrics(metrics.all())).toContain('\netcd_server_id{server_id="474f8fd6da73ef6f"} 1\n');
  });

  it("counts observations cumulatively by bound", async () => {
    const metrics = createMetrics();
    for (const seconds of [0.0005, 0.001, 0.003, 100]) metrics.diskWalFsyncDurationSeconds.observe(seconds);
    const text = await renderMetrics(metrics.all());
    const name = "etcd_disk_wal_fsync_duration_seconds";
    expect(text).toContain(`${name}_bucket{le="0.001"} 2\n`);
    expect(text).toContain(`${name}_bucket{le="0.002"} 2\n`);
    expect(text).toContain(`${name}_bucket{le="0.004"} 3\n`);
    expect(text).toContain(`${name}_bucket{le="8.192"} 3\n`);
    expect(text).toContain(`${name}_bucket{le="+Inf"} 4\n`);
    expect(text).toContain(`${name}_count 4\n`);
    expect(text).toContain(`${name}_sum 100.0045\n`);
  });

  it("keeps the metrics of two servers in one process apart", async () => {
    const [one, two] = [createMetrics(), createMetrics()];
    one.mvccPutTotal.inc();
    expect(await renderMetrics(two.all())).toContain("\netcd_mvcc_put_total 0\n");
  });

  it("shows metrics that another room brings, and escapes label values", async () => {
    const metrics = createMetrics();
    const instrument = new Family<"api", Counter>(() => new Counter());
    instrument.labels({ api: 'a"b\nc' }).inc();
    metrics.add({ name: "room_total", type: "counter", help: "A room's own.", instrument });
    expect(await renderMetrics(metrics.all())).toContain('\nroom_total{api="a\\"b\\nc"} 1\n');
  });

  it("tells about the process", async () => {
    const text = await renderMetrics(createMetrics().all());
    expect(text).toMatch(/\nprocess_resident_memory_bytes \d+\n/);
    expect(text).toMatch(/\nprocess_cpu_seconds_total \d/);
  });

  it.runIf(process.platform === "linux")("counts open files", async () => {
    const text = await renderMetrics(createMetrics().all());
    expect(Number(/\nos_fd_used (\d+)\n/.exec(text)?.[1])).toBeGreaterThan(2);
    expect(Number(/\nos_fd_limit (\d+)\n/.exec(text)?.[1])).toBeGreaterThan(2);
  });

  it("is well formed: every sample follows the type line of its metric", async () => {
    const types = new Map<string, string>();
    for (const line of (await renderMetrics(createMetrics().all())).split("\n").filter(Boolean)) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(line);
      if (type?.[1] !== undefined && type[2] !== undefined) types.set(type[1], type[2]);
      if (line.startsWith("#")) continue;
      const name = /^[a-z_0-9]+/.exec(line)?.[0] ?? "";
      expect(types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, ""))).toBe(true);
    }
    expect(types.size).toBeGreaterThan(60);
  });
});

describe("bounds", () => {
  it("are written as etcd writes them, without the dust of floating point", () => {
    expect(exponentialBounds(0.0001, 2, 20).map(String)).toContain("0.4096");
    expect(exponentialBounds(0.1, 2, 13)).toEqual([
      0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
    ]);
  });

  it("put a value equal to a bound under it", () => {
    const histogram = new Histogram([1, 2]);
    histogram.observe(2);
    expect(histogram.samples({}).map((sample) => sample.value)).toEqual([0, 1, 1, 2, 1]);
  });
});

/** Type, label names and bounds of each metric of a scrape. */
function shape(text: string): Map<string, string> {
  const types = new Map(Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), (found) => [found[1] ?? "", found[2]]));
  const shapes = new Map<string, Set<string>>();
  for (const [, sample = "", labels = ""] of text.matchAll(/^([a-z_0-9]+)(?:\{(.*)\})? \S+$/gm)) {
    const base = types.has(sample) ? sample : sample.replace(/_(bucket|sum|count)$/, "");
    const names = Array.from(labels.matchAll(/(\w+)="([^"]*)"/g), ([, name = "", value]) =>
      name === "le" ? `le=${Number(value === "+Inf" ? Infinity : value)}` : name,
    );
    shapes.set(base, (shapes.get(base) ?? new Set()).add(names.toSorted().join(",")));
  }
  return new Map([...shapes].map(([name, seen]) => [name, `${types.get(name)} ${[...seen].toSorted().join(" ")}`]));
}

describeWithEtcd("against a real etcd", () => {
  /** Names that mean nothing here: bbolt's phases, the v2 store, etcd's proxy, Go, the old snapshot files. */
  const foreign = [
    /^go_|^promhttp_|^process_|^grpc_server/,
    /^etcd_grpc_proxy_|^etcd_debugging_store_|^etcd_debugging_snap_/,
    /^etcd_debugging_disk_backend_commit_|_pause_duration_milliseconds$/,
    /^etcd_server_go_version$|^etcd_debugging_mvcc_range_total$|^etcd_snap_db_save_total_duration_seconds$/,
  ];

  it("has the same names, types and buckets, except those listed as foreign", async () => {
    await using server = await startEtcd();
    const theirs = shape(await (await fetch(`http://${server.endpoint}/metrics`)).text());
    const metrics = createMetrics();
    metrics.serverId.labels({ server_id: "1" }).set(1);
    metrics.serverVersion.labels({ server_version: "3.7.0" }).set(1);
    metrics.clusterVersion.labels({ cluster_version: "3.7" }).set(1);
    metrics.serverClientRequests.labels({ type: "unary", client_api_version: "3.5" }).inc();
    metrics.serverApplyDurationSeconds.labels({ version: "v3", op: "Put", success: "true" }).observe(1);
    const ours = shape(await renderMetrics(metrics.all()));
    for (const [name, described] of theirs) {
      if (foreign.some((pattern) => pattern.test(name)) || name === "etcd_server_client_requests_total") continue;
      expect({ name, described: ours.get(name) }).toEqual({ name, described });
    }
    expect(theirs.size).toBeGreaterThan(60);
  });
});

/** The benchmark's own arithmetic: frames, h2load's summary, the report. */
import { describe, expect, it } from "vitest";
import { frame, operations } from "../../bench/frames.js";
import { readSummary } from "../../bench/h2load.js";
import { median, report } from "../../bench/report.js";
import { PutRequest } from "../../proto/gen/etcd/rpc.js";

const printed = `starting benchmark...
spawning thread #0: 1 total client(s). Timing-based test with 1s of warm-up time and 2s of main duration for measurements.

finished in 3.02s, 1204.50 req/s, 52.34KB/s
requests: 2409 total, 2410 started, 2409 done, 2408 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 2409 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 104.68KB (107194) total, 33.65KB (34453) headers (space savings 90.22%), 51.72KB (52957) data
                     min         max         mean         sd        +/- sd
time for request:      540us     13.11ms       826us       362us    95.43%
time for connect:      101us       101us       101us         0us   100.00%
`;

describe("h2load's summary", () => {
  it("gives rate, counts, bytes and latency", () => {
    expect(readSummary(printed)).toEqual({
      callsPerSecond: 1204.5,
      calls: 2408,
      failures: 1,
      dataBytes: 52957,
      meanLatencyUs: 826,
    });
  });

  it("is refused when it is not whole", () => {
    expect(() => readSummary(printed.replace(/^traffic.*$/m, ""))).toThrow(/did not print/);
  });
});

describe("the prepared frames", () => {
  it("are uncompressed and say their length", () => {
    expect([...frame(Uint8Array.of(7, 8))]).toEqual([0, 0, 0, 0, 2, 7, 8]);
  });

  it("hold a put of 256 bytes", () => {
    const put = operations.find(({ name }) => name === "put");
    expect(PutRequest.decode(put?.frame.subarray(5) ?? new Uint8Array()).value).toHaveLength(256);
  });
});

describe("the report", () => {
  it("shows medians and their ratio", () => {
    const circumstances = {
      date: new Date("2026-11-22T10:00:00Z"),
      machine: "2 x CPU, 8 GiB",
      versions: "Node 20",
      theirs: "etcd",
    } as const;
    const rows = [{ name: "put, 1 in flight", unit: "calls/s", ours: [600, 100_000, 500], theirs: [1200] } as const];
    expect(report(circumstances, rows)).toBe(
      [
        "Measured on 2026-11-22: 2 x CPU, 8 GiB; Node 20.",
        "",
        "| | litecd | etcd | litecd / etcd |",
        "|---|---:|---:|---:|",
        "| put, 1 in flight | 600 calls/s | 1 200 calls/s | 0.50 |",
      ].join("\n"),
    );
  });

  it("takes the middle of an even number of samples", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow("no samples");
  });
});

/** The scrape: instruments and facts about the process as Prometheus text. Loaded when somebody asks for it. */

import { readdirSync, readFileSync } from "node:fs";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { Metric } from "../runtime/metrics.js";

/** Facts about the process are kept once, however many servers it holds: their observers are never taken down. */
let processRegistry: Registry | undefined;

/** The Prometheus text format, version 0.0.4: all of `metrics` with at least one value, then the process's own. */
export async function renderMetrics(metrics: readonly Metric[]): Promise<string> {
  const registry = new Registry();
  for (const metric of [...metrics, ...openFiles()]) {
    const values = metric.instrument.samples({});
    if (values.length === 0) continue; // as etcd does: a family without children is not shown at all
    registry.registerMetric(adapt(metric, values));
  }
  processRegistry ??= startProcessRegistry();
  return `${await registry.metrics()}${await processRegistry.metrics()}`;
}

type Adapted = Parameters<Registry["registerMetric"]>[0];

/** The library asks a metric for its name and, at the scrape, for its values; that is all it needs to print it. */
function adapt(metric: Metric, samples: ReturnType<Metric["instrument"]["samples"]>): Adapted {
  const { name, help, type } = metric;
  const values = samples.map(({ suffix, labels, value }) => ({ metricName: `${name}${suffix}`, labels, value }));
  return { name, get: () => ({ name, help, type, values, aggregator: "sum" }) } as unknown as Adapted;
}

function startProcessRegistry(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}

/** Open files as etcd names them. Only Linux tells; elsewhere they are left out. */
function openFiles(): readonly Metric[] {
  if (process.platform !== "linux") return [];
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return [
    fileGauge("os_fd_used", "Open file descriptors.", readdirSync("/proc/self/fd").length),
    fileGauge("os_fd_limit", "Limit of open file descriptors.", Number(limit ?? Infinity)),
  ];
}

function fileGauge(name: string, help: string, value: number): Metric {
  return { name, help, type: "gauge", instrument: { samples: (labels) => [{ suffix: "", labels, value }] } };
}

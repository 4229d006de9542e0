/** Turns measurements into the Markdown table that the README shows. */

/** One row: what was measured, and the samples of both sides. */
export interface Row {
  readonly name: string;
  readonly unit: "calls/s" | "events/s" | "ms" | "MiB" | "s" | "writes" | "elections";
  readonly ours: readonly number[];
  /** Empty if it cannot be measured there. */
  readonly theirs: readonly number[];
}

/** Where and when, for the line above the table. */
export interface Circumstances {
  readonly date: Date;
  readonly machine: string;
  readonly versions: string;
  /** What is measured beside ours. */
  readonly theirs: "etcd" | "etcd3";
}

export function report({ date, machine, versions, theirs: other }: Circumstances, rows: readonly Row[]): string {
  const lines = rows.map(({ name, unit, ours, theirs }) => {
    const a = median(ours);
    if (theirs.length === 0) return `| ${name} | ${number(a)} ${unit} | | |`;
    const b = median(theirs);
    return `| ${name} | ${number(a)} ${unit} | ${number(b)} ${unit} | ${b === 0 ? "" : (a / b).toFixed(2)} |`;
  });
  return [
    `Measured on ${date.toISOString().slice(0, 10)}: ${machine}; ${versions}.`,
    "",
    `| | litecd | ${other} | litecd / ${other} |`,
    "|---|---:|---:|---:|",
    ...lines,
  ].join("\n");
}

/** The smallest sample that at least so many per cent of the samples do not exceed; NaN if there are none. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new Error("no samples");
  return (low + high) / 2;
}

/** Whole numbers from 100 on, and where nothing is behind the point; one decimal below. Thousands apart. */
function number(value: number): string {
  const text = value >= 100 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}

/** Turns measurements into the Markdown table that the README shows. */

/** One row: what was measured, and the samples of both sides. */
export interface Row {
  readonly name: string;
  readonly unit: "calls/s" | "ms" | "MiB";
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** Where and when, for the line above the table. */
export interface Circumstances {
  readonly date: Date;
  readonly machine: string;
  readonly versions: string;
}

export function report({ date, machine, versions }: Circumstances, rows: readonly Row[]): string {
  const lines = rows.map(({ name, unit, ours, theirs }) => {
    const [a, b] = [median(ours), median(theirs)];
    return `| ${name} | ${number(a)} ${unit} | ${number(b)} ${unit} | ${(a / b).toFixed(2)} |`;
  });
  return [
    `Measured on ${date.toISOString().slice(0, 10)}: ${machine}; ${versions}.`,
    "",
    "| | litecd | etcd | litecd / etcd |",
    "|---|---:|---:|---:|",
    ...lines,
  ].join("\n");
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new Error("no samples");
  return (low + high) / 2;
}

/** Whole numbers from 100 on, one decimal below; thousands apart. */
function number(value: number): string {
  const text = value >= 100 ? String(Math.round(value)) : value.toFixed(1);
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}

/** The table format: box characters, header centred, cells right-aligned, no rules between rows (spec/cli.md 7.6). */
import Table from "cli-table3";
import {
  endpointHashColumns,
  endpointHashRows,
  endpointHealthColumns,
  endpointHealthRows,
  endpointStatusColumns,
  endpointStatusRows,
  fileHashColumns,
  fileHashRow,
  memberColumns,
  memberRows,
  snapshotColumns,
  snapshotRow,
} from "./columns.js";
import type { Printer } from "./results.js";

/** The printer of `-w table`. */
export const tablePrinter: Printer = {
  memberList: ({ response }) => table(memberColumns, memberRows(response.members)),
  endpointHealth: ({ endpoints }) => table(endpointHealthColumns, endpointHealthRows(endpoints)),
  endpointStatus: ({ endpoints }) => table(endpointStatusColumns, endpointStatusRows(endpoints)),
  endpointHash: ({ endpoints }) => table(endpointHashColumns, endpointHashRows(endpoints)),
  snapshotStatus: ({ status }) => table(snapshotColumns, [snapshotRow(status)]),
  hashKv: ({ hash }) => table(fileHashColumns, [fileHashRow(hash)]),
};

/** Rows with the columns' order. Members and endpoints only: the table library is quadratic in the rows. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const drawn = new Table({
    head: columns.map((content) => ({ content, hAlign: "center" as const })) as unknown as string[],
    colAligns: columns.map(() => "right" as const),
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.map((row) => row.map(cell)));
  return `${drawn.toString()}\n`;
}

/** Control characters would break the frame, or reach the terminal. */
function cell(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

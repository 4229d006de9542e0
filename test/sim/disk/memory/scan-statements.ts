/** The range queries of `scan.ts`, in every shape that it builds. */
import { type Interval, type Scan, type ScanOrder, scanSql } from "../../../../src/server/storage/scan.js";
import { latin1 } from "../../../check/sequential-model.js";
import { before } from "./state-statements.js";
import { type CurRow, type RevRow, type Tables } from "./tables.js";
import { many, one, type Work, type Works } from "./work.js";

type Bytes = Uint8Array;
/** What the parameters of a scan come to. */
interface Range {
  readonly rows: readonly CurRow[];
  /** The parameters after those of the interval. */
  readonly rest: readonly unknown[];
}

const nothing = new Uint8Array(0);
const intervals: readonly Interval[] = [
  { kind: "one", key: nothing },
  { kind: "between", from: nothing, to: nothing },
  { kind: "from", from: nothing },
];
const orders: readonly ScanOrder[] = [
  "keyAscending",
  "keyDescending",
  "createAscending",
  "createDescending",
  "modAscending",
  "modDescending",
  "versionAscending",
  "versionDescending",
];
const filters: readonly Scan["filter"][] = [undefined, { modMin: 0n, modMax: 0n, createMin: 0n, createMax: 0n }];

function rangeOf({ cur }: Tables, kind: Interval["kind"], parameters: readonly unknown[]): Range {
  const [first, second] = parameters as [Bytes, Bytes];
  switch (kind) {
    case "one": {
      const row = cur.get(latin1(first));
      return { rows: row === undefined ? [] : [row], rest: parameters.slice(1) };
    }
    case "between":
      return { rows: cur.between(latin1(first), latin1(second)), rest: parameters.slice(2) };
    case "from": {
      const name = latin1(first);
      return { rows: name === "" ? cur.all : cur.all.slice(cur.position(name)), rest: parameters.slice(1) };
    }
  }
}

function isAlive({ dead }: CurRow): boolean {
  return dead === 0n;
}

/** Living rows as the scan wants them, filtered, sorted and cut. */
function latest(tables: Tables, scan: Scan, parameters: readonly unknown[]): readonly CurRow[] {
  const { rows, rest } = rangeOf(tables, scan.interval.kind, parameters);
  let found = rows.filter(isAlive);
  if (scan.filter !== undefined) {
    const [modMin, modMax, createMin, createMax] = rest as [bigint, bigint, bigint, bigint];
    found = found.filter(({ id, crt }) => {
      const mod = id >> 20n;
      return mod >= modMin && mod <= modMax && crt >= createMin && crt <= createMax;
    });
  }
  return cutTo(sorted(found, scan.order), rest.at(-1) as number);
}

/** Ties keep the order of keys. */
function sorted(rows: CurRow[], order: ScanOrder): CurRow[] {
  switch (order) {
    case "keyAscending":
      return rows;
    case "keyDescending":
      return rows.toReversed();
    case "createAscending":
      return rows.toSorted((a, b) => compare(a.crt, b.crt));
    case "createDescending":
      return rows.toSorted((a, b) => compare(b.crt, a.crt));
    case "modAscending":
      return rows.toSorted((a, b) => compare(a.id >> 20n, b.id >> 20n));
    case "modDescending":
      return rows.toSorted((a, b) => compare(b.id >> 20n, a.id >> 20n));
    case "versionAscending":
      return rows.toSorted((a, b) => compare(a.ver, b.ver));
    case "versionDescending":
      return rows.toSorted((a, b) => compare(b.ver, a.ver));
  }
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function cutTo<T>(rows: readonly T[], rowsMax: number): readonly T[] {
  return rowsMax < 0 ? rows : rows.slice(0, rowsMax);
}

/** The change of each key as it was before the bound, if the key was alive then; in the order of the keys. */
function past(tables: Tables, rows: readonly CurRow[], bound: bigint): RevRow[] {
  const found: RevRow[] = [];
  for (const { id } of rows) {
    const row = before(tables, id, bound);
    if (row !== undefined && row[2] === 0n) found.push(row);
  }
  return found;
}

function latestStatements(scan: Scan): Works {
  const from = (tables: Tables, parameters: readonly unknown[]): readonly CurRow[] => latest(tables, scan, parameters);
  const changes = many((tables, ...parameters) =>
    from(tables, parameters).flatMap(({ id }) => {
      const row = tables.rev.get(id);
      return row === undefined ? [] : [row];
    }),
  );
  const ids = many((tables, ...parameters) => from(tables, parameters).map(({ id }) => [id]));
  const keys = many((tables, ...parameters) =>
    from(tables, parameters).map(({ key, crt, id, ver }) => [key, crt, id >> 20n, ver]),
  );
  return [
    [scanSql.latest(scan), changes],
    [scanSql.latestIds(scan), ids],
    [scanSql.latestKeys(scan), keys],
  ];
}

function pastStatement(scan: Scan): Work {
  return many((tables, ...parameters) => {
    const { rows, rest } = rangeOf(tables, scan.interval.kind, parameters);
    const [rowsMax, { bound }] = rest as [number, { bound: bigint }];
    const found = past(tables, rows, bound);
    return cutTo(scan.order === "keyDescending" ? found.toReversed() : found, rowsMax);
  });
}

function intervalStatements(interval: Interval): Works {
  const { kind } = interval;
  const refs = many((tables, ...parameters) =>
    rangeOf(tables, kind, parameters)
      .rows.filter(isAlive)
      .map(({ key, id }) => [key, id]),
  );
  const count = one((tables, ...parameters) => [BigInt(rangeOf(tables, kind, parameters).rows.filter(isAlive).length)]);
  const countPast = one((tables, ...parameters) => {
    const { rows, rest } = rangeOf(tables, kind, parameters);
    const [{ bound }] = rest as [{ bound: bigint }];
    return [BigInt(past(tables, rows, bound).length)];
  });
  const scans = orders.flatMap((order) => filters.map((filter) => ({ interval, order, filter, rowsMax: -1 })));
  const byKey = scans.filter(({ order, filter }) => order.startsWith("key") && filter === undefined);
  return [
    [scanSql.latestRefs(interval), refs],
    [scanSql.countLatest(interval), count],
    [scanSql.countPast(interval), countPast],
    ...scans.flatMap(latestStatements),
    ...byKey.map((scan) => [scanSql.past(scan), pastStatement(scan)] as const),
  ];
}

const pastChanges = many((tables, { bound, olderThan }: { bound: bigint; olderThan: bigint }) =>
  past(tables, tables.cur.all, bound)
    .filter(([id]) => id < olderThan)
    .toSorted(([a], [b]) => compare(a, b)),
);

export const scanStatements: Works = [...intervals.flatMap(intervalStatements), [scanSql.pastChanges, pastChanges]];

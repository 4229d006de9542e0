/** Range queries over `cur` and `rev`. The texts are built here, once per shape, so that their plans can be pinned. */
import type { Database, Statement } from "./database.js";
import type { KeyRef } from "./keys.js";
import { type RevisionRow, type RevisionTable, revisionColumns, type StoredRevision } from "./revisions.js";

/** A set of keys: exactly one, from <= key < to, or from <= key. */
export type Interval =
  | { readonly kind: "one"; readonly key: Uint8Array }
  | { readonly kind: "between"; readonly from: Uint8Array; readonly to: Uint8Array }
  | { readonly kind: "from"; readonly from: Uint8Array };

export type ScanOrder = "keyAscending" | "keyDescending" | SortedOrder;
/** Orders that need a sort; ties are in key order. */
export type SortedOrder = `${"create" | "mod" | "version"}${"Ascending" | "Descending"}`;

/** Bounds of mod and create revision, both ends included. */
export interface Filter {
  readonly modMin: bigint;
  readonly modMax: bigint;
  readonly createMin: bigint;
  readonly createMax: bigint;
}

export interface Scan {
  readonly interval: Interval;
  readonly order: ScanOrder;
  readonly filter: Filter | undefined;
  /** -1: no limit. */
  readonly rowsMax: number;
}

/** A key without its value and lease, straight from `cur`. */
export interface KeyOnly {
  readonly key: Uint8Array;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: bigint;
}

type Parameters = (Uint8Array | bigint | number | { readonly bound: bigint; readonly olderThan?: bigint })[];
type KeyOnlyRow = [key: Buffer, crt: bigint, mod: bigint, ver: bigint];

/** Reads ranges of keys: the newest state, or the state as of an older revision. */
export class Scanner {
  readonly #database: Database;
  readonly #revisions: RevisionTable;
  readonly #latestOne: Statement<[Uint8Array], RevisionRow>;

  constructor(database: Database, revisions: RevisionTable) {
    this.#database = database;
    this.#revisions = revisions;
    this.#latestOne = database.rawStatement(scanSql.latestOne);
  }

  /** The newest change of one living key. */
  latestOne(key: Uint8Array): StoredRevision | undefined {
    const row = this.#latestOne.get(key);
    return row === undefined ? undefined : this.#revisions.checked(row);
  }

  /** Living keys with their newest change. */
  latest(scan: Scan): readonly StoredRevision[] {
    if (needsSort(scan.order)) return this.#sorted(scan);
    return this.#rows(scanSql.latest(scan), parametersOf(scan));
  }

  // Sorted as small rows first; SQLite promises no order for a join over a sorted subquery.
  #sorted(scan: Scan): readonly StoredRevision[] {
    const ids = this.#database.rawStatement<Parameters, [bigint]>(scanSql.latestIds(scan)).all(...parametersOf(scan));
    return ids.map(([id]) => this.#revisions.get(id));
  }

  latestKeys(scan: Scan): readonly KeyOnly[] {
    const statement = this.#database.rawStatement<Parameters, KeyOnlyRow>(scanSql.latestKeys(scan));
    return statement
      .all(...parametersOf(scan))
      .map(([key, createRevision, modRevision, version]) => ({ key, createRevision, modRevision, version }));
  }

  /** Living keys of an interval, in byte order. */
  latestRefs(interval: Interval): readonly KeyRef[] {
    const statement = this.#database.rawStatement<Parameters, [Buffer, bigint]>(scanSql.latestRefs(interval));
    return statement.all(...intervalParameters(interval)).map(([key, id]) => ({ key, id }));
  }

  countLatest(interval: Interval): number {
    return this.#count(scanSql.countLatest(interval), intervalParameters(interval));
  }

  /** Keys as they were before the change `bound`, in key order; `filter` is not looked at. */
  past(scan: Scan, bound: bigint): readonly StoredRevision[] {
    return this.#rows(scanSql.past(scan), [...intervalParameters(scan.interval), scan.rowsMax, { bound }]);
  }

  countPast(interval: Interval, bound: bigint): number {
    return this.#count(scanSql.countPast(interval), [...intervalParameters(interval), { bound }]);
  }

  /** All keys as they were before `bound`, whose change then is older than `olderThan`; in order of change. */
  pastChanges(bound: bigint, olderThan: bigint): IterableIterator<RevisionRow> {
    return this.#database.rawStatement<Parameters, RevisionRow>(scanSql.pastChanges).iterate({ bound, olderThan });
  }

  #rows(sql: string, parameters: Parameters): readonly StoredRevision[] {
    const rows = this.#database.rawStatement<Parameters, RevisionRow>(sql).all(...parameters);
    return rows.map((row) => this.#revisions.checked(row));
  }

  #count(sql: string, parameters: Parameters): number {
    return Number(this.#database.rawStatement<Parameters, [bigint]>(sql).get(...parameters)?.[0] ?? 0n);
  }
}

const orderSql: Readonly<Record<ScanOrder, string>> = {
  keyAscending: "c.key",
  keyDescending: "c.key DESC",
  createAscending: "c.crt, c.key",
  createDescending: "c.crt DESC, c.key",
  modAscending: "c.id >> 20, c.key",
  modDescending: "c.id >> 20 DESC, c.key",
  versionAscending: "c.ver, c.key",
  versionDescending: "c.ver DESC, c.key",
};

function needsSort(order: ScanOrder): order is SortedOrder {
  return order !== "keyAscending" && order !== "keyDescending";
}

const filterSql = " AND (c.id >> 20) BETWEEN ? AND ? AND c.crt BETWEEN ? AND ?";

// Follows `prev` from the newest change of a key to the newest one before the bound.
const idBeforeSql = `CASE WHEN c.id < @bound THEN c.id ELSE (
    WITH RECURSIVE chain(id) AS (
      SELECT prev FROM rev WHERE id = c.id
      UNION ALL
      SELECT o.prev FROM chain CROSS JOIN rev o ON o.id = chain.id WHERE chain.id >= @bound
    ) SELECT id FROM chain WHERE id < @bound LIMIT 1) END`;

/** Texts of the statements; their plans are pinned by tests. */
export const scanSql = {
  latestOne: `SELECT ${revisionColumns} FROM cur c CROSS JOIN rev r ON r.id = c.id WHERE c.key = ? AND c.dead = 0`,
  latest: (scan: Scan): string =>
    `SELECT ${revisionColumns} FROM cur c CROSS JOIN rev r ON r.id = c.id ${latestTail(scan)}`,
  latestIds: (scan: Scan): string => `SELECT c.id FROM cur c ${latestTail(scan)}`,
  latestKeys: (scan: Scan): string => `SELECT c.key, c.crt, c.id >> 20, c.ver FROM cur c ${latestTail(scan)}`,
  latestRefs: (interval: Interval): string =>
    `SELECT c.key, c.id FROM cur c WHERE ${intervalSql(interval)} AND c.dead = 0 ORDER BY c.key`,
  countLatest: (interval: Interval): string =>
    `SELECT count(*) FROM cur c WHERE ${intervalSql(interval)} AND c.dead = 0`,
  past: ({ interval, order }: Scan): string =>
    `SELECT ${revisionColumns} FROM cur c CROSS JOIN rev r ON r.id = ${idBeforeSql}
     WHERE ${intervalSql(interval)} AND r.del = 0 ORDER BY ${orderSql[order]} LIMIT ?`,
  countPast: (interval: Interval): string =>
    `SELECT count(*) FROM cur c CROSS JOIN rev r ON r.id = ${idBeforeSql} WHERE ${intervalSql(interval)} AND r.del = 0`,
  pastChanges: `SELECT ${revisionColumns} FROM cur c CROSS JOIN rev r ON r.id = ${idBeforeSql}
     WHERE r.del = 0 AND r.id < @olderThan ORDER BY r.id`,
} as const;

function latestTail({ interval, filter, order }: Scan): string {
  const filtered = filter === undefined ? "" : filterSql;
  return `WHERE ${intervalSql(interval)} AND c.dead = 0${filtered} ORDER BY ${orderSql[order]} LIMIT ?`;
}

function intervalSql(interval: Interval): string {
  switch (interval.kind) {
    case "one":
      return "c.key = ?";
    case "between":
      return "c.key >= ? AND c.key < ?";
    case "from":
      return "c.key >= ?";
  }
}

function intervalParameters(interval: Interval): Uint8Array[] {
  switch (interval.kind) {
    case "one":
      return [interval.key];
    case "between":
      return [interval.from, interval.to];
    case "from":
      return [interval.from];
  }
}

function parametersOf({ interval, filter, rowsMax }: Scan): Parameters {
  const bounds = filter === undefined ? [] : [filter.modMin, filter.modMax, filter.createMin, filter.createMax];
  return [...intervalParameters(interval), ...bounds, rowsMax];
}

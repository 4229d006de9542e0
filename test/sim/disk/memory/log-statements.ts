/** The statements of `log-store.ts`, and those of the faults that damage a log. */
import type { LogRow } from "./tables.js";
import { many, one, run, type Works } from "./work.js";

export const logStatements: Works = [
  [
    "INSERT INTO log(idx, term, kind, crc, data) VALUES (?, ?, ?, ?, ?)",
    run(({ log }, ...[idx, term, kind, crc, data]: [number, number, number, number, Uint8Array]) => {
      log.insert({ idx, term, kind, crc, data: Buffer.from(data) });
      return 1;
    }),
  ],
  ["DELETE FROM log", run(({ log }) => log.cut(0, log.all.length))],
  ["DELETE FROM log WHERE idx >= ?", run(({ log }, from: number) => log.cut(log.position(from), log.all.length))],
  ["DELETE FROM log WHERE idx <= ?", run(({ log }, to: number) => log.cut(0, log.position(to + 1)))],
  ["SELECT term FROM log WHERE idx = ?", one(({ log }, idx: number) => log.get(idx))],
  ["SELECT idx, term, kind, crc, data FROM log ORDER BY idx", many(({ log }) => [...log.all])],
  ["SELECT term, vote, commit_hint, crc FROM hard", one(({ singles }) => singles.hard)],
  [
    "REPLACE INTO hard VALUES (1, @term, @vote, @commit_hint, @crc)",
    run((tables, row: { readonly vote: Uint8Array | null }) => {
      tables.putSingles({ hard: { ...row, vote: row.vote === null ? null : Buffer.from(row.vote) } });
      return 1;
    }),
  ],
  ["SELECT first_index, prev_term, members, state_file, crc FROM base", one(({ singles }) => singles.base)],
  [
    "REPLACE INTO base VALUES (1, @first_index, @prev_term, @members, @state_file, @crc)",
    run((tables, row: object) => {
      tables.putSingles({ base: { ...row } });
      return 1;
    }),
  ],
  ["SELECT cluster_id, member_id, founders, boot FROM ident", one(({ singles }) => singles.ident)],
  [
    "INSERT INTO ident VALUES (1, ?, ?, ?, ?, 0)",
    run((tables, ...[clusterId, memberId, founders, created]: [Uint8Array, Uint8Array, string, number]) => {
      const ids = { cluster_id: Buffer.from(clusterId), member_id: Buffer.from(memberId) };
      tables.putSingles({ ident: { ...ids, founders, created, boot: 0 } as { readonly boot: number } });
      return 1;
    }),
  ],
  [
    "UPDATE ident SET boot = boot + 1",
    run((tables) => {
      const { ident } = tables.singles;
      if (ident === undefined) return 0;
      tables.putSingles({ ident: { ...ident, boot: ident.boot + 1 } });
      return 1;
    }),
  ],
  [
    "SELECT idx AS id, data AS data FROM log WHERE length(data) > 0 ORDER BY idx",
    many(({ log }) => log.all.filter(hasData).map(({ idx, data }) => ({ id: BigInt(idx), data: Buffer.from(data) }))),
  ],
  [
    "UPDATE log SET data = ? WHERE idx = ?",
    run(({ log }, data: Uint8Array, idx: bigint) => {
      const row = log.get(Number(idx));
      if (row === undefined) return 0;
      log.put({ ...row, data });
      return 1;
    }),
  ],
  [
    "SELECT count(*) AS count, max(idx) AS last FROM log",
    one(({ log }) => ({ count: log.all.length, last: log.last?.idx ?? null })),
  ],
  ["DELETE FROM log WHERE idx > ?", run(({ log }, last: number) => log.cut(log.position(last + 1), log.all.length))],
];

function hasData({ data }: LogRow): boolean {
  return data.length > 0;
}

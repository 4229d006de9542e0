/** The statements of the tables of a state file (`revisions.ts`, `keys.ts`, `tables.ts`), and those of its faults. */
import { authSql } from "../../../../src/server/storage/auth-tables.js";
import { keySql } from "../../../../src/server/storage/keys.js";
import { revisionColumns, revisionSql } from "../../../../src/server/storage/revisions.js";
import { latin1 } from "../../../check/sequential-model.js";
import { type MetaValue, permissionName, type RevRow, type Tables, utf8 } from "./tables.js";
import { many, one, run, type Works } from "./work.js";

const revisionStatements: Works = [
  [
    "INSERT INTO rev(id, prev, del, crc, kv) VALUES (?, ?, ?, ?, ?)",
    run(({ rev }, ...[id, prev, del, crc, kv]: [bigint, bigint | null, number, number, Uint8Array]) => {
      rev.insert([id, prev, BigInt(del), BigInt(crc), Buffer.from(kv)]);
      return 1;
    }),
  ],
  [revisionSql.get, one(({ rev }, id: bigint) => rev.get(id))],
  [revisionSql.before, one(({ rev }, bound: bigint, id: bigint) => before({ rev }, rev.get(id)?.[1] ?? null, bound))],
  [revisionSql.since, many(({ rev }, from: bigint, to: bigint) => rev.between(from, to))],
  [
    `${revisionSql.since} LIMIT ?`,
    many(({ rev }, from: bigint, to: bigint, rowsMax: number) => rev.between(from, to).slice(0, rowsMax)),
  ],
  [
    revisionSql.stepEnd,
    one(({ rev }, from: bigint, to: bigint, rowsMax: number) => [
      rev.between(from, to).slice(0, rowsMax).at(-1)?.[0] ?? null,
    ]),
  ],
  [
    revisionSql.dropPrevious,
    run(({ rev }, first: bigint, last: bigint) => {
      const dropped = new Set(rev.between(first, last + 1n).map(([, prev]) => prev));
      return rev.drop(([id]) => dropped.has(id));
    }),
  ],
  [revisionSql.tombstones, many(({ rev }, from: bigint, to: bigint) => rev.between(from, to).filter(isTombstone))],
  [
    revisionSql.dropTombstones,
    run(({ rev }, from: bigint, to: bigint) => rev.drop((row) => isTombstone(row) && row[0] >= from && row[0] < to)),
  ],
  [
    "SELECT count(*), min(id), max(id) FROM rev",
    one(({ rev }) => [BigInt(rev.all.length), rev.all[0]?.[0] ?? null, rev.last?.[0] ?? null]),
  ],
  [
    "SELECT id AS id, kv AS data FROM rev WHERE length(kv) > 0 ORDER BY id",
    many(({ rev }) => rev.all.map(([id, , , , kv]) => ({ id, data: Buffer.from(kv) }))),
  ],
  [
    "UPDATE rev SET kv = ? WHERE id = ?",
    run(({ rev }, kv: Uint8Array, id: bigint) => {
      const row = rev.get(id);
      if (row === undefined) return 0;
      rev.put([row[0], row[1], row[2], row[3], kv]);
      return 1;
    }),
  ],
];

function isTombstone([, , del]: RevRow): boolean {
  return del === 1n;
}

/** Follows a key's changes back to the newest one before the bound; undefined if it is not there (any more). */
export function before({ rev }: Pick<Tables, "rev">, newest: bigint | null, bound: bigint): RevRow | undefined {
  let id = newest;
  while (id !== null && id >= bound) id = rev.get(id)?.[1] ?? null;
  return id === null ? undefined : rev.get(id);
}

const keyStatements: Works = [
  [
    keySql.get,
    one(({ cur }, key: Uint8Array) => {
      const row = cur.get(latin1(key));
      return row === undefined ? undefined : [row.id, row.crt, row.ver, row.lease, row.dead];
    }),
  ],
  [
    "INSERT INTO cur(key, id, crt, ver, lease, dead) VALUES (?, ?, ?, ?, ?, 0)",
    run(({ cur }, ...[key, id, crt, ver, lease]: [Uint8Array, bigint, bigint, bigint, bigint]) => {
      cur.insert({ key: Buffer.from(key), name: latin1(key), id, crt, ver, lease, dead: 0n });
      return 1;
    }),
  ],
  [
    "UPDATE cur SET id = ?, crt = ?, ver = ?, lease = ?, dead = 0 WHERE key = ?",
    run(({ cur }, ...[id, crt, ver, lease, key]: [bigint, bigint, bigint, bigint, Uint8Array]) => {
      const name = latin1(key);
      const former = cur.get(name);
      if (former === undefined) return 0;
      cur.put({ key: former.key, name, id, crt, ver, lease, dead: 0n });
      return 1;
    }),
  ],
  [
    "UPDATE cur SET id = ?, crt = 0, ver = 0, lease = 0, dead = 1 WHERE key = ?",
    run(({ cur }, id: bigint, key: Uint8Array) => {
      const name = latin1(key);
      const former = cur.get(name);
      if (former === undefined) return 0;
      cur.put({ key: former.key, name, id, crt: 0n, ver: 0n, lease: 0n, dead: 1n });
      return 1;
    }),
  ],
  [
    "DELETE FROM cur WHERE key = ? AND id = ? AND dead = 1",
    run(({ cur }, key: Uint8Array, id: bigint) => {
      const row = cur.get(latin1(key));
      return row?.id === id && row.dead === 1n ? cur.remove(row.name) : 0;
    }),
  ],
  [
    keySql.ofLease,
    many(({ cur }, lease: bigint) => {
      const attached = lease === 0n ? [] : cur.all.filter((row) => row.lease === lease);
      return attached.map(({ key, id }) => [key, id]);
    }),
  ],
];

const putMeta = (tables: Tables, key: string, value: MetaValue): number => {
  tables.meta.put([key, value instanceof Uint8Array ? Buffer.from(value) : value]);
  return 1;
};

const metaStatements: Works = [
  [
    "SELECT v FROM meta WHERE k = ?",
    one(({ meta }, key: string) => {
      const value = meta.get(key)?.[1];
      if (value === undefined) return undefined;
      return { v: typeof value === "bigint" ? Number(value) : value };
    }),
  ],
  ["INSERT INTO meta(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v", run(putMeta)],
  ["DELETE FROM meta WHERE k = ?", run(({ meta }, key: string) => meta.remove(key))],
  [
    "SELECT v FROM meta WHERE k = 'compact_cursor'",
    one(({ meta }) => {
      const row = meta.get("compact_cursor");
      return row === undefined ? undefined : [row[1]];
    }),
  ],
  [
    "INSERT INTO meta(k, v) VALUES ('compact_cursor', ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
    run((tables, next: bigint) => putMeta(tables, "compact_cursor", next)),
  ],
  ["DELETE FROM meta WHERE k = 'compact_cursor'", run(({ meta }) => meta.remove("compact_cursor"))],
  ['SELECT idx AS "index", hash FROM mark ORDER BY idx', many(({ mark }) => mark.all)],
  [
    "INSERT INTO mark(idx, hash) VALUES (?, ?)",
    run(({ mark }, index: number, hash: number) => {
      mark.insert({ index, hash });
      return 1;
    }),
  ],
  [
    "DELETE FROM mark WHERE idx NOT IN (SELECT idx FROM mark ORDER BY idx DESC LIMIT 8)",
    run(({ mark }) => mark.cut(0, mark.all.length - 8)),
  ],
  ["DELETE FROM mark", run(({ mark }) => mark.cut(0, mark.all.length))],
];

const smallStatements: Works = [
  ["SELECT id, ttl, remaining FROM lease WHERE id = ?", one(({ lease }, id: bigint) => lease.get(id))],
  ["SELECT id, ttl, remaining FROM lease ORDER BY id", many(({ lease }) => lease.all)],
  [
    "INSERT INTO lease(id, ttl, remaining) VALUES (?, ?, ?)",
    run(({ lease }, id: bigint, ttl: number, remaining: number) => {
      lease.insert([id, BigInt(ttl), BigInt(remaining)]);
      return 1;
    }),
  ],
  [
    "UPDATE lease SET remaining = ? WHERE id = ?",
    run(({ lease }, remaining: number, id: bigint) => {
      const row = lease.get(id);
      if (row === undefined) return 0;
      lease.put([id, row[1], BigInt(remaining)]);
      return 1;
    }),
  ],
  ["DELETE FROM lease WHERE id = ?", run(({ lease }, id: bigint) => lease.remove(id))],
  ["SELECT id, name, peer_urls, client_urls, learner FROM member ORDER BY id", many(({ member }) => member.all)],
  ["DELETE FROM member WHERE id = ?", run(({ member }, id: Uint8Array) => member.remove(latin1(id)))],
  [
    "REPLACE INTO member(id, name, peer_urls, client_urls, learner) VALUES (?, ?, ?, ?, ?)",
    run(({ member }, ...[id, name, peer_urls, client_urls, learner]: [Uint8Array, string, string, string, number]) => {
      member.put({ id: Buffer.from(id), name, peer_urls, client_urls, learner });
      return 1;
    }),
  ],
  [
    "SELECT id FROM removed WHERE id = ?",
    one(({ removed }, id: Uint8Array) => {
      const found = removed.get(latin1(id));
      return found === undefined ? undefined : { id: found };
    }),
  ],
  ["DELETE FROM removed", run(({ removed }) => removed.cut(0, removed.all.length))],
  ["SELECT id FROM removed ORDER BY id", many(({ removed }) => removed.all.map((id) => ({ id })))],
  [
    "INSERT INTO removed(id) VALUES (?)",
    run(({ removed }, id: Uint8Array) => {
      removed.insert(Buffer.from(id));
      return 1;
    }),
  ],
  ["SELECT member, type FROM alarm ORDER BY member, type", many(({ alarm }) => alarm.all)],
  [
    "INSERT INTO alarm(member, type) VALUES (?, ?) ON CONFLICT DO NOTHING",
    run(({ alarm }, member: Uint8Array, type: number) => {
      alarm.put({ member: Buffer.from(member), type });
      return 1;
    }),
  ],
  [
    "DELETE FROM alarm WHERE member = ? AND type = ?",
    run(({ alarm }, member: Uint8Array, type: number) =>
      alarm.drop((row) => row.type === type && latin1(row.member) === latin1(member)),
    ),
  ],
];

const authStatements: Works = [
  [authSql.users, many(({ user }) => user.all)],
  [
    authSql.putUser,
    run(({ user }, ...[name, password_hash, no_password, roles]: [string, string, number, string]) => {
      user.put({ name, password_hash, no_password, roles });
      return 1;
    }),
  ],
  [authSql.removeUser, run(({ user }, name: string) => user.remove(utf8(name)))],
  [authSql.roles, many(({ role }) => role.all.map((name) => ({ name })))],
  [
    authSql.insertRole,
    run(({ role }, name: string) => {
      role.insert(name);
      return 1;
    }),
  ],
  [authSql.removeRole, run(({ role }, name: string) => role.remove(utf8(name)))],
  [authSql.permissions, many(({ permission }) => permission.all)],
  [
    authSql.putPermission,
    run(({ permission }, ...[role, key, range_end, type]: [string, Uint8Array, Uint8Array, number]) => {
      permission.put({ role, key: Buffer.from(key), range_end: Buffer.from(range_end), type });
      return 1;
    }),
  ],
  [
    authSql.removePermission,
    run(({ permission }, role: string, key: Uint8Array, end: Uint8Array) =>
      permission.remove(permissionName({ role, key: Buffer.from(key), range_end: Buffer.from(end) })),
    ),
  ],
  [authSql.removeRolePermissions, run(({ permission }, role: string) => permission.drop((row) => row.role === role))],
];

export const stateStatements: Works = [
  ...authStatements,
  ...revisionStatements,
  ...keyStatements,
  ...metaStatements,
  ...smallStatements,
  [
    `SELECT ${revisionColumns} FROM cur c CROSS JOIN rev r ON r.id = c.id WHERE c.key = ? AND c.dead = 0`,
    one(({ cur, rev }, key: Uint8Array) => {
      const row = cur.get(latin1(key));
      return row === undefined || row.dead === 1n ? undefined : rev.get(row.id);
    }),
  ],
];

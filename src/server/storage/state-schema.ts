/** Tables of a state file, schema "D" of spec/raft-storage.md 3.2. */

export const stateSchemaVersion = 2;

/** Since version 2. */
const authSchema = `
  CREATE TABLE auth_user(
    name TEXT PRIMARY KEY NOT NULL, password_hash TEXT NOT NULL, no_password INTEGER NOT NULL, roles TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE auth_role(name TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE auth_permission(
    role TEXT NOT NULL, key BLOB NOT NULL, range_end BLOB NOT NULL, type INTEGER NOT NULL,
    PRIMARY KEY (role, key, range_end)
  ) STRICT, WITHOUT ROWID`;

/** What brings an older file to the next version. */
export const stateUpgrades: Readonly<Record<number, string>> = { 1: authSchema };

/**
 * `rev`: one row a change, never updated. id = revision * 2^20 + position inside the revision; prev = id of the former change of
 * the same key (it may be compacted); del = 1 for a tombstone; kv = the KeyValue as it goes on the wire (a tombstone's holds
 * key and mod_revision); crc over all of it.
 * `cur`: one row a key that exists or whose tombstone is not compacted yet. id points into `rev`; crt = create revision;
 * ver = version; lease = lease id or 0; dead = 1 for a tombstone.
 * `meta`: applied_index, applied_term, revision, compact_revision, compact_cursor, cluster_id (8 bytes) and so on.
 * `lease`: ttl and remaining in seconds (remaining = 0: full). `member`, `removed` and `alarm`: ids are 8 bytes, URLs are
 * JSON lists; removed members stay in `removed` for ever. `mark`: the rolling hash of the state (`meta` has the newest) as
 * it was when the entry idx was applied; the last few are kept, for comparing members.
 * `auth_user`: roles is a JSON list; `auth_permission`: range_end is empty for one key, a single 0 byte for "from key on", else
 * excluded; type is 0 READ, 1 WRITE, 2 READWRITE. `meta` has auth_enabled, auth_revision, and auth_version, which moves
 * with every change of all this.
 */
export const stateSchema = `
  CREATE TABLE rev(
    id INTEGER PRIMARY KEY, prev INTEGER, del INTEGER NOT NULL, crc INTEGER NOT NULL, kv BLOB NOT NULL
  ) STRICT;
  CREATE TABLE cur(
    key BLOB PRIMARY KEY NOT NULL, id INTEGER NOT NULL, crt INTEGER NOT NULL, ver INTEGER NOT NULL,
    lease INTEGER NOT NULL, dead INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX cur_lease ON cur(lease) WHERE lease <> 0;
  CREATE TABLE meta(k TEXT PRIMARY KEY NOT NULL, v ANY NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE lease(id INTEGER PRIMARY KEY, ttl INTEGER NOT NULL, remaining INTEGER NOT NULL) STRICT;
  CREATE TABLE member(
    id BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL, peer_urls TEXT NOT NULL, client_urls TEXT NOT NULL,
    learner INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE removed(id BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE mark(idx INTEGER PRIMARY KEY, hash INTEGER NOT NULL) STRICT;
  CREATE TABLE alarm(member BLOB NOT NULL, type INTEGER NOT NULL, PRIMARY KEY (member, type)) STRICT, WITHOUT ROWID;
  ${authSchema}`;

/** Conformance: HashKV against an independent calculation, and Hash. */

import { expect } from "vitest";
import { Code, status } from "../../proto/status.js";
import type { Context } from "./context.js";
import { conformance } from "./harness.js";
import { historyHash, type StoredRevision } from "./history-hash.js";
import { bytes, deleteOp, headerOf, putOp } from "./words.js";

const FRESH = { fresh: true } as const;

/** The history that `writeHistory` leaves behind in a fresh store. */
const history: readonly StoredRevision[] = [
  put({ main: 2n, sub: 0n }, { key: "a", value: "1", createRevision: 2n, version: 1n }),
  put({ main: 3n, sub: 0n }, { key: "b", value: "", createRevision: 3n, version: 1n }),
  put({ main: 4n, sub: 0n }, { key: "a", value: "2", createRevision: 2n, version: 2n }),
  put({ main: 5n, sub: 0n }, { key: "c", value: "3", createRevision: 5n, version: 1n }),
  put({ main: 5n, sub: 1n }, { key: "d", value: "4", createRevision: 5n, version: 1n }),
  tombstone({ main: 6n, sub: 0n }, "b"),
  tombstone({ main: 7n, sub: 0n }, "c"),
  tombstone({ main: 7n, sub: 1n }, "d"),
  put({ main: 8n, sub: 0n }, { key: "b", value: "5", createRevision: 8n, version: 1n, lease: 99n }),
];

interface At {
  readonly main: bigint;
  readonly sub: bigint;
}

function put(
  at: At,
  kv: { key: string; value: string; createRevision: bigint; version: bigint; lease?: bigint },
): StoredRevision {
  const { key, value, ...numbers } = kv;
  return { ...at, tombstone: false, kv: { key: bytes(key), value: bytes(value), modRevision: at.main, ...numbers } };
}

function tombstone(at: At, key: string): StoredRevision {
  return { ...at, tombstone: true, kv: { key: bytes(key) } };
}

async function writeHistory({ client }: Context): Promise<void> {
  await client.put({ key: bytes("a"), value: bytes("1") });
  await client.put({ key: bytes("b") });
  await client.put({ key: bytes("a"), value: bytes("2") });
  await client.txn({ success: [putOp(bytes("c"), "3"), putOp(bytes("d"), "4")] });
  await client.deleteRange({ key: bytes("b") });
  await client.txn({ success: [deleteOp(bytes("c")), deleteOp(bytes("d"))] });
  await client.leaseGrant({ TTL: 600, ID: 99 });
  await client.put({ key: bytes("b"), value: bytes("5"), lease: 99 });
}

/** The revisions up to `main`, as "main.sub" leaves some out. */
function upTo(main: bigint, ...leftOut: string[]): StoredRevision[] {
  return history.filter((entry) => entry.main <= main && !leftOut.includes(`${entry.main}.${entry.sub}`));
}

/** `hash_revision` came with 3.6. */
function hashRevision(t: Context, revision: bigint): bigint {
  return t.differs({ etcd35: 0n, ours: revision, why: "the field came with 3.6" });
}

conformance("HashKV", (test) => {
  test(
    "of an empty store is the hash of the word alone",
    async (t) => {
      const response = await t.client.hashKv({});
      expect({ ...response, header: undefined }).toEqual({
        header: undefined,
        hash: historyHash([]),
        compactRevision: -1n,
        hashRevision: hashRevision(t, 1n),
      });
    },
    FRESH,
  );

  test(
    "of every revision of a history equals the calculation",
    async (t) => {
      await writeHistory(t);
      for (let revision = 1n; revision <= 8n; revision += 1n) {
        const response = await t.client.hashKv({ revision });
        expect([revision, response.hash, response.compactRevision]).toEqual([
          revision,
          historyHash(upTo(revision)),
          -1n,
        ]);
        expect(response.hashRevision).toBe(hashRevision(t, revision));
        expect(headerOf(response).revision).toBe(8n);
      }
    },
    FRESH,
  );

  test(
    "of revision 0 is that of the current revision",
    async (t) => {
      await writeHistory(t);
      const response = await t.client.hashKv({ revision: 0 });
      expect(response.hash).toBe(historyHash(upTo(8n)));
      expect(response.hashRevision).toBe(hashRevision(t, 8n));
    },
    FRESH,
  );

  test(
    "after a compaction leaves out what the compaction would not keep",
    async (t) => {
      await writeHistory(t);
      await t.client.compact({ revision: 5, physical: true });
      const current = await t.client.hashKv({});
      // Compaction at 5 keeps a@4, b@3, c@5.0 and d@5.1; at 8, of those, a@4 alone.
      expect([current.hash, current.compactRevision]).toEqual([historyHash(upTo(8n, "2.0", "3.0", "5.0", "5.1")), 5n]);
      const between = await t.client.hashKv({ revision: 6 });
      expect([between.hash, between.compactRevision]).toEqual([historyHash(upTo(6n, "2.0", "3.0")), 5n]);
    },
    FRESH,
  );

  const rescan =
    "etcd hashes everything it keeps at each compaction, before it deletes, and answers from that; ours compacts only what is new and hashes what is there";

  test(
    "at the compact revision itself",
    async (t) => {
      await writeHistory(t);
      await t.client.compact({ revision: 5, physical: true });
      const response = await t.client.hashKv({ revision: 5 });
      const expected = t.differs({
        etcd35: [historyHash(upTo(5n)), -1n],
        ours: [historyHash(upTo(5n, "2.0")), 5n],
        why: rescan,
      });
      expect([response.hash, response.compactRevision]).toEqual(expected);
    },
    FRESH,
  );

  test(
    "after two compactions",
    async (t) => {
      await writeHistory(t);
      await t.client.compact({ revision: 3, physical: true });
      await t.client.compact({ revision: 6, physical: true });
      const atCompaction = await t.client.hashKv({ revision: 6 });
      const expected = t.differs({
        etcd35: [historyHash(upTo(6n, "2.0", "3.0")), 3n],
        ours: [historyHash(upTo(6n, "2.0", "3.0", "6.0")), 6n],
        why: rescan,
      });
      expect([atCompaction.hash, atCompaction.compactRevision]).toEqual(expected);
      const current = await t.client.hashKv({});
      expect([current.hash, current.compactRevision]).toEqual([
        historyHash(upTo(8n, "2.0", "3.0", "5.0", "5.1", "6.0")),
        6n,
      ]);
    },
    FRESH,
  );

  test(
    "below the compact revision is refused",
    async (t) => {
      await writeHistory(t);
      await t.client.compact({ revision: 5, physical: true });
      await t.rejects(t.client.hashKv({ revision: 4 }), status.Compacted);
    },
    FRESH,
  );

  test("of a future revision is refused", async (t) => {
    await t.rejects(t.client.hashKv({ revision: t.base + 1n }), status.FutureRev);
  });

  test("of a negative revision", async (t) => {
    await t.put("a");
    const call = t.client.hashKv({ revision: -1 });
    if (t.target.isEtcd35)
      expect(headerOf(await call).revision).toBe(t.base + 1n); // 3.5 hashes something useless
    else await expect(call).rejects.toMatchObject({ code: Code.OUT_OF_RANGE });
  });

  test(
    "is the same for the same history on another member, and differs for another history",
    async (t) => {
      await writeHistory(t);
      const { hash } = await t.client.hashKv({});
      expect(hash).toBe(historyHash(history));
      await t.client.put({ key: bytes("e") });
      expect((await t.client.hashKv({})).hash).not.toBe(hash);
      expect((await t.client.hashKv({ revision: 8 })).hash).toBe(hash);
    },
    FRESH,
  );

  test(
    "outlives a defragmentation",
    async (t) => {
      await writeHistory(t);
      const { hash } = await t.client.hashKv({});
      await t.client.defragment();
      expect((await t.client.hashKv({})).hash).toBe(hash);
    },
    FRESH,
  );
});

conformance("Hash", (test) => {
  test("answers a number under the current revision", async (t) => {
    await t.put("a");
    const response = await t.client.hash();
    expect(response.hash).toBeGreaterThan(0);
    expect(t.since(headerOf(response).revision)).toBe(1);
  });

  test("changes with the data", async (t) => {
    const before = (await t.client.hash()).hash;
    await t.put("a");
    expect((await t.client.hash()).hash).not.toBe(before);
  });
});

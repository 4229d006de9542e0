/** Conformance: compaction. */

import { expect } from "vitest";
import { Code, status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { headerOf, putOp, rangeOp, responseOf } from "./words.js";

conformance("Compaction", (test) => {
  test("reads below the compact revision are refused, at and above it they are exact", async (t) => {
    await t.put("a", "1");
    await t.put("a", "2");
    await t.put("a", "3");
    await t.put("b", "4");
    await t.client.compact({ revision: t.base + 3n, physical: true });
    await t.rejects(t.get("a", { revision: t.base + 2n }), status.Compacted);
    expect(t.facts((await t.get("a", { revision: t.base + 3n })).kvs[0])).toEqual({
      key: "a",
      value: "3",
      created: 1,
      modified: 3,
      version: 3,
      lease: 0n,
    });
    expect(t.names((await t.list({ revision: t.base + 3n })).kvs)).toEqual(["a"]);
    expect(t.names((await t.list({ revision: t.base + 4n })).kvs)).toEqual(["a", "b"]);
  });

  test("the header holds the current revision, not the compacted one, and no revision is taken", async (t) => {
    await t.putAll("a", "b", "c");
    const response = await t.client.compact({ revision: t.base + 1n });
    expect(t.since(headerOf(response).revision)).toBe(3);
    expect(await t.revision()).toBe(t.base + 3n);
  });

  test("at the current revision it is allowed and the current state stays readable", async (t) => {
    await t.putAll("a", "b");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    expect((await t.list({ revision: t.base + 2n })).count).toBe(2n);
    expect((await t.list()).count).toBe(2n);
    await t.put("c");
    expect((await t.list()).count).toBe(3n);
  });

  test("a future revision is refused", async (t) => {
    await t.rejects(t.client.compact({ revision: t.base + 1n }), status.FutureRev);
    await t.rejects(t.client.compact({ revision: 2n ** 63n - 1n }), status.FutureRev);
  });

  test("the same revision again, and any below, are refused as compacted", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 2n });
    await t.rejects(t.client.compact({ revision: t.base + 2n }), status.Compacted);
    await t.rejects(t.client.compact({ revision: t.base + 1n }), status.Compacted);
    await t.rejects(t.client.compact({ revision: t.base + 2n, physical: true }), status.Compacted);
  });

  test("a higher revision may follow", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 1n });
    await t.client.compact({ revision: t.base + 3n, physical: true });
    await t.rejects(t.get("a", { revision: t.base + 2n }), status.Compacted);
  });

  test("reads below are refused at once even when physical is false", async (t) => {
    await t.putAll("a", "b", "c");
    await t.client.compact({ revision: t.base + 3n, physical: false });
    await t.rejects(t.get("a", { revision: t.base + 2n }), status.Compacted);
    await t.rejects(t.get("a", { revision: t.base + 2n, serializable: true }), status.Compacted);
    await t.rejects(t.get("a", { revision: t.base + 2n, countOnly: true }), status.Compacted);
  });

  test("a key that was deleted before the compact revision is gone, its new generation is whole", async (t) => {
    await t.put("a", "old");
    await t.del("a");
    await t.put("a", "new");
    await t.client.compact({ revision: t.base + 3n, physical: true });
    expect(t.facts((await t.get("a", { revision: t.base + 3n })).kvs[0])).toMatchObject({ value: "new", created: 3 });
  });

  test("a key deleted above the compact revision is readable until its delete", async (t) => {
    await t.put("a", "v");
    await t.put("b", "v");
    await t.del("a");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    expect((await t.get("a", { revision: t.base + 2n })).count).toBe(1n);
    expect((await t.get("a", { revision: t.base + 3n })).count).toBe(0n);
  });

  test("at the revision of a delete the key is absent", async (t) => {
    await t.put("a", "v");
    await t.del("a");
    await t.client.compact({ revision: t.base + 2n, physical: true });
    expect((await t.get("a", { revision: t.base + 2n })).count).toBe(0n);
    await t.put("a", "again");
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ created: 3, version: 1 });
  });

  test("version and create revision survive", async (t) => {
    for (let turn = 0; turn < 5; turn += 1) await t.put("a", String(turn));
    await t.client.compact({ revision: t.base + 5n, physical: true });
    await t.put("a", "after");
    expect(t.facts((await t.get("a")).kvs[0])).toMatchObject({ created: 1, version: 6 });
  });

  test("a lease still deletes its keys after a compaction", async (t) => {
    const lease = await t.grant();
    await t.put("a", "v", { lease });
    await t.client.compact({ revision: t.base + 1n, physical: true });
    await t.client.leaseRevoke({ ID: lease });
    expect((await t.get("a")).count).toBe(0n);
  });

  test("revision -1 and 0 still read the latest", async (t) => {
    await t.put("a", "v");
    await t.client.compact({ revision: t.base + 1n });
    expect((await t.get("a", { revision: -1 })).count).toBe(1n);
    expect((await t.get("a", { revision: 0 })).count).toBe(1n);
  });

  test("a range in a txn at a compacted revision undoes the txn", async (t) => {
    await t.putAll("a", "b");
    await t.client.compact({ revision: t.base + 2n });
    const success = [putOp(t.key("c")), rangeOp(t.key("a"), { revision: t.base + 1n })];
    await t.rejects(t.client.txn({ success }), status.Compacted);
    expect((await t.get("c")).count).toBe(0n);
  });

  test("a read-only txn at a compacted revision is refused, at the compact revision it reads", async (t) => {
    await t.putAll("a", "b");
    await t.client.compact({ revision: t.base + 2n });
    const at = (revision: bigint) => t.client.txn({ success: [rangeOp(t.key("a"), { revision })] });
    await t.rejects(at(t.base + 1n), status.Compacted);
    expect(responseOf((await at(t.base + 2n)).responses[0], "responseRange").count).toBe(1n);
  });

  test("many keys and revisions: the state at the compact revision and after is exact", async (t) => {
    const names = Array.from({ length: 40 }, (_, index) => `k${String(index).padStart(2, "0")}`);
    for (const round of [1, 2, 3]) {
      for (const name of names) await t.put(name, `${name}-${round}`);
    }
    for (const name of names.slice(0, 20)) await t.del(name);
    const before = await t.list({ revision: t.base + 130n });
    await t.client.compact({ revision: t.base + 130n, physical: true });
    const after = await t.list({ revision: t.base + 130n });
    expect(after.kvs).toEqual(before.kvs);
    expect(after.count).toBe(30n);
    expect((await t.list()).count).toBe(20n);
  });

  test("writes go on during compactions", async (t) => {
    for (let round = 1; round <= 10; round += 1) {
      const { header } = await t.put("other");
      const compacting = t.client.compact({ revision: header?.revision ?? 0n });
      const [written] = await Promise.all([t.put("a", String(round)), compacting]);
      expect(t.since(headerOf(written).revision)).toBe(2 * round);
      expect(t.facts((await t.get("a")).kvs[0])?.value).toBe(String(round));
    }
  });
});

conformance("Compaction of a store that never was", (test) => {
  test(
    "a negative revision is refused as compacted",
    async (t) => {
      await t.put("a");
      await t.rejects(t.client.compact({ revision: -5 }), status.Compacted);
      await t.rejects(t.client.compact({ revision: -1 }), status.Compacted);
    },
    { fresh: true },
  );

  test(
    "revision 0",
    async (t) => {
      await t.put("a");
      const call = t.client.compact({ revision: 0 });
      if (t.target.isEtcd35)
        await call; // 3.5 takes it, and answers HashKV(0) from that "compaction" ever after
      else await expect(call).rejects.toMatchObject({ code: Code.OUT_OF_RANGE });
      expect((await t.get("a", { revision: 1 })).count).toBe(0n);
      expect((await t.get("a")).count).toBe(1n);
    },
    { fresh: true },
  );

  test(
    "revision 1 is allowed before the first write",
    async (t) => {
      await t.client.compact({ revision: 1, physical: true });
      await t.rejects(t.client.compact({ revision: 1 }), status.Compacted);
      await t.put("a");
      expect(await t.revision()).toBe(2n);
    },
    { fresh: true },
  );

  test(
    "compacting everything away leaves an empty store at the same revision",
    async (t) => {
      await t.putAll("a", "b");
      await t.delAll();
      await t.client.compact({ revision: 4, physical: true });
      expect((await t.list()).count).toBe(0n);
      expect(await t.revision()).toBe(4n);
      await t.put("c");
      expect(await t.revision()).toBe(5n);
    },
    { fresh: true },
  );
});

conformance("Compaction by itself", (test) => {
  test(
    "periodic: what is older than the retention goes, the present stays",
    async (t) => {
      await t.put("a", "old");
      await t.put("a", "new");
      await t.eventually(async () => {
        await t.rejects(t.get("a", { revision: t.base + 1n }), status.Compacted);
      });
      expect(t.facts((await t.get("a", { revision: t.base + 2n })).kvs[0])?.value).toBe("new");
      expect(await t.revision()).toBe(t.base + 2n);
    },
    { fresh: { "auto-compaction-mode": "periodic", "auto-compaction-retention": "1s" } },
  );
});

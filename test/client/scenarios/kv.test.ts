/** Scenarios 1 to 8 of the SDK: keys, values, scans, transactions, namespaces and ids. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bytes,
  type ClientOptions,
  CompactedError,
  ConflictError,
  cmp,
  createClient,
  type EtcdClient,
  formatId,
  jsonReplacer,
  op,
} from "../../../src/client/index.js";
import type { RealEtcd } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";

describe.each(targets)("scenarios", (target) => {
  describe.skipIf(skips(target))(blockName("keys and values", target), () => {
    let server: RealEtcd;
    let client: EtcdClient;
    const another = (options: Partial<ClientOptions> = {}) => createClient({ endpoints: server.endpoint, ...options });
    beforeAll(async () => {
      server = await target.start();
      client = another();
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });

    it("scenario 1: text, binary and empty values come back byte for byte, and each write raises the revision by one", async () => {
      const view = client.as(bytes);
      const values = [
        new TextEncoder().encode("grüße 🌍\0"),
        Uint8Array.from({ length: 256 }, (_, index) => index),
        new Uint8Array(0),
      ];
      let revision = (await view.put("1/start", new Uint8Array(1))).header.revision;
      for (const [index, value] of values.entries()) {
        const key = Uint8Array.of(49, 47, 255, index);
        expect((await view.put(key, value)).header.revision).toBe(++revision);
        const found = await view.get(key);
        expect([found?.keyBytes, found?.value, found?.version]).toEqual([key, value, 1]);
      }
      const { kvs, count, more } = await view.list({ prefix: Uint8Array.of(49, 47, 255) });
      expect(kvs.map((kv) => kv.value)).toEqual(values);
      expect([count, more]).toEqual([3, false]);
      const removed = await view.delete({ prefix: "1/" }, { previous: true });
      expect(removed.header.revision).toBe(revision + 1n);
      expect([removed.deleted, await view.count({ prefix: "1/" })]).toEqual([4, 0]);
      expect(removed.previous.filter((kv) => kv.keyBytes.length === 4).map((kv) => kv.value)).toEqual(values);
    });

    it("scenario 2: a scan of 20 000 keys of 1 KiB is one revision in flat memory while another client writes", async () => {
      await fill(client, 20_000);
      const before = (await client.get(keyOf(0)))?.createRevision ?? 0n;
      await using writer = another();
      const writing = new AbortController();
      const writes = (async () => {
        for (let round = 0; !writing.signal.aborted; round++) {
          await writer.put(keyOf((round * 7) % 20_000), "changed");
          await writer.delete(keyOf((round * 13) % 20_000));
          await writer.put(`2/k/${round}-new`, "new");
        }
        return true;
      })();
      const revisions = new Set<bigint>();
      const pages: number[] = [];
      const memory: number[] = [heldBytes()];
      let next = 0;
      for await (const { revision, kvs } of client
        .scan({ prefix: "2/k/" }, { revision: await filledAt(client) })
        .pages()) {
        revisions.add(revision);
        pages.push(kvs.reduce((sum, kv) => sum + kv.value.length, 0));
        for (const kv of kvs) {
          if (kv.key !== keyOf(next) || kv.value !== valueOf(next)) throw new Error(`key ${next} is ${kv.key}`);
          next++;
        }
        if (pages.length % 4 === 0) memory.push(heldBytes());
      }
      writing.abort();
      expect(await writes).toBe(true);
      expect(next).toBe(20_000);
      expect(revisions.size).toBe(1);
      expect([...revisions][0]).toBeGreaterThanOrEqual(before);
      expect(Math.max(...pages)).toBeLessThan(8 * 1024 * 1024);
      // A scan that keeps what it has shown holds 10 MiB more at every moment of its second half.
      const half = Math.ceil(memory.length / 2);
      const grownBytes = Math.min(...memory.slice(half)) - Math.min(...memory.slice(0, half));
      expect(grownBytes).toBeLessThan(5 * 1024 * 1024);
    });

    it("scenario 3: a scan is the same with and without RangeStream, which is asked for once where it is not offered", async () => {
      await fill(client, 1_500, "3/k/");
      const paths: string[] = [];
      await using counting = another({ interceptors: [recorder(paths)] });
      const listed = (await counting.list({ prefix: "3/k/" })).kvs;
      for (let round = 0; round < 3; round++) {
        const scanned: unknown[] = [];
        for await (const kv of counting.scan({ prefix: "3/k/" })) scanned.push(kv);
        expect(scanned).toEqual(listed);
      }
      const streams = paths.filter((path) => path.endsWith("/RangeStream")).length;
      const pages = paths.filter((path) => path.endsWith("/Range")).length;
      if (target.name === "litecd") expect([streams, pages]).toEqual([3, 4]);
      else expect([streams, pages > 10]).toEqual([1, true]);
    });

    it("scenario 4: compacted and future revisions are typed, and a scan says so in its middle", async () => {
      const revisions: bigint[] = [];
      for (const value of ["one", "two", "three"]) revisions.push((await client.put("4", value)).header.revision);
      const [first = 0n, second = 0n] = revisions;
      await fill(client, 600, "4/k/");
      const pinned = (await client.get("4"))?.modRevision ?? 0n;
      const scan = client.scan({ prefix: "4/" }, { revision: pinned + 6n, pageSize: 20 }).pages();
      const reading = scan[Symbol.asyncIterator]();
      expect((await reading.next()).value).toMatchObject({ revision: pinned + 6n });
      await client.compact(second, { physical: true });
      expect((await client.get("4", { revision: second }))?.value).toBe("two");
      const failure: unknown = await client.get("4", { revision: first }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CompactedError);
      expect(failure).toMatchObject({ code: "Compacted", compactRevision: second, resumeRevision: first });
      const future = client.get("4", { revision: pinned + 1_000_000n });
      await expect(future).rejects.toMatchObject({ code: "FutureRev", outcome: "not-applied" });

      const late = await client.put("4", "four");
      await client.compact(late.header.revision);
      const rest = (async () => {
        for (let step = await reading.next(); step.done !== true; step = await reading.next()) continue;
        return "whole";
      })().catch((error: unknown) => error);
      expect(await rest).toMatchObject({ code: "Compacted", resumeRevision: pinned + 6n });
    });

    it("scenario 5: of fifty clients that put a key if it is absent, one succeeds and 49 get a ConflictError", async () => {
      const clients = Array.from({ length: 50 }, () => another());
      const results = await Promise.allSettled(
        clients.map((each, index) => each.put("5/once", `${index}`, { ifAbsent: true })),
      );
      await Promise.all(clients.map((each) => each.close()));
      const reasons = results.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
      expect(reasons).toHaveLength(49);
      const winner = await client.as(bytes).get("5/once");
      expect(winner?.value).toEqual(bytesOf(results.findIndex((each) => each.status === "fulfilled")));
      for (const reason of reasons) {
        expect(reason).toBeInstanceOf(ConflictError);
        expect(reason).toMatchObject({ code: "Conflict", outcome: "not-applied", current: winner });
      }
    });

    it("scenario 6: a transaction runs one branch, gives results of its own types, and applies nothing of the other", async () => {
      await client.put("6/a", "1");
      const spec = {
        if: [cmp.value("6/a").equal("1")],
        then: [
          op.put("6/then", "x", { previous: true }),
          op.get("6/a"),
          op.txn({
            if: [cmp.exists("6/none")],
            then: [op.put("6/inner-then", "!")],
            else: [op.delete({ prefix: "6/d" }), op.get({ prefix: "6/" }, { keysOnly: true, limit: 1 })],
          }),
        ],
        else: [op.put("6/else", "y"), op.delete("6/a", { previous: true })],
      } as const;
      const yes = await client.txn(spec);
      if (!yes.succeeded) throw new Error("the guard holds");
      const [put, range, inner] = yes.results;
      expect([put.previous, put.header.revision]).toEqual([undefined, yes.header.revision]);
      expect(range.kvs[0]?.value).toBe("1");
      if (inner.succeeded) throw new Error("the inner guard fails");
      expect([inner.results[0].deleted, inner.results[1].more]).toEqual([0, true]);

      await client.put("6/a", "2");
      const no = await client.txn(spec);
      if (no.succeeded) throw new Error("the guard fails");
      expect(no.results[1].previous[0]?.value).toBe("2");
      expect((await client.list({ prefix: "6/" })).kvs.map((kv) => kv.key)).toEqual(["6/else", "6/then"]);
    });

    it("scenario 7: no reply of a namespace shows its prefix, and its neighbours are untouched", async () => {
      const prefix = "7/secret-prefix/";
      const neighbours = ["7/secret-prefix", "7/secret-prefix.", prefix, "7/secret-prefix0", "7/sibling/a"];
      for (const key of neighbours) await client.put(key, "neighbour");
      await using inside = another({ namespace: prefix });
      const nested = client.namespace("7/").namespace("secret-prefix/");
      const lease = await inside.leases.grant(60, { keepAlive: false });
      await client.put("7/sibling/leased", "neighbour", { lease });
      const watch = inside.watch({ all: true }, { previous: true });
      await watch.started;
      const seen: unknown[] = [
        await inside.put("a", "1"),
        await nested.put("a", "2", { previous: true, lease }),
        await nested.get("a"),
        await inside.list({ from: "a" }),
        await inside.count({ all: true }),
        await nested.put("a", "x", { ifAbsent: true }).catch((error: ConflictError) => error.current),
        await inside.txn({
          if: [cmp.version({ all: true }).greater(0), cmp.lease("a").equal(lease)],
          then: [op.get({ prefix: "" }), op.txn({ then: [op.put("b", "3", { previous: true }), op.get("a")] })],
        }),
        await inside.leases.timeToLive(lease.id, { keys: true }),
        await inside.raw.kv.range({ key: Uint8Array.of(97) }),
        await inside.delete({ all: true }, { previous: true }),
      ];
      await inside.put("last", "4");
      for await (const batch of watch) {
        seen.push(batch);
        if (batch.events.some((event) => event.type === "put" && event.kv.key === "last")) break;
      }
      await watch.close();
      for await (const kv of nested.scan({ all: true })) seen.push(kv);
      for await (const change of inside.follow({ all: true })) {
        seen.push(change.kind === "snapshot" ? [...change.kvs] : change);
        break;
      }
      expect(JSON.stringify(seen, textual)).not.toContain("secret");
      expect(seen[2]).toMatchObject({ key: "a", keyBytes: bytesOf("a"), value: "2", lease: lease.id });
      expect(seen[5]).toMatchObject({ key: "a", value: bytesOf("2") });
      expect(seen[7]).toMatchObject({ keys: [bytesOf("a")] });
      expect(seen[9]).toMatchObject({ deleted: 2, previous: [{ key: "a" }, { key: "b" }] });
      expect(seen.at(-1)).toMatchObject([["last", { key: "last", value: "4" }]]);
      const left = (await client.list({ prefix: "7/" })).kvs.map((kv) => `${kv.key}=${kv.value}`);
      const untouched = [...neighbours, "7/sibling/leased"].map((key) => `${key}=neighbour`);
      expect(new Set(left)).toEqual(new Set([...untouched, `${prefix}last=4`]));
      await lease.revoke();
    });

    it("scenario 8: a lease id above 2^53 is that lease everywhere, and is printed as etcdctl prints it", async () => {
      const id = 2n ** 62n + 2n ** 53n + 1n;
      const lease = await client.leases.grant(120, { id, keepAlive: false });
      await client.put("8/leased", "x", { lease });
      await client.put("8/by-id", "x", { lease: id });
      expect(lease.id).toBe(id);
      expect((await client.get("8/leased"))?.lease).toBe(id);
      expect(await client.leases.list()).toContain(id);
      expect((await client.leases.timeToLive(id, { keys: true }))?.keys).toHaveLength(2);
      expect(await client.leases.timeToLive(id - 1n)).toBeUndefined();
      const printed = await server.etcdctl(["lease", "timetolive", formatId(id), "--keys"]);
      expect(printed.stdout).toContain(`lease ${formatId(id)} granted with TTL(120s)`);
      expect(printed.stdout).toContain("8/by-id");
      expect(JSON.stringify({ id }, jsonReplacer)).toBe(`{"id":"${id}"}`);
      await client.bind("8/by-id", "none");
      await client.leases.revoke(id);
      expect((await client.list({ prefix: "8/" })).kvs.map((kv) => kv.key)).toEqual(["8/by-id"]);
    });
  });
});

const keyOf = (index: number, prefix = "2/k/"): string => `${prefix}${String(index).padStart(6, "0")}`;
const valueOf = (index: number): string => String(index).padEnd(1_024, "v");
const bytesOf = (text: string | number): Uint8Array => new TextEncoder().encode(String(text));

async function fill(client: EtcdClient, count: number, prefix = "2/k/"): Promise<void> {
  const batches = Array.from({ length: count / 100 }, (_, batch) => batch * 100);
  for (const start of batches) {
    const puts = Array.from({ length: 100 }, (_, index) =>
      op.put(keyOf(start + index, prefix), valueOf(start + index)),
    );
    await client.txn({ then: puts });
  }
}

/** The revision of the last key that `fill` put. */
async function filledAt(client: EtcdClient): Promise<bigint> {
  return (await client.get(keyOf(19_999)))?.createRevision ?? 0n;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What is still reachable, on the heap and in buffers. */
function heldBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function recorder(paths: string[]): Interceptor {
  return (options, nextCall) => {
    paths.push(options.method_definition.path);
    return new InterceptingCall(nextCall(options));
  };
}

/** Bytes as text, so that a prefix cannot hide in them. */
function textual(name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : jsonReplacer(name, value);
}

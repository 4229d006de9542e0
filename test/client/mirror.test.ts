/** Mirrors: the copy is the original, revision by revision, over cuts, restarts and compactions. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, type Kv, op } from "../../src/client/index.js";
import { type MirrorOptions, type MirrorProgress, mirror } from "../../src/client/mirror/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

type Side = Pick<Kv, "list">;

async function contents(side: Side, prefix: string): Promise<Record<string, string>> {
  const { kvs } = await side.list({ prefix });
  return Object.fromEntries(kvs.map(({ key, value }) => [key, value]));
}

/** Runs a mirror until a progress is as wanted; returns that. */
async function until(
  progress: AsyncIterable<MirrorProgress>,
  wanted: (progress: MirrorProgress) => boolean,
): Promise<MirrorProgress> {
  for await (const step of progress) if (wanted(step)) return step;
  throw new Error("the mirror ended by itself");
}

/** Copies and ends; returns the last progress. */
async function copied(from: EtcdClient, to: EtcdClient, options: MirrorOptions): Promise<MirrorProgress | undefined> {
  let last: MirrorProgress | undefined;
  for await (const step of mirror(from, to, { ...options, mode: "copy" })) last = step;
  return last;
}

function isText(value: Uint8Array): boolean {
  return Buffer.from(value).every((byte) => byte < 0x80);
}

describe.each(targets)("mirror", (target) => {
  describe.skipIf(skips(target))(blockName("mirror", target), { timeout: 20_000 }, () => {
    let servers: RealEtcd[];
    let from: EtcdClient;
    let to: EtcdClient;
    beforeAll(async () => {
      servers = await Promise.all([target.start(), target.start()]);
      const [source, destination] = servers;
      from = createClient({ endpoints: source?.endpoint ?? "" });
      to = createClient({ endpoints: destination?.endpoint ?? "" });
    });
    afterAll(async () => {
      await Promise.all([from.close(), to.close()]);
      await Promise.all(servers.map((server) => server.stop()));
    });

    it("copies what is there, renames or strips the prefix, and writes nothing that is there already", async () => {
      await Promise.all(Array.from({ length: 300 }, (_, index) => from.put(`base/${index}`, `v${index}`)));
      await to.put("base/surplus", "kept");
      const original = await contents(from, "base/");
      expect(await copied(from, to, { prefix: "base/" })).toMatchObject({ puts: 300, deletes: 0, unchanged: 0 });
      expect(await contents(to, "base/")).toEqual({ ...original, "base/surplus": "kept" });
      await from.put("base/7", "changed");
      await from.delete("base/8");
      expect(await copied(from, to, { prefix: "base/" })).toMatchObject({ puts: 1, deletes: 0, unchanged: 298 });
      const deleting = await copied(from, to, { prefix: "base/", extraKeys: "delete" });
      expect(deleting).toMatchObject({ phase: "follow", puts: 0, deletes: 2, unchanged: 299 });
      expect(await contents(to, "base/")).toEqual(await contents(from, "base/"));
      await copied(from, to, { prefix: "base/", toPrefix: "other/" });
      expect((await to.get("other/7"))?.value).toBe("changed");
      await copied(from, to, { prefix: "base/", toPrefix: "" });
      expect((await to.get("7"))?.value).toBe("changed");
    });

    it("follows every revision in a transaction of its own", async () => {
      await from.put("follow/0", "0");
      await using seen = to.watch({ prefix: "there/" });
      await seen.started;
      const last = { key: "there/last", value: "x" };
      const running = until(mirror(from, to, { prefix: "follow/", toPrefix: "there/" }), ({ puts }) => puts === 5);
      await expect.poll(async () => (await to.get("there/0"))?.value).toBe("0");
      await from.txn({ then: [op.put("follow/a", "1"), op.put("follow/b", "1"), op.delete("follow/0")] });
      await from.put("follow/a", "2");
      const { header } = await from.put("follow/last", "x");
      expect(await running).toMatchObject({
        phase: "follow",
        revision: header.revision,
        resumeRevision: header.revision + 1n,
        deletes: 1,
      });
      const groups: string[][] = [];
      let revision = 0n;
      for await (const event of seen.events()) {
        const [at, name] =
          event.type === "put"
            ? [event.kv.modRevision, `${event.kv.key}=${event.kv.value}`]
            : [event.modRevision, `-${event.key}`];
        if (at !== revision) groups.push([]);
        revision = at;
        groups.at(-1)?.push(name);
        if (name === `${last.key}=${last.value}`) break;
      }
      const [base, transaction, ...rest] = groups;
      expect([base, transaction?.toSorted(), ...rest]).toEqual([
        ["there/0=0"],
        ["-there/0", "there/a=1", "there/b=1"],
        ["there/a=2"],
        ["there/last=x"],
      ]);
    });

    it("begins at a revision without what was there before", async () => {
      await from.put("since/old", "1");
      const { header } = await from.put("since/new", "1");
      await until(mirror(from, to, { prefix: "since/", since: header.revision }), ({ puts }) => puts === 1);
      expect(await contents(to, "since/")).toEqual({ "since/new": "1" });
    });

    it("goes on at its checkpoint, in the base and behind it", async () => {
      await Promise.all(Array.from({ length: 40 }, (_, index) => from.put(`resume/${index}`, "1")));
      const options = { prefix: "resume/", checkpoint: "at-resume", txnOpsMax: 10 };
      const first = await until(mirror(from, to, options), () => true);
      expect(first).toMatchObject({ phase: "base", resumeRevision: undefined });
      expect(first.puts).toBeLessThan(40);
      const second = await until(mirror(from, to, options), ({ phase }) => phase === "follow");
      expect(first.puts + second.puts).toBe(40);
      expect(second.unchanged).toBe(0);
      await from.delete("resume/0");
      await from.put("resume/1", "2");
      const third = await until(mirror(from, to, options), ({ puts, deletes }) => puts + deletes === 2);
      expect(third).toMatchObject({ puts: 1, deletes: 1, unchanged: 0 });
      expect(await contents(to, "resume/")).toEqual(await contents(from, "resume/"));
    });

    it("refuses the checkpoint of another mirror, and one that is none", async () => {
      await copied(from, to, { prefix: "base/", checkpoint: "at-base" });
      await expect(copied(from, to, { prefix: "resume/", checkpoint: "at-base" })).rejects.toThrow(TypeError);
      await to.put("at-nothing", "something else");
      await expect(copied(from, to, { prefix: "base/", checkpoint: "at-nothing" })).rejects.toThrow("something else");
    });

    it("ends when another mirror uses its checkpoint", async () => {
      await from.put("rival/0", "1");
      const options = { prefix: "rival/", checkpoint: "at-rival" };
      const first = mirror(from, to, options)[Symbol.asyncIterator]();
      while ((await first.next()).value?.phase !== "follow");
      const second = mirror(from, to, options)[Symbol.asyncIterator]();
      const taken = (async (): Promise<unknown> => (await second.next()).value)();
      await from.put("rival/0", "2");
      const outcomes = await Promise.allSettled([first.next(), taken, first.next(), second.next()]);
      const reasons = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
      expect(reasons).toContainEqual(expect.objectContaining({ code: "Conflict" }));
      await Promise.allSettled([first.return(), second.return()]);
      expect((await to.get("rival/0"))?.value).toBe("2");
    });

    it("writes each revision once although answers get lost", async () => {
      await using proxy = await startTcpProxy(servers[1]?.endpoint ?? "");
      const timeoutMs = 500;
      await using through = createClient({ endpoints: proxy.endpoint, timeoutMs });
      await from.put("lost/0", "0");
      let written = 0;
      const running = until(mirror(from, through, { prefix: "lost/", checkpoint: "at-lost" }), ({ phase, puts }) => {
        if (phase === "follow") written = puts;
        return puts === 13;
      });
      const done = (count: number): Promise<void> => expect.poll(() => written, { timeout: 5_000 }).toBe(count);
      for (let index = 0; index < 12; index++) {
        await done(index + 1);
        const lost = index === 2 || index === 6;
        if (lost) proxy.flow({ replies: "swallow" });
        await from.put("lost/0", String(index));
        if (!lost) continue;
        await expect.poll(async () => (await to.get("lost/0"))?.value, { timeout: 5_000 }).toBe(String(index));
        // Once the connection breaks under the call, and once the call has given up.
        const startMs = performance.now();
        const waitMs = index === 2 ? 0 : timeoutMs + 100;
        await expect.poll(() => performance.now() - startMs, { timeout: 5_000 }).toBeGreaterThan(waitMs);
        proxy.flow({ replies: "pass" });
        proxy.cut();
      }
      await running;
      expect(await to.get("lost/0")).toMatchObject({ value: "11", version: 13 });
    });

    it("ends with the error of a write that may or may not have been applied, without a checkpoint", async () => {
      await using proxy = await startTcpProxy(servers[1]?.endpoint ?? "");
      await using through = createClient({ endpoints: proxy.endpoint });
      await from.put("doubt/0", "0");
      let following = false;
      const running = until(mirror(from, through, { prefix: "doubt/" }), ({ phase, puts }) => {
        following = phase === "follow";
        return puts === 2;
      });
      const failure = running.catch((error: unknown) => error);
      await expect.poll(() => following).toBe(true);
      proxy.flow({ replies: "swallow" });
      await from.put("doubt/0", "1");
      await expect.poll(async () => (await to.get("doubt/0"))?.value).toBe("1");
      proxy.flow({ replies: "pass" });
      proxy.cut();
      expect(await failure).toMatchObject({ outcome: "unknown" });
    });

    it("begins anew after a compaction if it may delete, and says what is missing if not", async () => {
      await from.put("torn/gone", "1");
      await from.put("torn/kept", "1");
      const options = { prefix: "torn/", checkpoint: "at-torn" };
      await until(mirror(from, to, options), ({ phase }) => phase === "follow");
      await from.delete("torn/gone");
      const { header } = await from.put("torn/new", "1");
      await from.compact(header.revision);
      const stopped = until(mirror(from, to, options), () => false);
      await expect(stopped).rejects.toMatchObject({ code: "Compacted", compactRevision: header.revision });
      const anew = { ...options, extraKeys: "delete" } as const;
      expect(await until(mirror(from, to, anew), ({ phase }) => phase === "follow")).toMatchObject({
        puts: 1,
        deletes: 1,
        unchanged: 1,
      });
      expect(await contents(to, "torn/")).toEqual({ "torn/kept": "1", "torn/new": "1" });
    });

    it("splits a revision only when the destination accepts no more, and then in order", async () => {
      await from.put("split/0", "0");
      const options = { prefix: "split/", checkpoint: "at-split", txnOpsMax: 5 };
      const running = until(mirror(from, to, options), ({ puts }) => puts === 11);
      await expect.poll(async () => (await to.get("split/0"))?.value).toBe("0");
      const keys = Array.from({ length: 10 }, (_, index) => `split/x${index}`);
      await using seen = to.watch("at-split");
      await seen.started;
      const { header } = await from.txn({ then: keys.map((key) => op.put(key, "1")) });
      await running;
      const { kvs } = await to.list({ prefix: "split/x" }, { sort: { by: "mod" } });
      const sizes = new Map<bigint, number>();
      for (const { modRevision } of kvs) sizes.set(modRevision, (sizes.get(modRevision) ?? 0) + 1);
      expect([...sizes.values()]).toEqual([4, 4, 2]);
      expect(kvs.map(({ key }) => key)).toEqual(keys);
      // Whoever resumes between the parts has to take the whole revision again.
      const noted: string[] = [];
      for await (const event of seen.events()) {
        const { revision } = JSON.parse(event.type === "put" ? event.kv.value : "{}") as { revision: string };
        noted.push(revision);
        if (revision === String(header.revision)) break;
      }
      expect(noted.slice(-3)).toEqual([header.revision - 1n, header.revision - 1n, header.revision].map(String));
    });

    it("keeps binary keys and values, and leaves leases behind", async () => {
      const lease = await from.leases.grant(60);
      const key = Uint8Array.of(0x62, 0x69, 0x6e, 0x2f, 0xff, 0x00);
      const value = Uint8Array.of(0, 0xff, 0x80);
      const [source, destination] = [from, to].map((client) =>
        client.as({ encode: (v: Uint8Array) => v, decode: (v) => v }),
      );
      await source?.put(key, value, { lease });
      await copied(from, to, { prefix: "bin/" });
      const copy = await destination?.get(key);
      expect(copy?.value).toEqual(value);
      expect(isText(copy?.value ?? new Uint8Array(0))).toBe(false);
      expect(copy?.lease).toBeUndefined();
      await lease.revoke();
    });

    it("is given up by its signal, and with its client", async () => {
      const giveUp = new AbortController();
      const running = until(mirror(from, to, { prefix: "idle/", signal: giveUp.signal }), ({ phase }) => {
        if (phase === "follow") giveUp.abort(new Error("enough"));
        return false;
      });
      await expect(running).rejects.toMatchObject({ code: "Aborted" });
      const doomed = createClient({ endpoints: servers[0]?.endpoint ?? "" });
      let closing: Promise<void> | undefined;
      const orphan = until(mirror(doomed, to, { prefix: "idle/" }), ({ phase }) => {
        if (phase === "follow") closing ??= doomed.close();
        return false;
      });
      await expect(orphan).rejects.toThrow("the mirror ended by itself");
      await closing;
    });
  });
});

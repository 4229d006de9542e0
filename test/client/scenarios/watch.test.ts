/** The scenarios of watching, each against a real etcd and against litecd, through a proxy that breaks connections. */
/* oxlint-disable unicorn/no-thenable -- `then` is etcd's word for a branch; an array is no thenable */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CompactedError, createClient, type EtcdClient, type WatchEvent } from "../../../src/client/index.js";
import { startTcpProxy, type TcpProxy } from "../../../src/server/testing/tcp-proxy.js";
import { Cluster, quickTicks } from "../../support/cluster.js";
import { settled } from "../../support/leader.js";
import { Links } from "../../support/links.js";
import { etcdIn, litecd } from "../../support/member.js";
import { type RealEtcd, realEtcdDirectory } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";
import { follow, revisionOf, revisions, take, watcherCount } from "../watching.js";

describe.each(targets)("watch scenarios", (target) => {
  describe.skipIf(skips(target))(blockName("watch scenarios", target), () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    let proxy: TcpProxy;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--max-request-bytes=20000000"] });
      direct = createClient({ endpoints: server.endpoint, requestBytesMax: 20_000_000 });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });
    beforeEach(async () => {
      proxy = await startTcpProxy(server.endpoint);
      client = createClient({ endpoints: proxy.endpoint, connectTimeoutMs: 500 });
      return async () => {
        await client.close();
        await proxy.stop();
        await direct.delete({ all: true });
      };
    });

    /** One revision each; resolves with the first. */
    const putMany = async (prefix: string, count: number, value = "x".repeat(100)): Promise<bigint> => {
      const put = (index: number): Promise<unknown> => direct.put(`${prefix}${String(index).padStart(5, "0")}`, value);
      const { header } = await direct.put(`${prefix}00000`, value);
      for (let index = 1; index < count; index += 250) {
        await Promise.all(Array.from({ length: Math.min(250, count - index) }, (_, offset) => put(index + offset)));
      }
      return header.revision;
    };
    /** Many puts of one revision; resolves with that. */
    const putAtOnce = async (prefix: string, count: number, value: string, by = direct): Promise<bigint> => {
      const then = Array.from(
        { length: count },
        (_, index) => ({ kind: "put", key: `${prefix}${index}`, value, options: {} }) as const,
      );
      return (await by.txn({ then })).header.revision;
    };

    it("scenario 9: a cut after the first of 5000 pending events loses none and repeats none", async () => {
      const first = await putMany("many/", 5000);
      const cut = proxy.cutAfterReplies(150_000);
      await using watch = client.watch({ prefix: "many/" }, { from: first });
      const events = await take(watch.events(), 5000);
      await cut;
      expect(events.map(revisionOf)).toEqual(revisions(first, 5000));
      expect(watch.resumeRevision).toBe(first + 5000n);
    });

    it("scenario 10: a put during an outage is delivered to a watch from now, and nothing older", async () => {
      await direct.put("cut/old", "before");
      await using watch = client.watch({ prefix: "cut/" });
      const started = await watch.started;
      proxy.admit("refuse");
      proxy.cut();
      await expect.poll(() => watch.state).toBe("disconnected");
      await direct.put("cut/new", "during");
      proxy.admit("all");
      const [event] = await take(watch.events(), 1);
      expect(event).toMatchObject({ type: "put", kv: { key: "cut/new", modRevision: started } });
    });

    it("scenario 11: compaction past the resume point is a typed error for a watch, one new snapshot for follow", async () => {
      await direct.put("gone/kept", "1");
      await using watch = client.watch({ prefix: "gone/" });
      const following = follow(client, { prefix: "gone/" });
      const refusing = follow(client, { prefix: "gone/" }, { onCompacted: "throw" });
      const started = await watch.started;
      const before = await following.next();
      await refusing.next();
      expect(before).toMatchObject({ kind: "snapshot", resync: false, revision: started - 1n });
      proxy.admit("refuse");
      proxy.cut();
      const first = await putMany("gone/", 5);
      await direct.delete("gone/kept");
      await direct.compact(first + 3n);
      proxy.admit("all");
      const failure: unknown = await take(watch.events(), 1).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CompactedError);
      expect(failure).toMatchObject({ code: "Compacted", compactRevision: first + 3n, resumeRevision: started });
      await expect(refusing.next()).rejects.toMatchObject({ code: "Compacted", compactRevision: first + 3n });
      const after = await following.next();
      const list = await direct.list({ prefix: "gone/" });
      expect(after).toMatchObject({ kind: "snapshot", resync: true, revision: list.header.revision });
      expect(after.kind === "snapshot" && [...after.kvs.values()]).toEqual(list.kvs);
      const { header } = await direct.put("gone/more", "1");
      expect(await following.next()).toMatchObject({ kind: "delta", revision: header.revision });
      await following.return();
    });

    it("scenario 12: a transaction of 100 puts of 100 KiB is one batch", async () => {
      await using watch = client.watch({ prefix: "big/" });
      await watch.started;
      const revision = await putAtOnce("big/", 100, "v".repeat(100 * 1024));
      const [batch] = await take(watch, 1);
      expect(batch?.revision).toBe(revision);
      expect(batch?.events).toHaveLength(100);
      expect(batch?.events.every((event) => revisionOf(event) === revision)).toBe(true);
    });

    it("scenario 13: a quiet watch with progress moves on, so that a compaction does not hurt it", async () => {
      await using watch = client.watch("quiet", { progress: true });
      const started = await watch.started;
      const reading = take(watch, Number.POSITIVE_INFINITY);
      const busy = await putMany("busy/", 20);
      await expect.poll(() => watch.resumeRevision, { timeout: 10_000 }).toBeGreaterThan(busy + 10n);
      expect(watch.resumeRevision).toBeGreaterThan(started);
      proxy.admit("refuse");
      proxy.cut();
      await direct.compact(busy + 10n);
      proxy.admit("all");
      const { header } = await direct.put("quiet", "still here");
      await expect.poll(() => watch.resumeRevision, { timeout: 10_000 }).toBeGreaterThan(header.revision);
      await watch.close();
      const events = (await reading).flatMap((batch) => batch.events);
      expect(events).toMatchObject([{ type: "put", kv: { value: "still here" } }]);
    });

    it("scenario 14: a sleeping reader holds little, loses nothing, and does not hold up its neighbour", async () => {
      // A server with its usual limits: it sends what a watcher has missed in pieces of 2 MiB.
      await using usual = await target.start();
      await using writer = createClient({ endpoints: usual.endpoint });
      await using way = await startTcpProxy(usual.endpoint);
      await using reader = createClient({ endpoints: way.endpoint });
      await using sleeping = reader.watch({ prefix: "flood/" });
      await using awake = reader.watch({ prefix: "flood/" });
      const first = await sleeping.started;
      const reading = take(awake.events(), 200 * 100);
      await awake.started;
      const before = way.repliedBytes;
      const floodBytes = 200 * 100 * 1024;
      const value = "v".repeat(1024);
      for (let count = 0; count < 20; count++) {
        await Promise.all(Array.from({ length: 10 }, () => putAtOnce("flood/", 100, value, writer)));
      }
      expect((await reading).at(-1)).toMatchObject({ kv: { modRevision: first + 199n } });
      // One reader got all of it, the other one what its inbox holds and what its stream has in flight.
      const heldBytes = way.repliedBytes - before - floodBytes;
      expect(heldBytes).toBeLessThan(floodBytes / 2);
      const events: WatchEvent<string>[] = await take(sleeping.events(), 200 * 100);
      expect(events.map(revisionOf)).toEqual(revisions(first, 200).flatMap((each) => Array<bigint>(100).fill(each)));
    });

    it("scenario 15: of 1000 watchers 999 are cancelled, and the process exits after close", async () => {
      const directory = await mkdtemp(join(tmpdir(), "litecd-watchers-"));
      try {
        const entry = fileURLToPath(new URL("../../../src/client/index.ts", import.meta.url));
        const outfile = join(directory, "client.cjs");
        const node = { platform: "node", target: "node20", format: "cjs" } as const;
        await build({ ...node, entryPoints: [entry], bundle: true, outfile, logLevel: "error" });
        const script = join(directory, "main.cjs");
        await writeFile(script, thousandWatchers);
        const running = promisify(execFile)(process.execPath, [script, server.endpoint], { timeout: 15_000 });
        // The one more is how this test tells it to go on.
        await expect.poll(() => watcherCount(server), { timeout: 10_000 }).toBe(1001);
        await direct.put("thousand/go", "");
        await expect.poll(() => watcherCount(server), { timeout: 10_000 }).toBe(1);
        await direct.put("thousand/end", "");
        expect((await running).stdout).toBe("999 1\n");
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });
  });
});

/** Keeps one of its 1000 watchers, and says how many have ended and been left with an event. */
const thousandWatchers = `
const { createClient } = require("./client.cjs");
const main = async () => {
  const client = createClient({ endpoints: process.argv[2] });
  const watches = Array.from({ length: 1000 }, (_, index) => client.watch("thousand/" + (index === 0 ? "end" : index)));
  const count = async (watch) => {
    for await (const _ of watch) return 1;
    return 0;
  };
  const readings = watches.map(count);
  await Promise.all(watches.map((watch) => watch.started));
  const go = client.watch("thousand/go");
  for await (const _ of go) break;
  await go.close();
  await Promise.all(watches.slice(1).map((watch) => watch.close()));
  const counts = await Promise.all(readings);
  await client.close();
  console.log(counts.slice(1).filter((count) => count === 0).length, counts[0]);
};
main();
`;

const programs = [
  { name: "etcd", program: etcdIn(realEtcdDirectory ?? ""), target: targets[0] },
  { name: "litecd", program: litecd, target: targets[1] },
];

describe.each(programs)("watch scenarios of three members against $name", ({ program, target }) => {
  describe.skipIf(target === undefined || skips(target))("with a member that dies or is cut off", () => {
    let cluster: Cluster;
    let links: Links;
    beforeAll(async () => {
      const dialers = (): Map<number, string> =>
        new Map(cluster.members.flatMap(({ pid, name }) => (pid === undefined ? [] : [[pid, name] as const])));
      links = new Links(dialers);
      cluster = await Cluster.create({
        program,
        size: 3,
        flags: ["--unsafe-no-fsync", ...quickTicks],
        between: (url, name) => links.inFrontOfPeers(url, name),
      });
      await Promise.all(cluster.members.map((member) => member.start()));
    });
    afterAll(async () => {
      await cluster.dispose();
      await links.dispose();
    });

    /** A test that fails in the middle is not to be the next one's failure. */
    afterEach(() => links.heal());

    /** A client whose watches go to a follower while it works, and that follower. */
    const besideFollower = async () => {
      const leader = await settled(cluster);
      const [follower, other] = cluster.members.filter((member) => member !== leader);
      if (follower === undefined || other === undefined) throw new Error("a cluster of three has two followers");
      const endpoints = [follower, other, leader].map(({ endpoint }) => endpoint);
      const client = createClient({ endpoints, routing: "pinned", connectTimeoutMs: 500 });
      const rest = createClient({ endpoints: [leader.endpoint, other.endpoint] });
      return { follower, leader, other, client, rest };
    };

    it("scenario 17: a watch on a member in a minority moves to the majority", async () => {
      const { follower, leader, other, client, rest } = await besideFollower();
      await using watch = client.watch({ prefix: "minority/" });
      const first = await watch.started;
      const reading = take(watch.events(), 3);
      await rest.put("minority/1", "");
      for (const member of [leader, other]) links.setBoth(follower.name, member.name, { blocked: true });
      await rest.put("minority/2", "");
      await expect.poll(() => watch.resumeRevision, { timeout: 10_000 }).toBe(first + 2n);
      await rest.put("minority/3", "");
      expect((await reading).map(revisionOf)).toEqual(revisions(first, 3));
      links.heal();
      await Promise.all([client.close(), rest.close()]);
    });

    it("scenario 16: a watch resumes on another member within 2 s when its own is killed", async () => {
      const { follower, client, rest } = await besideFollower();
      await using watch = client.watch({ prefix: "kill/" });
      const first = await watch.started;
      const reading = take(watch.events(), 100);
      let resumedMs = 0;
      for (let index = 0; index < 100; index++) {
        if (index === 50) {
          await follower.end("SIGKILL");
          const killedMs = performance.now();
          await rest.put("kill/50", "");
          await expect.poll(() => watch.resumeRevision, { timeout: 5_000, interval: 10 }).toBe(first + 51n);
          resumedMs = performance.now() - killedMs;
        } else await rest.put(`kill/${index}`, "");
      }
      expect((await reading).map(revisionOf)).toEqual(revisions(first, 100));
      expect(resumedMs).toBeLessThan(2_000);
      await Promise.all([client.close(), rest.close()]);
    });
  });
});

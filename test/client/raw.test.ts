/** The raw face: etcd's own messages, as a tool that prints them sees them. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ElectionDefinition } from "../../proto/gen/etcd/election.js";
import { HealthDefinition } from "../../proto/gen/etcd/health.js";
import { LockDefinition } from "../../proto/gen/etcd/lock.js";
import * as rpc from "../../proto/gen/etcd/rpc.js";
import { createClient, type EtcdClient, LeaseLostError } from "../../src/client/index.js";
import { startTcpProxy } from "../../src/server/testing/tcp-proxy.js";
import { type RealEtcd, realEtcdDirectory } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

interface Service {
  readonly methods: object;
}

function has(face: object): string[] {
  return Object.keys(face).toSorted();
}

function wants({ methods }: Service): string[] {
  return Object.keys(methods);
}

function unaries(service: Service, streamed: string): string[] {
  return wants(service).filter((name) => name !== streamed);
}

describe("the raw face", () => {
  it("has every RPC of every service", async () => {
    await using client = createClient({ endpoints: "127.0.0.1:1" });
    const { raw } = client;
    expect(has(raw.kv)).toEqual(wants(rpc.KVDefinition).toSorted());
    const renewals = ["keepAlive", "keepAliveOnce"];
    expect(has(raw.lease)).toEqual([...renewals, ...unaries(rpc.LeaseDefinition, "leaseKeepAlive")].toSorted());
    expect(has(raw.cluster)).toEqual(wants(rpc.ClusterDefinition).toSorted());
    expect(has(raw.maintenance)).toEqual(wants(rpc.MaintenanceDefinition).toSorted());
    expect(has(raw.auth)).toEqual(wants(rpc.AuthDefinition).toSorted());
    expect(has(raw.lock)).toEqual(wants(LockDefinition).toSorted());
    expect(has(raw.election)).toEqual(wants(ElectionDefinition).toSorted());
    expect(has(raw.health)).toEqual(wants(HealthDefinition).toSorted());
    expect(unaries(rpc.WatchDefinition, "watch")).toEqual([]);
  });
});

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe.each(targets)("raw", (target) => {
  describe.skipIf(skips(target))(blockName("raw", target), () => {
    let server: RealEtcd;
    let client: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      client = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await client.close();
      await server.stop();
    });

    it("takes partial requests and returns whole responses", async () => {
      const put = await client.raw.kv.put({ key: encode("raw"), value: encode("1") });
      expect(put.header?.revision).toBeGreaterThan(1n);
      const range = await client.raw.kv.range({ key: encode("raw") });
      expect(range).toMatchObject({ count: 1n, more: false, kvs: [{ version: 1n, lease: 0n }] });
      const txn = await client.raw.kv.txn({
        success: [{ request: { $case: "requestRange", value: { key: encode("raw") } } }],
      });
      expect(txn).toMatchObject({ succeeded: true, responses: [{ response: { $case: "responseRange" } }] });
      const { members } = await client.raw.cluster.memberList({ linearizable: true });
      expect(members).toHaveLength(1);
      const status = await client.raw.maintenance.status({}, { target: { endpoint: server.endpoint } });
      expect(status.leader).toBe(members[0]?.ID);
      expect((await client.raw.maintenance.alarm({})).alarms).toEqual([]);
      expect((await client.raw.auth.authStatus({})).enabled).toBe(false);
      expect((await client.raw.health.check({})).status).toBe(1);
    });

    it("fails with the server's exact words", async () => {
      await expect(client.raw.kv.compact({ revision: 1_000_000n })).rejects.toMatchObject({
        code: "FutureRev",
        grpcStatus: 11,
        serverMessage: "etcdserver: mvcc: required revision is a future revision",
        message: "etcdserver: mvcc: required revision is a future revision",
      });
      await expect(client.raw.lease.leaseRevoke({ ID: 1n })).rejects.toMatchObject({ code: "LeaseNotFound" });
    });

    it("yields the messages of a watch as the server sent them, once over a cut", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using through = createClient({ endpoints: proxy.endpoint });
      await using watch = through.raw.watch({ key: encode("raw-watch"), prevKv: true });
      const messages = watch[Symbol.asyncIterator]();
      const next = async (): Promise<rpc.WatchResponse> => {
        const { value } = (await messages.next()) as IteratorResult<rpc.WatchResponse, rpc.WatchResponse>;
        return value;
      };
      const created = await next();
      expect(created).toMatchObject({ created: true, canceled: false, watchId: 0n, events: [] });
      watch.requestProgress();
      expect(await next()).toMatchObject({ watchId: -1n, events: [], header: { revision: created.header?.revision } });
      const put = await client.put("raw-watch", "1");
      expect(await next()).toMatchObject({ header: { revision: put.header.revision }, events: [{ type: 0 }] });
      proxy.cut();
      const gone = await client.delete("raw-watch");
      expect(await next()).toMatchObject({
        created: false,
        events: [{ type: 1, kv: { modRevision: gone.header.revision }, prevKv: { modRevision: put.header.revision } }],
      });
    });

    it("ends a watch after the message that cancels it", async () => {
      const { header } = await client.put("compacted", "1");
      await client.put("compacted", "2");
      await client.compact(header.revision + 1n);
      const messages: rpc.WatchResponse[] = [];
      for await (const message of client.raw.watch({ key: encode("compacted"), startRevision: header.revision })) {
        messages.push(message);
      }
      expect(messages).toMatchObject([
        { created: true },
        { canceled: true, compactRevision: header.revision + 1n, cancelReason: "" },
      ]);
    });

    it("yields every renewal of a lease and ends when the lease is gone", async () => {
      const { ID, TTL } = await client.raw.lease.leaseGrant({ TTL: 3n });
      expect(await client.raw.lease.keepAliveOnce(ID)).toMatchObject({ ID, TTL });
      const answers: bigint[] = [];
      for await (const answer of client.raw.lease.keepAlive(ID)) {
        answers.push(answer.TTL);
        if (answers.length === 2) await client.raw.lease.leaseRevoke({ ID });
      }
      expect(answers).toEqual([3n, 3n, 0n]);
      expect((await client.raw.lease.keepAliveOnce(4711n)).TTL).toBe(0n);
    });

    it("rejects when renewals stay unanswered for as long as the lease lives", async () => {
      await using proxy = await startTcpProxy(server.endpoint);
      await using through = createClient({ endpoints: proxy.endpoint });
      const { ID } = await client.raw.lease.leaseGrant({ TTL: 2n });
      const failure = async (): Promise<unknown> => {
        try {
          for await (const answer of through.raw.lease.keepAlive(ID)) {
            expect(answer.ID).toBe(ID);
            proxy.flow({ replies: "swallow" });
          }
        } catch (error) {
          return error;
        }
        return undefined;
      };
      const error = await failure();
      expect(error).toBeInstanceOf(LeaseLostError);
      expect(error).toMatchObject({ reason: "unreachable", leaseId: ID });
    });

    it("streams a snapshot whose digest fits, raw and typed", async () => {
      const chunks: Uint8Array[] = [];
      for await (const { blob } of client.raw.maintenance.snapshot()) chunks.push(blob);
      const file = Buffer.concat(chunks);
      const digest = createHash("sha256").update(file.subarray(0, -32)).digest();
      expect(digest.equals(file.subarray(-32))).toBe(true);
      let size = 0;
      for await (const bytes of client.maintenance.snapshot()) size += bytes.length;
      expect(size).toBe(file.length);
    });

    it("locks, campaigns and observes through the server's own services", async () => {
      const lease = await client.leases.grant(60);
      const name = encode("the-name");
      const lock = await client.raw.lock.lock({ name, lease: lease.id });
      await client.raw.lock.unlock({ key: lock.key });
      const { leader } = await client.raw.election.campaign({ name, lease: lease.id, value: encode("me") });
      for await (const { kv } of client.raw.election.observe({ name })) {
        expect(new TextDecoder().decode(kv?.value)).toBe("me");
        break;
      }
      await client.raw.election.resign(leader === undefined ? {} : { leader });
      await expect(client.raw.election.leader({ name })).rejects.toMatchObject({
        code: "ElectionNoLeader",
        serverMessage: "election: no leader",
      });
      await lease.revoke();
    });

    it("watches the server's health", async () => {
      for await (const { status } of client.raw.health.watch()) {
        expect(status).toBe(1);
        break;
      }
    });

    it("gives up waiting for a lock when its signal aborts", async () => {
      const [holder, waiter] = [await client.leases.grant(60), await client.leases.grant(60)];
      const name = encode("held");
      await client.raw.lock.lock({ name, lease: holder.id });
      const controller = new AbortController();
      const waiting = client.raw.lock.lock({ name, lease: waiter.id }, { signal: controller.signal });
      await expect.poll(() => client.count({ prefix: "held/" })).toBe(2);
      controller.abort();
      await expect(waiting).rejects.toMatchObject({ code: "Aborted", outcome: "unknown" });
      await Promise.all([holder.revoke(), waiter.revoke()]);
    });

    it("says of a method the server does not know that it is unsupported", async () => {
      const known = (await client.maintenance.status()).version.startsWith("3.5.");
      const read = async (): Promise<void> => {
        for await (const response of client.raw.kv.rangeStream({ key: encode("raw") })) {
          expect(response.rangeResponse?.kvs).toBeDefined();
        }
      };
      if (known) await expect(read()).rejects.toMatchObject({ code: "Unsupported", grpcStatus: 12 });
      else await read();
    });

    it("reads the cluster and each member through the typed calls", async () => {
      const [member] = await client.cluster.members();
      expect(member).toMatchObject({ name: "m1", learner: false });
      const status = await client.maintenance.status();
      expect(status.leader).toBe(member?.id);
      expect(status.dbSize).toBeGreaterThan(0);
      const { hash, header } = await client.maintenance.hashKv();
      expect((await client.maintenance.hashKv({ revision: header.revision })).hash).toBe(hash);
      expect(await client.maintenance.alarms()).toEqual([]);
      await client.maintenance.defragment();
      await expect(client.maintenance.moveLeader(1n)).rejects.toMatchObject({ code: "BadLeaderTransferee" });
      if (realEtcdDirectory !== undefined) {
        const text = await server.etcdctl(["endpoint", "hashkv", "--write-out=fields"]);
        expect(text.stdout).toContain(`"Hash" : ${hash}`);
      }
    });
  });
});

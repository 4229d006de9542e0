/** Conformance: what a learner serves and what it refuses, ours beside a real etcd. Source: spec/server.md 6.4. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Code, status } from "../../proto/status.js";
import { Cluster, quickTicks } from "../support/cluster.js";
import { type ClusterTarget, onClusterTargets } from "../support/cluster-targets.js";
import type { Member } from "../support/member.js";
import { type RawClient, rawClient } from "../support/raw-client.js";
import { on } from "./asking.js";

const key = Buffer.from("k");

const served: Readonly<Record<string, (t: RawClient) => Promise<unknown>>> = {
  "a serializable range": (t) => t.range({ key, serializable: true }),
  "its status": (t) => t.status(),
  "a snapshot": (t) => outcomeOf(t.snapshot()),
};

const refused: Readonly<Record<string, (t: RawClient) => Promise<unknown>>> = {
  "a linearizable range": (t) => t.range({ key }),
  "a put": (t) => t.put({ key }),
  "a delete": (t) => t.deleteRange({ key }),
  "a transaction, serializable or not": (t) => t.txn({ success: [{ request: serializableRange }] }),
  "a compaction": (t) => t.compact({ revision: 1n }),
  "a lease grant": (t) => t.leaseGrant({ TTL: 60n }),
  "the list of leases": (t) => t.leaseLeases(),
  "the time left of a lease": (t) => t.leaseTimeToLive({ ID: 1n }),
  "a member list": (t) => t.memberList({ linearizable: false }),
  "adding a member": (t) => t.memberAdd({ peerURLs: ["http://127.0.0.1:1"] }),
  alarms: (t) => t.alarm({ action: 0 }),
  "a hash": (t) => t.hashKv(),
  "a defragmentation": (t) => t.defragment(),
  "moving the leader": (t) => t.moveLeader({ targetID: 1n }),
  "whether authentication is on": (t) => t.authStatus(),
  "a health check": (t) => t.healthCheck(),
  "a watch": (t) => firstOf(t.watch(), { requestUnion: { $case: "createRequest", value: { key } } }),
  "a keep-alive": (t) => firstOf(t.leaseKeepAlive(), { ID: 1n }),
};

const serializableRange = { $case: "requestRange" as const, value: { key, serializable: true } };

interface Stream<Request> {
  send(request: Request): void;
  next(): Promise<unknown>;
  ended(): Promise<{ readonly code: number; readonly details: string }>;
  cancel(): void;
}

async function firstOf<Request>(stream: Stream<Request>, request: Request): Promise<unknown> {
  stream.send(request);
  try {
    return await stream.next();
  } catch (cause) {
    throw Object.assign(new Error("the stream ended", { cause }), await stream.ended());
  } finally {
    stream.cancel();
  }
}

async function outcomeOf(stream: Pick<Stream<never>, "ended">): Promise<void> {
  const end = await stream.ended();
  if (end.code !== Code.OK) throw Object.assign(new Error("the stream ended"), end);
}

/** A voter and a learner that has caught up. */
async function withLearner({ program, flags }: ClusterTarget): Promise<{ cluster: Cluster; learner: Member }> {
  const cluster = await Cluster.start({ program, size: 1, flags: [...flags, ...quickTicks] });
  try {
    const voter = cluster.member(1);
    const learner = await cluster.prepare("m2");
    await on(voter, (t) => t.memberAdd({ peerURLs: [learner.peerUrl], isLearner: true }));
    await learner.start();
    await on(voter, (t) => t.put({ key, value: Buffer.from("v") }));
    const caughtUp = async (): Promise<void> => {
      const { count } = await on(learner, (t) => t.range({ key, serializable: true }));
      expect(count).toBe(1n);
    };
    await vi.waitFor(caughtUp, { timeout: 10_000 });
    return { cluster, learner };
  } catch (error) {
    await cluster.dispose();
    throw error;
  }
}

onClusterTargets("A learner", (target) => {
  let cluster: Cluster | undefined;
  let learner: Member;
  let client: RawClient | undefined;

  beforeAll(async () => {
    ({ cluster, learner } = await withLearner(target));
    client = rawClient(learner.endpoint);
  }, 60_000);

  afterAll(async () => {
    client?.close();
    await cluster?.dispose();
  });

  function ask(call: (t: RawClient) => Promise<unknown>): Promise<unknown> {
    if (client === undefined) throw new Error("there is no learner");
    return call(client);
  }

  for (const [what, call] of Object.entries(served)) {
    it(`serves ${what}`, async () => {
      await ask(call);
    });
  }

  // 3.5 says UNAVAILABLE, from 3.6 on it is FAILED_PRECONDITION; clients go by the text.
  const code = target.isEtcd35 ? Code.UNAVAILABLE : status.NotSupportedForLearner.code;

  for (const [what, call] of Object.entries(refused)) {
    it(`refuses ${what}`, async () => {
      await expect(ask(call)).rejects.toMatchObject({ code, details: status.NotSupportedForLearner.message });
    });
  }

  it("says over HTTP that it lives and is not ready", async () => {
    const answers = await Promise.all(
      ["/health?serializable=true", "/version", "/livez"].map((path) => fetch(`http://${learner.endpoint}${path}`)),
    );
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    const ready = await fetch(`http://${learner.endpoint}/readyz?verbose`);
    expect([ready.status, (await ready.text()).includes("[-]non_learner failed")]).toEqual([503, true]);
  });
});

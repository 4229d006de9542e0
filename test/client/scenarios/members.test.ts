/** The scenario of a cluster that changes under its client, with a stranger in the list. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, isEtcdError, type StatusEvent } from "../../../src/client/index.js";
import { Cluster, quickTicks } from "../../support/cluster.js";
import { etcdIn, litecd, Member } from "../../support/member.js";
import { realEtcdDirectory } from "../../support/real-etcd.js";
import { skips, targets } from "../targets.js";

const programs = [
  { name: "etcd", program: etcdIn(realEtcdDirectory ?? ""), target: targets[0] },
  { name: "litecd", program: litecd, target: targets[1] },
];

/** Reads and writes that a member has been asked for, whether it did them or not. */
async function servedCount({ endpoint }: Member): Promise<number> {
  const text = await (await fetch(`http://${endpoint}/metrics`)).text();
  const pattern = /^grpc_server_started_total\{.*grpc_method="(?:Put|Range|Txn|DeleteRange)".*\} (\d+)/gm;
  return [...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);
}

describe.each(programs)("member scenarios against $name", ({ program, target }) => {
  describe.skipIf(target === undefined || skips(target))("with a cluster and a stranger", { timeout: 40_000 }, () => {
    let cluster: Cluster;
    let stranger: Member;
    beforeAll(async () => {
      // The check asks for members to be connected for five seconds before another may join.
      const flags = ["--unsafe-no-fsync", "--strict-reconfig-check=false", ...quickTicks];
      cluster = await Cluster.start({ program, size: 1, flags });
      // Another name and token make another cluster id.
      stranger = await Member.create(program, [...flags, "--initial-cluster-token=stranger"]);
      await stranger.start();
    });
    afterAll(async () => {
      await stranger.dispose();
      await cluster.dispose();
    });

    it("scenario 30: traffic follows the members, learners and strangers get none", async () => {
      await using foreign = createClient({ endpoints: stranger.endpoint });
      const revisionBefore = (await foreign.maintenance.status()).header.revision;
      const first = cluster.member(1);
      await using client = createClient({ endpoints: [first.endpoint, stranger.endpoint] });
      const events = collect(client);
      await traffic(client, 10);
      await expect
        .poll(() => events.find(({ type }) => type === "unhealthy"))
        .toMatchObject({
          endpoint: stranger.endpoint,
          cause: { code: "WrongCluster" },
        });

      const second = await join("second", client, "voter");
      const learner = await join("learner", client, "learner");
      await client.sync();
      const urls = [first, second].map(({ endpoint }) => `http://${endpoint}`);
      expect(client.endpoints.toSorted()).toEqual(urls.toSorted());
      await traffic(client, 10);

      client.setEndpoints([stranger, learner, first, second].map(({ endpoint }) => endpoint));
      await client.ready();
      const learnerBefore = await servedCount(learner);
      const strangerBefore = await servedCount(stranger);
      const secondBefore = await servedCount(second);
      await traffic(client, 20);
      expect(await servedCount(learner)).toBe(learnerBefore);
      expect(await servedCount(second)).toBeGreaterThan(secondBefore);
      expect(await servedCount(stranger)).toBe(strangerBefore);

      await remove(client, first);
      await first.gone();
      await expect.poll(() => client.sync().then(() => client.endpoints), { timeout: 10_000 }).toEqual(urls.slice(1));
      await traffic(client, 10);
      expect(await client.count({ all: true })).toBe(1);

      expect((await foreign.maintenance.status()).header.revision).toBe(revisionBefore);
      expect(await foreign.count({ all: true })).toBe(0);
    });

    /** A new member that runs and is caught up. */
    async function join(name: string, client: EtcdClient, kind: "voter" | "learner"): Promise<Member> {
      const member = await cluster.prepare(name);
      await expect
        .poll(
          () => client.cluster[kind === "voter" ? "add" : "addLearner"]([member.peerUrl]).then(() => "added", reasonOf),
          { timeout: 15_000, interval: 200 },
        )
        .toBe("added");
      await member.start();
      const here = { target: { endpoint: member.endpoint } };
      const behind = async (): Promise<boolean> => {
        const { raftAppliedIndex, raftIndex } = await client.maintenance.status(here);
        return raftAppliedIndex < raftIndex || raftIndex === 0n;
      };
      await expect.poll(behind, { timeout: 10_000 }).toBe(false);
      return member;
    }
  });
});

async function traffic(client: EtcdClient, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await client.put("traffic", String(index));
    expect((await client.get("traffic"))?.value).toBe(String(index));
  }
}

async function remove(client: EtcdClient, member: Member): Promise<void> {
  const { header } = await client.maintenance.status({ target: { endpoint: member.endpoint } });
  await expect
    .poll(() => client.cluster.remove(header.memberId).then(() => "removed", reasonOf), { timeout: 15_000 })
    .toMatch(/^(?:removed|MemberNotFound)$/);
}

/** What the server or the client says, for those that may pass. */
function reasonOf(error: unknown): string {
  if (!isEtcdError(error)) throw error;
  return error.code;
}

/** Everything the client tells of itself, as it comes. */
function collect(client: EtcdClient): StatusEvent[] {
  const events: StatusEvent[] = [];
  void (async () => {
    for await (const event of client.status()) events.push(event);
  })();
  return events;
}

/** Asks a running cluster who leads it and how far its members are. */
import { setTimeout as delay } from "node:timers/promises";
import type { StatusResponse } from "../../proto/gen/etcd/rpc.js";
import type { Cluster } from "./cluster.js";
import type { Member } from "./member.js";
import { rawClient } from "./raw-client.js";

const askMsMax = 500;
const pauseMs = 20;

/** What the member says of itself; undefined if it is dead, paused or out of reach. */
export async function statusOf({ endpoint }: Member): Promise<StatusResponse | undefined> {
  const client = rawClient(endpoint);
  try {
    return await client.status({}, { timeoutMs: askMsMax });
  } catch {
    // Whatever the reason: it does not answer.
    return undefined;
  } finally {
    client.close();
  }
}

/** The member that says of itself that it leads, in the highest term; undefined if none does. */
export async function leaderOf({ members }: Pick<Cluster, "members">): Promise<Member | undefined> {
  const answers = await Promise.all(members.map(async (member) => ({ member, status: await statusOf(member) })));
  const leading = answers.filter(({ status }) => status !== undefined && status.leader === status.header?.memberId);
  leading.sort((a, b) => Number((b.status?.raftTerm ?? 0n) - (a.status?.raftTerm ?? 0n)));
  return leading[0]?.member;
}

/**
 * Waits until every member answers, names the same leader and has applied what that leader has. Resolves to the leader;
 * rejects after `msMax`.
 */
export async function settled({ members }: Pick<Cluster, "members">, msMax = 30_000): Promise<Member> {
  const deadlineMs = performance.now() + msMax;
  for (;;) {
    const statuses = await Promise.all(members.map(statusOf));
    const leader = leaderIn(members, statuses);
    if (leader !== undefined) return leader;
    if (performance.now() > deadlineMs) {
      const words = statuses.map((status) => `leader ${status?.leader}, applied ${status?.raftAppliedIndex}`);
      throw new Error(`the members did not settle within ${msMax} ms: ${words.join("; ")}`);
    }
    await delay(pauseMs);
  }
}

function leaderIn(members: readonly Member[], statuses: readonly (StatusResponse | undefined)[]): Member | undefined {
  const position = statuses.findIndex((status) => status !== undefined && status.leader === status.header?.memberId);
  const leader = statuses[position];
  if (leader === undefined) return undefined;
  const follows = (status: StatusResponse | undefined): boolean =>
    status?.leader === leader.leader && status.raftAppliedIndex >= leader.raftAppliedIndex;
  return statuses.every(follows) ? members[position] : undefined;
}

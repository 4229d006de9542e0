/** The commands that go to endpoints one by one: which endpoints, and what is measured (spec/cli.md 4.1, 8.9, 8.10). */
import { ExitCode } from "./exit-code.js";
import type { Session } from "./session.js";

/** The endpoints of the command line, or with `cluster` the client URLs of all members. Throws Failure (1). */
export async function chosenEndpoints(session: Session, cluster: boolean): Promise<readonly string[]> {
  if (!cluster) return session.endpoints;
  try {
    const { members } = await session.raw.cluster.memberList({ linearizable: true }, session.deadline());
    return members.flatMap((member) => member.clientURLs);
  } catch (error) {
    throw session.failure(error, ExitCode.Error, (text) => {
      return `failed to fetch endpoints from etcd cluster member list: ${text}`;
    });
  }
}

/** Nanoseconds since a moment of the same clock. */
export function elapsedNs(startedNs: bigint): bigint {
  return process.hrtime.bigint() - startedNs;
}

/**
 * A member whose disk was replaced by an empty one comes back under its old flags, as an operator would start it who does not
 * know better. It has forgotten its votes and what it acknowledged, so whoever knows that it was there must make it refuse.
 */
import type { Answer } from "../../../proto/gen/internal/peer.js";
import { BootstrapRefused, beginning } from "../../../src/server/bootstrap.js";
import type { ServerConfig } from "../../../src/server/config/config.js";
import { defaultConfig } from "../../../src/server/config/parse-config.js";
import type { MemberId } from "../../../src/server/raft/types.js";
import { silentLogger } from "../../../src/server/runtime/logger.js";
import type { Member } from "../../../src/server/state/types.js";
import { name } from "../checks/raft-checks.js";
import { SimProcess } from "../world/process.js";
import { Violation } from "../world/world.js";
import { founderToken } from "./cluster.js";
import type { SimMember } from "./member.js";

/** `unheard`: nobody answered who knew that it was there before, so that it could not know better. */
export type EmptyStart = "refused" | "unheard";

/** Starts the member as production starts one without data. `known` are the members as the operator has them. */
export async function startWithEmptyDisk(member: SimMember, known: readonly Member[]): Promise<EmptyStart> {
  const { id, shared } = member;
  const { world, network } = shared;
  const process = new SimProcess(world, `${name(id)} without data`, { rate: 1, wallMs: 1_700_000_000_000 });
  const peers = network.peersOf(id, process);
  let remembered = false;
  const start = new Promise<EmptyStart>((resolve, reject) => {
    const options = {
      config: configOf(member, known),
      logger: silentLogger,
      clock: process.clock,
      signal: new AbortController().signal,
      ask: async (url: string, question: Parameters<typeof peers.ask>[1], { timeoutMs }: { timeoutMs: number }) => {
        const to = known.find(({ peerUrls }) => peerUrls.includes(url))?.id ?? 0n;
        const answer = await peers.ask(to, question, { timeoutMs });
        remembered ||= remembers(answer, id);
        return answer;
      },
    };
    process.run(() => {
      beginning(options).then(
        () => resolve("unheard"),
        (error: unknown) => (error instanceof BootstrapRefused ? resolve("refused") : reject(error as Error)),
      );
    });
  });
  const outcome = await start;
  process.stop();
  world.tally(`empty disk ${outcome}`);
  world.note(`empty disk ${outcome}`, Number(id & 0xffffn));
  if (outcome === "unheard" && remembered)
    throw new Violation("empty disk", `${name(id)} has lost its data and would have begun anew`);
  return outcome;
}

function configOf({ id, begins }: SimMember, known: readonly Member[]): ServerConfig {
  const initialCluster = known.map((one) => ({ name: name(one.id), peerUrls: one.peerUrls }));
  return {
    ...defaultConfig(),
    name: name(id),
    initialAdvertisePeerUrls: known.find((one) => one.id === id)?.peerUrls ?? [],
    initialCluster,
    initialClusterState: begins === "found" ? "new" : "existing",
    initialClusterToken: founderToken,
  };
}

/** Whether somebody told it that it was there before. */
function remembers({ kind }: Answer, id: MemberId): boolean {
  if (kind?.$case !== "clusterView") return false;
  const { members, removed } = kind.value;
  return removed.includes(id) || members.some((one) => one.id === id && one.clientUrls.length > 0);
}

/**
 * How a member without data begins: it founds a cluster with others that do the same, or joins one that runs. Asks the other
 * members where etcd asks them (spec/server.md 13.4); what the answers mean is decided in config/bootstrap.ts.
 */
import { existsSync, readdirSync } from "node:fs";
import type { Answer, Question } from "../../proto/gen/internal/peer.js";
import {
  bootstrapProblem,
  type ClusterView,
  foundingProblem,
  joiningIdentity,
  otherPeerUrls,
} from "./config/bootstrap.js";
import type { ServerConfig } from "./config/config.js";
import { clusterIdOf, memberIdOf } from "./config/identity.js";
import type { Clock } from "./runtime/clock.js";
import type { Logger } from "./runtime/logger.js";
import { serverVersion } from "./runtime/version.js";
import type { Member as MemberRecord } from "./state/types.js";
import type { Bootstrap } from "./storage/types.js";

/** Asks whoever listens at a peer URL. Rejects if there is no answer within `timeoutMs`. */
export type AskStranger = (
  peerUrl: string,
  question: Question,
  options: { readonly timeoutMs: number },
) => Promise<Answer>;

export interface BootstrapOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly ask: AskStranger;
  /** Calls the start off: whoever waits for answers rejects with its reason. */
  readonly signal: AbortSignal;
}

/** What a member without data writes before anything else. */
export interface Beginning {
  readonly bootstrap: Bootstrap;
  /** Whom a joiner talks to until it has heard of the members; none for a founder. */
  readonly firstPeers: readonly FirstPeer[];
}

export interface FirstPeer {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
}

/** The flags let this member neither found a cluster nor join one, or the cluster does not let it. */
export class BootstrapRefused extends Error {
  override readonly name = "BootstrapRefused";
  readonly reason = "bootstrap";
}

/** What is there before the identity is: the log's own file, not the sentinel and the state that follow it. */
const unfinishedLog = /^raft\.db(-wal|-shm|-journal)?$/;

/** A founder asks only whether it has been there before; a joiner needs the answer. */
const founderAskMs = 1000;
const joinerAskMs = 5000;
/** Once one member lets a joiner in, the others have so much time to say that it was there before. */
const objectionMs = 1000;

/**
 * A member with data knows who it is: the flags about the cluster count for nothing. A start that was cut off before it had
 * written that leaves a log without its companions, and has not begun.
 */
export function hasData(memberDir: string): boolean {
  return existsSync(memberDir) && readdirSync(memberDir).some((name) => !unfinishedLog.test(name));
}

/** How a member without data begins. Throws BootstrapRefused. */
export async function beginning(options: BootstrapOptions): Promise<Beginning> {
  const problem = bootstrapProblem(options.config);
  if (problem !== undefined) throw new BootstrapRefused(problem);
  switch (options.config.initialClusterState) {
    case "new":
      return found(options);
    case "existing":
      return join(options);
  }
}

/** Every founder writes the same; who of them is up does not matter. */
async function found(options: BootstrapOptions): Promise<Beginning> {
  const { config, clock } = options;
  for await (const view of views(options, { timeoutMs: founderAskMs })) {
    const problem = foundingProblem(config, view);
    if (problem !== undefined) throw new BootstrapRefused(problem);
  }
  const founders = foundersOf(config);
  return {
    firstPeers: [],
    bootstrap: {
      kind: "found",
      identity: {
        clusterId: clusterIdOf(config.initialCluster, config.initialClusterToken),
        memberId: memberIdOf(config.initialAdvertisePeerUrls, config.initialClusterToken),
      },
      membership: { voters: founders.map(({ id }) => id), learners: [] },
      founders,
      createdSeconds: nowSeconds(clock),
    },
  };
}

/** One member that knows of the newcomer is enough, if no other one objects. */
async function join(options: BootstrapOptions): Promise<Beginning> {
  const seen: ClusterView[] = [];
  const decide = () => joiningIdentity(options.config, seen, serverVersion);
  const isLetIn = (): boolean => typeof decide() !== "string";
  for await (const view of views(options, { timeoutMs: joinerAskMs, enough: isLetIn })) seen.push(view);
  const identity = decide();
  if (typeof identity === "string") throw new BootstrapRefused(identity);
  const createdSeconds = nowSeconds(options.clock);
  const bootstrap: Bootstrap = { kind: "join", identity, membership: { voters: [], learners: [] }, createdSeconds };
  return { bootstrap, firstPeers: othersIn(seen, identity.memberId) };
}

/** The other members, by all that know this one. */
function othersIn(seen: readonly ClusterView[], memberId: bigint): readonly FirstPeer[] {
  const knowing = seen.filter(({ members }) => members.some(({ id }) => id === memberId));
  const byId = new Map(knowing.flatMap(({ members }) => members).map((member) => [member.id, member]));
  byId.delete(memberId);
  return [...byId.values()];
}

/** Whom a member talks to that has joined, and ended before it had heard of any other. */
export async function firstPeersOf(options: BootstrapOptions, memberId: bigint): Promise<readonly FirstPeer[]> {
  for await (const view of views(options, { timeoutMs: joinerAskMs })) {
    const others = othersIn([view], memberId);
    if (others.length > 0) return others;
  }
  return [];
}

interface Patience {
  readonly timeoutMs: number;
  /** Looked at after each answer: what is missing then has no longer than {@link objectionMs}. */
  readonly enough?: () => boolean;
}

/** What one of the others said, or why it said nothing. */
interface Told {
  readonly url: string;
  readonly answer: Answer | undefined;
  readonly error: unknown;
}

/** The cluster as the others see it, in the order of their answers; who does not answer is left out. */
async function* views(options: BootstrapOptions, { timeoutMs, enough }: Patience): AsyncGenerator<ClusterView> {
  const { logger, clock, signal } = options;
  const asked = askAll(options, timeoutMs);
  const late = new AbortController();
  const lateOrStopped = AbortSignal.any([signal, late.signal]);
  let cancel: (() => void) | undefined;
  try {
    while (asked.size > 0) {
      if (enough?.() === true) cancel ??= clock.after(objectionMs, () => late.abort());
      const told = await orUndefined(Promise.race(asked.values()), lateOrStopped);
      signal.throwIfAborted();
      if (told === undefined) return;
      const { url, answer, error } = told;
      asked.delete(url);
      if (answer?.kind?.$case === "clusterView") yield answer.kind.value;
      else logger.info("failed to get the cluster's members", { "peer-url": url, error: describe(answer, error) });
    }
  } finally {
    cancel?.();
  }
}

function askAll({ config, ask }: BootstrapOptions, timeoutMs: number): Map<string, Promise<Told>> {
  const question: Question = { kind: { $case: "clusterView", value: {} } };
  return new Map(
    otherPeerUrls(config).map((url) => [
      url,
      ask(url, question, { timeoutMs }).then(
        (answer) => ({ url, answer, error: undefined }),
        (error: unknown) => ({ url, answer: undefined, error }),
      ),
    ]),
  );
}

/** What the work comes to; undefined as soon as the signal aborts. */
function orUndefined<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(undefined);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function describe(answer: Answer | undefined, error: unknown): string {
  if (answer?.kind?.$case === "failure") return answer.kind.value.message;
  return error instanceof Error ? error.message : "an answer to another question";
}

function foundersOf({ initialCluster, initialClusterToken }: ServerConfig): readonly MemberRecord[] {
  return initialCluster.map(({ peerUrls }) => ({
    id: memberIdOf(peerUrls, initialClusterToken),
    name: "",
    peerUrls,
    clientUrls: [],
    learner: false,
  }));
}

function nowSeconds(clock: Clock): number {
  return Math.floor(clock.wallMs() / 1000);
}

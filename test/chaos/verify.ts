/** Holds everything that a chaos run wrote down against the promises. Pure: its own tests feed it lies. */
import { LeaseValidator } from "../check/lease-validators.js";
import { WatchValidator } from "../check/watch-validators.js";
import { checkLinearizable } from "../check/wing-gong.js";
import { settle } from "../check/wing-gong-history.js";
import type { Chronicle } from "./chronicle.js";
import { ownPrefix, type PastRead, type Stage } from "./clients.js";
import { type HeldLease, keysPerLease, leasePrefix } from "./lease-holders.js";
import { type WatchSession, wordsOf } from "./watchers.js";

/** All that was written down. */
export interface Evidence extends Stage {
  readonly sessions: readonly WatchSession[];
  readonly leases: readonly HeldLease[];
}

const tolerance = { rateMax: 1.05, lateMs: 5_000 };

/** What is wrong, in words; empty when every promise was kept. */
export function verify(evidence: Evidence, chronicle: Chronicle): string[] {
  const { operations, wrong } = settle(evidence.operations, chronicle.revisions(), (key) => key.startsWith(ownPrefix));
  const verdict = checkLinearizable(operations);
  return [
    ...chronicle.wrong,
    ...wrong,
    ...(verdict.kind === "linearizable" ? [] : [`${verdict.kind}: ${verdict.report}`]),
    ...deniedWrites(evidence, chronicle),
    ...evidence.pastReads.flatMap((read) => pastRead(read, chronicle)),
    ...evidence.sessions.flatMap((session) => watched(session, chronicle)),
    ...leases(evidence.leases, chronicle),
  ];
}

/** A write that was said not to have happened must not have happened. */
function deniedWrites({ denied }: Evidence, chronicle: Chronicle): string[] {
  const values = new Set(
    chronicle
      .revisions()
      .flatMap(({ changes }) => changes.flatMap((change) => (change.kind === "put" ? [change.value] : []))),
  );
  return denied.flatMap(({ steps }) =>
    steps.flatMap((one) =>
      one.kind === "put" && values.has(one.value) ? [`not so: ${one.key}=${one.value} was said not to be written`] : [],
    ),
  );
}

function pastRead({ member, key, revision, found }: PastRead, chronicle: Chronicle): string[] {
  const [want, have] = [chronicle.at(key, revision), found].map((state) => JSON.stringify(state ?? "absent"));
  if (revision > chronicle.revision) return [`${member} answered at revision ${revision}, which never was`];
  return want === have ? [] : [`${member} said that ${key} at ${revision} is ${have}, it was ${want}`];
}

function watched({ member, wish, createdRevision, messages }: WatchSession, chronicle: Chronicle): string[] {
  const validator = new WatchValidator(wish, createdRevision, chronicle, wordsOf);
  for (const message of messages) {
    if (message.kind === "events") validator.events(message.events, { fragment: false });
    else validator.progress(message.revision);
  }
  return validator.findings.map(
    ({ problem, detail }) =>
      `watch at ${member} ${JSON.stringify(wish)} created at ${createdRevision}: ${problem}: ${detail}`,
  );
}

/** No lease ends early or comes back, and its keys go together. */
function leases(held: readonly HeldLease[], chronicle: Chronicle): string[] {
  const validator = new LeaseValidator(tolerance);
  const wrong: string[] = [];
  for (const lease of held) {
    validator.granted(lease.id, lease.ttlSeconds, lease.grantedMs);
    const ends = new Set(endsOf(lease, chronicle));
    if (ends.size > 1) wrong.push(`lease ${lease.id}: its keys went at revisions ${[...ends].join(" and ")}`);
    const [end] = ends;
    const endedMs = end === undefined ? Infinity : chronicle.heardMs(end);
    const asked = lease.revokedMs !== undefined && lease.revokedMs < endedMs;
    for (const { askedMs, ttlSeconds } of lease.renewals) {
      if (askedMs < endedMs) validator.renewed(lease.id, ttlSeconds, askedMs);
    }
    if (end !== undefined) validator.revoked(lease.id, asked ? "asked" : "expired", endedMs);
    for (const { askedMs, ttlSeconds } of lease.renewals) {
      if (askedMs >= endedMs) validator.renewed(lease.id, ttlSeconds, askedMs);
    }
  }
  return [...wrong, ...validator.findings.map(({ problem, detail }) => `lease: ${problem}: ${detail}`)];
}

/** The revisions in which the lease's keys were deleted. */
function endsOf({ id }: HeldLease, chronicle: Chronicle): number[] {
  const keys = Array.from({ length: keysPerLease }, (_, number) => `${leasePrefix}${id}/${number}`);
  return keys.flatMap((key) => {
    const last = chronicle.changesOf(key).at(-1);
    return last?.kind === "delete" ? [last.revision] : [];
  });
}

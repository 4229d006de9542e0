/** Effects, messages and members in one readable line each, for transcripts. */
import { decodeChange } from "../../../src/server/raft/change.js";
import type { Append, Effects, Entry, Membership, Message, SnapshotMeta } from "../../../src/server/raft/types.js";
import type { TestMember } from "./member.js";

export function describeEffects(member: TestMember, effects: Effects): string[] {
  const { role, append, apply } = effects;
  const lines: string[] = [];
  if (role !== undefined) {
    const leader = role.leader === undefined ? "no leader" : `leader ${role.leader}`;
    lines.push(`${member.id} is ${role.role} in term ${role.term}, ${leader}`);
  }
  for (const message of effects.send) lines.push(describeMessage(message));
  if (append !== undefined) lines.push(`${member.id} writes ${describeAppend(append)}`);
  if (append !== undefined) for (const message of append.sendAfter) lines.push(`  then ${describeMessage(message)}`);
  if (apply !== undefined) lines.push(`${member.id} applies ${apply.first}..${apply.last}`);
  for (const { requestId, index } of effects.reads) lines.push(`${member.id} may answer read ${requestId} at ${index}`);
  if (effects.needSnapshot.length > 0)
    lines.push(`${member.id} must send a snapshot to ${effects.needSnapshot.join()}`);
  if (effects.membership !== undefined) lines.push(`${member.id} knows ${describeMembership(effects.membership)}`);
  for (const { requestId, reason } of effects.rejected) lines.push(`${member.id} refuses ${requestId}: ${reason}`);
  return lines;
}

function describeAppend(append: Append): string {
  const parts = [`#${append.id}`];
  if (append.hardState !== undefined) {
    const { term, vote, commit } = append.hardState;
    parts.push(`term ${term} vote ${vote ?? "-"} commit ${commit}`);
  }
  if (append.truncateFrom !== undefined) parts.push(`truncate from ${append.truncateFrom}`);
  if (append.entries.length > 0) parts.push(describeEntries(append.entries));
  const { compact, install } = append;
  if (compact !== undefined) parts.push(`compact to ${compact.to} with ${describeMembership(compact.membership)}`);
  if (install !== undefined) parts.push(`install ${describeSnapshot(install)}`);
  return parts.join(", ");
}

export function describeEntries(entries: readonly Entry[]): string {
  if (entries.length > 8) {
    const [first, last] = [entries[0], entries.at(-1)];
    return `[${first?.index}@${first?.term} … ${last?.index}@${last?.term}, ${entries.length} entries]`;
  }
  return `[${entries.map(describeEntry).join(" ")}]`;
}

function describeEntry({ index, term, kind, data }: Entry): string {
  return `${index}@${term} ${describeData(kind, data)}`;
}

function describeData(kind: Entry["kind"], data: Uint8Array): string {
  switch (kind) {
    case "noop":
      return "noop";
    case "command":
      return `"${new TextDecoder().decode(data)}"`;
    case "change": {
      const { op, member } = decodeChange(data).change;
      return `${op} ${member}`;
    }
  }
}

export function describeMembership({ voters, learners }: Membership): string {
  const suffix = learners.length > 0 ? `, learners ${learners.join(" ")}` : "";
  return voters.length > 0 ? `voters ${voters.join(" ")}${suffix}` : "no members";
}

export function describeSnapshot({ index, term, membership, file }: SnapshotMeta): string {
  return `${file} through ${index}@${term} with ${describeMembership(membership)}`;
}

export function describeMessage(message: Message): string {
  return `${message.from} -> ${message.to} ${message.kind} term ${message.term}${describeBody(message)}`;
}

function describeBody(message: Message): string {
  switch (message.kind) {
    case "preVote":
    case "vote":
      return `, log ends ${message.lastIndex}@${message.lastTerm}${message.forced ? ", forced" : ""}`;
    case "timeoutNow":
      return "";
    case "preVoteReply":
    case "voteReply":
      return message.granted ? ", granted" : ", denied";
    case "append": {
      const { previousIndex, previousTerm, entries, commit, quiet } = message;
      const quietly = quiet === true ? ", quiet" : "";
      return `, after ${previousIndex}@${previousTerm} ${describeEntries(entries)}, commit ${commit}${quietly}`;
    }
    case "appendReply":
      return message.rejected
        ? `, rejected ${message.index}, try ${message.hintIndex}@${message.hintTerm}`
        : `, through ${message.index}`;
    case "heartbeat":
      return `, commit ${message.commit}${round(message.readRound)}`;
    case "heartbeatReply":
      return round(message.readRound);
    case "readForward":
      return `, #${message.requestId}`;
    case "readReply":
      return `, #${message.requestId} at ${message.index}`;
    case "proposeForward":
      return `, #${message.requestId} "${new TextDecoder().decode(message.data)}"`;
    case "proposeRejected":
      return `, #${message.requestId} ${message.reason}`;
  }
}

function round(readRound: number): string {
  return readRound === 0 ? "" : `, round ${readRound}`;
}

export function describeMember(member: TestMember): string {
  const { core, disk } = member;
  const durable = `disk ${disk.firstIndex}..${disk.firstIndex + disk.entries.length - 1}`;
  if (core === undefined) return `${member.id} down, ${durable}`;
  const { role, term, leader, firstIndex, lastIndex, commitIndex, appliedIndex } = core;
  const log = `log ${firstIndex}..${lastIndex}, ${durable}, commit ${commitIndex}, applied ${appliedIndex}`;
  return `${member.id} ${role}, term ${term}, leader ${leader ?? "-"}, ${log}`;
}

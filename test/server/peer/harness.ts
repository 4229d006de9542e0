/** Rooms on real sockets, with listeners that remember what they hear. */
import { Metadata } from "@grpc/grpc-js";
import type { Answer, Question } from "../../../proto/gen/internal/peer.js";
import { helloHeaders } from "../../../src/server/peer/handshake.js";
import { startPeers } from "../../../src/server/peer/peers.js";
import type { PeerOptions, PeerRoom } from "../../../src/server/peer/types.js";
import type { MemberId, Message } from "../../../src/server/raft/types.js";
import type { ForwardedProposal, PeerListener, SnapshotHead, SnapshotSink } from "../../../src/server/replica/peers.js";
import { systemClock } from "../../../src/server/runtime/clock.js";
import { createLogger, type Logger } from "../../../src/server/runtime/logger.js";
import { systemRandom } from "../../../src/server/runtime/random.js";

export const clusterId = 0xc1n;

/** A greeting as gRPC's own client takes it. */
export function helloMetadata(ids?: Parameters<typeof helloHeaders>[0]): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(helloHeaders(ids))) metadata.set(key, value);
  return metadata;
}

/** What gRPC's own client and server do to messages here: nothing. */
export function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}

/** Everything that a room told its owner, and with what the owner answers. */
export class Ear implements PeerListener {
  readonly heard: Message[] = [];
  readonly unreachableIds: MemberId[] = [];
  readonly unsentProposals: ForwardedProposal[] = [];
  readonly refusals: { readonly id: MemberId; readonly atMs: number }[] = [];
  removedCount = 0;
  readonly questions: { readonly from: MemberId | undefined; readonly question: Question }[] = [];
  sink: (head: SnapshotHead) => SnapshotSink = () => {
    throw new Error("no snapshot is wanted");
  };
  reply: (question: Question) => Promise<Answer> = () => Promise.resolve({ kind: undefined });

  messages(messages: readonly Message[]): void {
    this.heard.push(...messages);
  }

  unreachable(id: MemberId): void {
    this.unreachableIds.push(id);
  }

  unsent(proposals: readonly ForwardedProposal[]): void {
    this.unsentProposals.push(...proposals);
  }

  refused(id: MemberId): void {
    this.refusals.push({ id, atMs: performance.now() });
  }

  removed(): void {
    this.removedCount += 1;
  }

  receiveSnapshot(head: SnapshotHead): SnapshotSink {
    return this.sink(head);
  }

  answer(from: MemberId | undefined, question: Question): Promise<Answer> {
    this.questions.push({ from, question });
    return this.reply(question);
  }
}

export interface TestRoom extends AsyncDisposable {
  readonly room: PeerRoom;
  readonly ear: Ear;
  readonly id: MemberId;
  readonly url: string;
  /** Lines of the log, as JSON. */
  readonly lines: string[];
}

/** A room with an election timeout of 200 ms on a free port. The caller disposes it. */
export async function startRoom(id: MemberId, options: Partial<PeerOptions> = {}): Promise<TestRoom> {
  const ear = new Ear();
  const lines: string[] = [];
  const room: PeerRoom = await startPeers({
    clusterId,
    memberId: id,
    listenUrls: ["http://127.0.0.1:0"],
    ownUrls: () => room.urls,
    clock: systemClock,
    random: systemRandom,
    logger: logTo(lines),
    electionMs: 200,
    isRemoved: () => false,
    listener: ear,
    ...options,
  });
  const [url = ""] = room.urls;
  return { room, ear, id, url, lines, [Symbol.asyncDispose]: () => room.close() };
}

/** Gives each room a link to all others. */
export function linkAll(rooms: readonly TestRoom[]): void {
  for (const { id, room } of rooms) {
    room.setMembers(rooms.filter((other) => other.id !== id).map((other) => ({ id: other.id, peerUrls: [other.url] })));
  }
}

export function heartbeat(from: MemberId, to: MemberId, readRound: number): Message {
  return { kind: "heartbeat", from, to, term: 1, commit: 0, readRound };
}

/** A proposal of so many bytes on its way to the leader. */
export function proposal(from: MemberId, to: MemberId, size: { readonly requestId: number; readonly bytes: number }) {
  const { requestId, bytes } = size;
  const data = new Uint8Array(bytes).fill(requestId % 251);
  return { kind: "proposeForward", from, to, term: 1, boot: 1, sequence: requestId, requestId, data } as const;
}

/** One entry of so many bytes. */
export function append(
  from: MemberId,
  to: MemberId,
  entry: { readonly index: number; readonly bytes: number },
): Message {
  const data = new Uint8Array(entry.bytes).fill(entry.index % 251);
  const entries = [{ index: entry.index, term: 1, kind: "command" as const, data }];
  return { kind: "append", from, to, term: 1, previousIndex: entry.index - 1, previousTerm: 1, commit: 0, entries };
}

function logTo(lines: string[]): Logger {
  return createLogger({
    level: "debug",
    format: "json",
    write: (line) => void lines.push(line),
    now: () => new Date(),
  });
}

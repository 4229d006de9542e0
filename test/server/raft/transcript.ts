/**
 * Replays a transcript: lines that start with "> " are commands to a small cluster, lines that start with "#" are
 * comments, everything else is what the members did, and is written anew by the replay. A command that ends in "quiet"
 * does its work without a word.
 */
import type { Entry, MemberId, MembershipChange, RaftConfig } from "../../../src/server/raft/types.js";
import { TestCluster } from "./cluster.js";
import { describeEffects, describeEntries, describeMember, describeMembership, describeMessage } from "./describe.js";
import { bytes, config, entry } from "./support.js";

/** The same text with the members' answers as they are now. */
export function replay(text: string): string {
  const player = new Player();
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) lines.push(line);
    if (!line.startsWith("> ")) continue;
    if (lines.length > 0 && !lines.at(-1)?.startsWith("#")) lines.push("");
    lines.push(line, ...player.run(line.slice(2).trim()));
  }
  return `${lines.join("\n")}\n`;
}

class Player {
  #cluster: TestCluster | undefined;
  #lines: string[] = [];
  #requestId = 0;
  readonly #frozenDisks = new Set<MemberId>();
  #changes: Parameters<typeof config>[1] = {};

  run(command: string): string[] {
    this.#lines = [];
    const quiet = command.endsWith(" quiet");
    const [verb = "", ...words] = command.replace(/ quiet$/, "").split(" ");
    const action = this.#actions[verb];
    if (action === undefined) throw new Error(`no such command: ${command}`);
    action(words);
    return quiet ? [] : this.#lines;
  }

  get #here(): TestCluster {
    if (this.#cluster === undefined) throw new Error("a transcript begins with: > cluster");
    return this.#cluster;
  }

  readonly #actions: Record<string, (words: readonly string[]) => void> = {
    // cluster 1 2 3 [learner=4] [preVote=off] [inflight=2] [appends=2] [founded]: members that are not started yet; founded
    // ones have the founding as entry 1, compacted away
    cluster: (words) => this.#create(words),
    // log 1 1 1 2: the terms of the entries that are on a disk before the start; commit=2 and term=3 as options
    log: (words) => this.#fillDisk(words),
    // join 4: a member that knows nobody, not started yet
    join: (words) => each(words, (id) => void this.#here.join(config(id, this.#changes))),
    start: (words) => each(words, (id) => this.#start(id)),
    // crash 1: power loss, nothing that is under way reaches the disk
    crash: (words) => each(words, (id) => this.#here.member(id).crash({ writes: 0, applied: 0 })),
    tick: ([id, count = "1"]) => {
      for (let left = Number(count); left > 0; left -= 1) this.#here.step(BigInt(id ?? ""), { kind: "tick" });
    },
    campaign: (words) => each(words, (id) => this.#here.step(id, { kind: "campaign" })),
    // propose 1 a b c: one turn
    propose: ([id, ...values]) => this.#propose(BigInt(id ?? ""), values),
    // change 1 addLearner 4
    change: ([id, op, member]) => this.#change(BigInt(id ?? ""), op as MembershipChange["op"], BigInt(member ?? "")),
    transfer: ([id, to]) => this.#here.step(BigInt(id ?? ""), { kind: "transfer", to: BigInt(to ?? "") }),
    // snapshot 1>3 [newest|lost|late]: the oldest or newest snapshot on this way arrives, or is lost, or only taken for lost
    snapshot: ([link, fate]) => this.#snapshot(link ?? "", fate),
    read: ([id, count = "1"]) => {
      for (let left = Number(count); left > 0; left -= 1) {
        this.#here.stepOnly(BigInt(id ?? ""), { kind: "read", requestId: this.#nextId() });
      }
      this.#here.take(BigInt(id ?? ""));
    },
    compact: ([id, index]) => this.#here.step(BigInt(id ?? ""), { kind: "compact", index: Number(index) }),
    unreachable: ([id, peer]) =>
      this.#here.step(BigInt(id ?? ""), { kind: "peerUnreachable", peer: BigInt(peer ?? "") }),
    leaderUnreachable: (words) => each(words, (id) => this.#here.step(id, { kind: "leaderUnreachable" })),
    // write 1: the oldest write is durable; apply 1: the state machine is done
    write: (words) => each(words, (id) => this.#expect(this.#here.completeWrite(id), "nothing to write")),
    apply: (words) => each(words, (id) => this.#expect(this.#here.completeApply(id), "nothing to apply")),
    // deliver [1>2] [kind]: all messages that are on the way now, or those of a link, or of a kind; drop, duplicate alike
    deliver: (words) => {
      for (const message of this.#pick(words)) this.#here.deliver(message);
    },
    drop: (words) => {
      for (const message of this.#pick(words)) this.#lines.push(`lost: ${describeMessage(message)}`);
    },
    duplicate: (words) => {
      const picked = this.#pick(words);
      this.#here.network.push(...picked, ...picked);
    },
    cut: ([from, to]) => this.#cut(from ?? "", to),
    heal: () => this.#here.cuts.clear(),
    freeze: (words) => each(words, (id) => this.#frozenDisks.add(id)),
    thaw: (words) => each(words, (id) => this.#frozenDisks.delete(id)),
    // members: who each of them takes for the members; and whether it may go
    members: () => {
      for (const { id, core } of this.#here.running) {
        const farewell = core?.removed === true ? ", may go" : "";
        this.#lines.push(`${id} knows ${core === undefined ? "" : describeMembership(core.membership)}${farewell}`);
      }
    },
    // settle: everything but time runs until nothing moves
    settle: () => this.#here.settle({ frozenDisks: this.#frozenDisks }),
    status: () => this.#lines.push(...[...this.#here.members.values()].map(describeMember)),
    disk: (words) => each(words, (id) => this.#lines.push(describeEntries(this.#here.member(id).disk.entries))),
  };

  #create(words: readonly string[]): void {
    const ids = words.filter((word) => /^\d+$/.test(word)).map(BigInt);
    const learners = options(words, "learner").map(BigInt);
    const [inflight] = options(words, "inflight");
    const [appends] = options(words, "appends");
    this.#changes = {
      preVote: options(words, "preVote")[0] !== "off",
      limits: {
        ...(inflight === undefined ? {} : { inflightMessagesMax: Number(inflight) }),
        ...(appends === undefined ? {} : { appendsInflightMax: Number(appends) }),
      },
    };
    const configs: RaftConfig[] = [...ids, ...learners].map((id) => config(id, this.#changes));
    this.#cluster = new TestCluster(configs, { voters: ids, learners }, [
      { onEffects: (member, effects) => void this.#lines.push(...describeEffects(member, effects)) },
    ]);
    if (words.includes("founded")) for (const member of this.#cluster.members.values()) member.found();
  }

  #change(id: MemberId, op: MembershipChange["op"], member: MemberId): void {
    const data = bytes(`${op} ${member}`);
    this.#here.step(id, { kind: "proposeChange", requestId: this.#nextId(), change: { op, member }, data });
  }

  #snapshot(link: string, fate: string | undefined): void {
    const { snapshots } = this.#here;
    const isMeant = ({ from, to }: (typeof snapshots)[number]): boolean => `${from}>${to}` === link;
    const position = fate === "newest" ? snapshots.findLastIndex(isMeant) : snapshots.findIndex(isMeant);
    const [snapshot] = position < 0 ? [] : snapshots.splice(position, 1);
    this.#expect(snapshot !== undefined, "no such snapshot");
    if (snapshot === undefined) return;
    this.#here.deliverSnapshot(snapshot, fate === "lost" || fate === "late" ? "lost" : "arrives");
    if (fate === "late") snapshots.push(snapshot);
  }

  #fillDisk([id, ...words]: readonly string[]): void {
    const { disk } = this.#here.member(BigInt(id ?? ""));
    const entries: Entry[] = words
      .filter((word) => !word.includes("="))
      .map((term, offset) => entry(offset + 1, Number(term)));
    const [commit = "0"] = options(words, "commit");
    const [term = `${entries.at(-1)?.term ?? 0}`] = options(words, "term");
    disk.entries = entries;
    disk.hardState = { term: Number(term), vote: undefined, commit: Number(commit) };
  }

  #start(id: MemberId): void {
    // Each member draws its timeouts from its own id, so a transcript can count on them.
    this.#here.member(id).start(Number(id));
    this.#here.take(id);
  }

  #propose(id: MemberId, values: readonly string[]): void {
    for (const value of values) {
      this.#here.stepOnly(id, { kind: "propose", requestId: this.#nextId(), data: bytes(value) });
    }
    this.#here.take(id);
  }

  #cut(from: string, to: string | undefined): void {
    for (const { id } of this.#here.members.values()) {
      if (`${id}` === from || (to !== undefined && `${id}` !== to)) continue;
      this.#here.cuts.add(`${from}>${id}`).add(`${id}>${from}`);
    }
  }

  #pick(words: readonly string[]): ReturnType<TestCluster["network"]["splice"]> {
    const wanted = (message: TestCluster["network"][number]): boolean =>
      words.every((word) => word === message.kind || word === `${message.from}>${message.to}`);
    const picked = this.#here.network.filter(wanted);
    this.#here.network = this.#here.network.filter((message) => !picked.includes(message));
    return picked;
  }

  #nextId(): number {
    this.#requestId += 1;
    return this.#requestId;
  }

  #expect(done: boolean, otherwise: string): void {
    if (!done) this.#lines.push(otherwise);
  }
}

function each(words: readonly string[], action: (id: MemberId) => void): void {
  for (const word of words) action(BigInt(word));
}

function options(words: readonly string[], name: string): string[] {
  return words.filter((word) => word.startsWith(`${name}=`)).map((word) => word.slice(name.length + 1));
}

/** All members of a run, those that are gone included, and what an operator does with them. */
import { memberIdOf } from "../../../src/server/config/identity.js";
import type { MemberId } from "../../../src/server/raft/types.js";
import type { Bootstrap } from "../../../src/server/storage/types.js";
import { name } from "../checks/raft-checks.js";
import type { Port } from "../clients/call.js";
import { disk, FsError } from "../disk/virtual-fs.js";
import { runningProcess } from "../world/process.js";
import { type MemberWorld, SimMember } from "./member.js";

export class SimCluster {
  readonly shared: MemberWorld;
  readonly members: SimMember[] = [];
  private clientPorts: readonly (() => Port | undefined)[] = [];

  constructor(shared: MemberWorld) {
    this.shared = shared;
    shared.world.afterEvent = () => this.look();
    disk.beforeWrite = (path) => this.beforeWrite(path);
    disk.beforeRemove = (path) => this.beforeRemove(path);
  }

  /** Ids of the founders of a cluster of this size, as production computes them. */
  static founderIds(count: number): MemberId[] {
    return Array.from({ length: count }, (_, at) => memberIdOf([founderUrl(at)], founderToken));
  }

  found(): void {
    const { tuning, clusterId } = this.shared;
    const voters = SimCluster.founderIds(tuning.memberCount);
    const founders = voters.map((id, at) => ({
      id,
      name: name(id),
      peerUrls: [founderUrl(at)],
      clientUrls: [],
      learner: false,
    }));
    for (const id of voters) {
      const identity = { clusterId, memberId: id };
      this.add(id, { kind: "found", identity, membership: { voters, learners: [] }, founders });
    }
    for (const member of this.members) member.start();
  }

  /** A member that joins: its disk is empty. */
  join(id: MemberId): SimMember {
    const identity = { clusterId: this.shared.clusterId, memberId: id };
    return this.add(id, { kind: "join", identity, membership: { voters: [], learners: [] } });
  }

  get ports(): readonly (() => Port | undefined)[] {
    return this.clientPorts;
  }

  get up(): readonly SimMember[] {
    return this.members.filter(({ state }) => state === "up");
  }

  /** Members of the cluster as the committed log has it, whatever state they are in. */
  get current(): readonly SimMember[] {
    return this.members.filter(({ id }) => this.shared.raft.isMember(id));
  }

  get leader(): SimMember | undefined {
    const leaders = this.up.filter(({ isLeader, process }) => isLeader && process?.isPaused !== true);
    return leaders.toSorted((a, b) => (b.parts?.core.term ?? 0) - (a.parts?.core.term ?? 0))[0];
  }

  byId(id: MemberId): SimMember | undefined {
    return this.members.find((member) => member.id === id);
  }

  private add(id: MemberId, bootstrap: Bootstrap): SimMember {
    const member = new SimMember(this.shared, id, bootstrap);
    this.members.push(member);
    this.clientPorts = this.members.map(({ clientPort }) => clientPort);
    return member;
  }

  /** A disk that is told to fail fails at the next write, whatever file it is for. */
  private beforeWrite(path: string): void {
    const owner = this.ownerOf(path);
    const fails = owner?.disk.fails;
    if (owner === undefined) return;
    if (fails === "power") this.mayCut(owner);
    const sqlite = path.endsWith(".db");
    if (fails === "full") throw new FsError(sqlite ? "SQLITE_FULL" : "ENOSPC", path);
    if (fails === "io" || owner.isCutOff) throw new FsError(sqlite ? "SQLITE_IOERR_FSYNC" : "EIO", path);
    if (path.endsWith("/raft.db")) owner.disk.logCommits += 1;
  }

  /** Counts the writes that are left; the one after them is cut off. */
  private mayCut(owner: SimMember): void {
    owner.disk.writesLeft -= 1;
    if (owner.disk.writesLeft === -1) owner.cutOff();
  }

  /** Without power nothing is deleted either. */
  private beforeRemove(path: string): void {
    const owner = this.ownerOf(path);
    if (owner?.isCutOff === true) throw new FsError("EIO", path);
  }

  private ownerOf(path: string): SimMember | undefined {
    return this.members.find(({ dir }) => path.startsWith(`${dir}/`) || path === dir);
  }

  /** After an event: whoever ran may have moved its log or its term. */
  private look(): void {
    const process = runningProcess();
    if (process === undefined || !process.alive) return;
    for (const member of this.members) {
      if (member.process !== process) continue;
      const { parts } = member;
      if (parts !== undefined) this.shared.raft.look(member.id, parts.core);
    }
  }
}

/** What founders take for the token of their cluster. */
export const founderToken = "simulated";

function founderUrl(at: number): string {
  return urlOf(`founder${at + 1}`);
}

export function urlOf(host: string): string {
  return `http://${host}.example:2380`;
}

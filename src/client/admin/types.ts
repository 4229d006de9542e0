/** The words of running a cluster: members, their state, and what is done to them. */
import type { Header, ReadOptions, RevisionInput } from "../kv/types.js";
import type { Bytes, CallOptions } from "../options.js";

export interface MemberInfo {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}
export interface Cluster {
  members(options?: CallOptions & { readonly consistency?: ReadOptions["consistency"] }): Promise<MemberInfo[]>;
  add(peerUrls: readonly string[], options?: CallOptions & { readonly learner?: boolean }): Promise<MemberInfo>;
  update(id: bigint, peerUrls: readonly string[], options?: CallOptions): Promise<void>;
  promote(id: bigint, options?: CallOptions): Promise<void>;
  remove(id: bigint, options?: CallOptions): Promise<void>;
}

export interface MemberStatus {
  readonly header: Header;
  readonly version: string;
  readonly storageVersion: string;
  /** Bytes. */
  readonly dbSize: number;
  readonly dbSizeInUse: number;
  /** Bytes; 0 before etcd 3.6. */
  readonly dbSizeQuota: number;
  /** The member this one believes to lead; undefined if it knows none. */
  readonly leader: bigint | undefined;
  readonly raftIndex: bigint;
  readonly raftTerm: bigint;
  readonly raftAppliedIndex: bigint;
  readonly learner: boolean;
  readonly errors: readonly string[];
}
export interface HashKv {
  readonly header: Header;
  readonly hash: number;
  readonly compactRevision: bigint;
  /** 0n before etcd 3.6. */
  readonly hashRevision: bigint;
}
export interface Alarm {
  readonly memberId: bigint;
  readonly alarm: "nospace" | "corrupt";
}
/** Calls about one member: name it with `target`, or any answers. */
export interface Maintenance {
  status(options?: CallOptions): Promise<MemberStatus>;
  hashKv(options?: CallOptions & { readonly revision?: RevisionInput }): Promise<HashKv>;
  alarms(options?: CallOptions): Promise<Alarm[]>;
  disarm(alarm: Alarm, options?: CallOptions): Promise<void>;
  /** No default deadline: it takes as long as the file is big. */
  defragment(options?: CallOptions): Promise<void>;
  /** The bytes of a snapshot file, its trailing SHA-256 checked; rejects with code "SnapshotCorrupt". */
  snapshot(options?: CallOptions): AsyncIterable<Bytes>;
  moveLeader(memberId: bigint, options?: CallOptions): Promise<void>;
}

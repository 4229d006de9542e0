/** The words of running a cluster: members, their state, and what is done to them. */
import type { ReadableStream } from "node:stream/web";
import type { Header, KeyRange, ReadOptions, RevisionInput } from "../kv/types.js";
import type { Bytes, CallOptions } from "../options.js";

export interface MemberInfo {
  readonly id: bigint;
  /** Empty until the member has started once. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** Where clients reach it; empty until the member has started once. */
  readonly clientUrls: readonly string[];
  /** True while it receives the log and neither votes nor counts for a quorum. */
  readonly learner: boolean;
}
/** Changes resolve when a quorum has committed them. Those that return members return all there are after the change. */
export interface Cluster {
  /** A "serializable" list is what one member knows, and works without a quorum. */
  members(options?: CallOptions & { readonly consistency?: ReadOptions["consistency"] }): Promise<MemberInfo[]>;
  /** A voting member: from now on it counts for the quorum, running or not. To add it first as a learner is safer. */
  add(peerUrls: readonly string[], options?: CallOptions): Promise<MemberInfo>;
  addLearner(peerUrls: readonly string[], options?: CallOptions): Promise<MemberInfo>;
  /** Replaces the peer URLs. Rejects with code "MemberNotFound" for an unknown id, as the next two do. */
  update(id: bigint, peerUrls: readonly string[], options?: CallOptions): Promise<MemberInfo[]>;
  /** Makes a learner a voter. Rejects with code "LearnerNotReady" while it lags behind the leader. */
  promote(id: bigint, options?: CallOptions): Promise<MemberInfo[]>;
  remove(id: bigint, options?: CallOptions): Promise<MemberInfo[]>;
}

export interface MemberStatus {
  readonly header: Header;
  /** Of the server: `major.minor.patch`. */
  readonly version: string;
  /** Of the data, such as "3.6.0"; empty before etcd 3.6. */
  readonly storageVersion: string;
  /** Bytes on disk. */
  readonly dbSize: number;
  /** Bytes of `dbSize` that hold data; defragmenting frees the rest. */
  readonly dbSizeInUse: number;
  /** Bytes at which the member raises the alarm "nospace"; 0 before etcd 3.6. */
  readonly dbSizeQuota: number;
  /** The member this one believes to lead; undefined if it knows none. */
  readonly leader: bigint | undefined;
  /** Index of the last committed entry that this member knows. */
  readonly raftIndex: bigint;
  readonly raftTerm: bigint;
  /** Index of the last entry that its store contains. */
  readonly raftAppliedIndex: bigint;
  readonly learner: boolean;
  /** What ails the member, in its own words: alarms, no leader. */
  readonly errors: readonly string[];
  /** The version the cluster is being downgraded to; undefined if none, and before etcd 3.6. */
  readonly downgradeTo: string | undefined;
}
/** CRC-32C of the whole database file: members with the same data may differ. Use `hashKv` to compare members. */
export interface Hash {
  readonly header: Header;
  readonly hash: number;
}
/** Of the keys' history, equal on all members that have the same `compactRevision` and were asked for the same revision. */
export interface HashKv {
  readonly header: Header;
  readonly hash: number;
  readonly compactRevision: bigint;
  /** The revision up to which was hashed; 0n before etcd 3.6. */
  readonly hashRevision: bigint;
}
export interface Alarm {
  readonly memberId: bigint;
  /** "nospace": writes that need room are refused. "corrupt": members disagree about the data. */
  readonly alarm: "nospace" | "corrupt";
}
/**
 * One minor version back, as `major.minor`. Each call resolves with the version the cluster runs at now. Some servers of
 * 3.5 do what `enable` and `cancel` ask, and then let them time out: such an error has the outcome "unknown".
 */
export interface Downgrade {
  /** Whether it could be done. Rejects with code "InvalidDowngradeTargetVersion" if not. */
  validate(version: string, options?: CallOptions): Promise<string>;
  /** Prepares the cluster; its members may then be replaced by older ones, one at a time. */
  enable(version: string, options?: CallOptions): Promise<string>;
  /** If there is nothing to cancel, servers before 3.6 reject with code "NoInflightDowngrade"; later ones do not mind. */
  cancel(options?: CallOptions): Promise<string>;
}
/** Calls about one member: name it with `target`, or any answers. */
export interface Maintenance {
  readonly downgrade: Downgrade;
  status(options?: CallOptions): Promise<MemberStatus>;
  hash(options?: CallOptions): Promise<Hash>;
  /** Up to `revision`, or up to what the member has. */
  hashKv(options?: CallOptions & { readonly revision?: RevisionInput }): Promise<HashKv>;
  /** Of all members. */
  alarms(options?: CallOptions): Promise<Alarm[]>;
  /** Each in turn. One that is not raised is no error; resolves with those that were. */
  disarm(alarms: Alarm | readonly Alarm[], options?: CallOptions): Promise<Alarm[]>;
  /** Gives free space back to the disk. The member serves nobody meanwhile, so there is no default deadline. */
  defragment(options?: CallOptions): Promise<void>;
  /** The whole database of one member, as a file has it. Nothing is asked of the server before it is read. */
  snapshot(options?: SnapshotOptions): SnapshotDownload;
  /** Goes to the leader, which hands over to this voter. */
  moveLeader(memberId: bigint, options?: CallOptions): Promise<void>;
}

/** There is no default deadline: it takes as long as the database is big. */
export interface SnapshotOptions extends CallOptions {
  /** Called after each part that arrived. */
  readonly onProgress?: (progress: SnapshotProgress) => void;
}
export interface SnapshotProgress {
  readonly receivedBytes: number;
  /** What the server says is left. It counts before the 32 bytes of the digest, so 0 is not yet the end. */
  readonly remainingBytes: number;
}
export interface SavedSnapshot {
  readonly file: string;
  /** Of the file. */
  readonly sizeBytes: number;
  /** Of the database in it, in hex: what the last 32 bytes of the file say. */
  readonly sha256: string;
  /** The server's storage version; empty before etcd 3.6. */
  readonly version: string;
}
/**
 * A download. Each loop, stream or file is a download of its own. All end with a SnapshotError if what arrived is not
 * whole: the bytes of a snapshot end with the SHA-256 of all before, and that is checked.
 */
export interface SnapshotDownload extends AsyncIterable<Bytes> {
  stream(): ReadableStream<Bytes>;
  /**
   * Writes a file that either is there whole and on the disk, or is not there: it is written beside under another name,
   * synced, and renamed. Replaces a file of that name; readable by the user alone.
   */
  save(file: string): Promise<SavedSnapshot>;
}

/** What a role allows on a range of keys. */
export interface Permission {
  readonly kind: "read" | "write" | "readwrite";
  readonly range: KeyRange;
}
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
}
export interface User {
  readonly name: string;
  /** Names of roles, sorted. */
  readonly roles: readonly string[];
}
export interface AuthStatus {
  readonly enabled: boolean;
  /** Grows with every change of users and roles; tokens of an older one are refused and fetched anew. */
  readonly revision: bigint;
}
/** How a user proves who it is: by a password, or only by the common name of a client certificate. */
export type UserLogin = { readonly password: string } | { readonly noPassword: true };

/** Several roles are granted or revoked one after the other; a failure leaves those before it done. */
export interface UserAdmin {
  list(options?: CallOptions): Promise<string[]>;
  /** Undefined if there is none. */
  get(name: string, options?: CallOptions): Promise<User | undefined>;
  /** Rejects with code "UserAlreadyExist". */
  add(name: string, login: UserLogin, options?: CallOptions): Promise<void>;
  /** Rejects with code "UserNotFound", as the next three do. */
  delete(name: string, options?: CallOptions): Promise<void>;
  changePassword(name: string, password: string, options?: CallOptions): Promise<void>;
  grant(name: string, roles: string | readonly string[], options?: CallOptions): Promise<void>;
  revoke(name: string, roles: string | readonly string[], options?: CallOptions): Promise<void>;
}
/** Several permissions are granted or revoked one after the other; a failure leaves those before it done. */
export interface RoleAdmin {
  list(options?: CallOptions): Promise<string[]>;
  /** Undefined if there is none. */
  get(name: string, options?: CallOptions): Promise<Role | undefined>;
  /** Rejects with code "RoleAlreadyExist". */
  add(name: string, options?: CallOptions): Promise<void>;
  /** Takes the role from its users, too. */
  delete(name: string, options?: CallOptions): Promise<void>;
  /** A permission on the very same range is replaced. Ranges are of the whole store: no namespace applies. */
  grant(name: string, permissions: Permission | readonly Permission[], options?: CallOptions): Promise<void>;
  /** Takes away what was granted on exactly this range; rejects with code "PermissionNotGranted" if nothing was. */
  revoke(name: string, ranges: KeyRange | readonly KeyRange[], options?: CallOptions): Promise<void>;
}
/** Users, roles, and whether they are asked for. */
export interface AuthAdmin {
  readonly users: UserAdmin;
  readonly roles: RoleAdmin;
  /** Needs a user "root" with the role "root". From now on every call needs a user. */
  enable(options?: CallOptions): Promise<void>;
  disable(options?: CallOptions): Promise<void>;
  /** Rejects with an UnsupportedError before etcd 3.5. */
  status(options?: CallOptions): Promise<AuthStatus>;
}

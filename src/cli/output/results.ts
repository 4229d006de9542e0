/** What commands hand to a printer, and what a printer is: a table from the kind of result to its text. */
import type * as rpc from "../../../proto/gen/etcd/rpc.js";

/** What one member said to a health check. */
export interface EndpointHealth {
  readonly endpoint: string;
  readonly isHealthy: boolean;
  readonly tookNs: bigint;
  /** Empty if healthy. */
  readonly error: string;
}
export interface EndpointStatus {
  readonly endpoint: string;
  readonly status: rpc.StatusResponse;
}
export interface EndpointHash {
  readonly endpoint: string;
  readonly hash: rpc.HashKVResponse;
}

/** What `utl snapshot status` found in a file. */
export interface SnapshotFacts {
  readonly hash: number;
  readonly revision: number;
  /** Keys that are alive. */
  readonly keys: number;
  readonly sizeBytes: number;
  /** x.y.z. */
  readonly version: string;
}
/** A hash of a file's key history. */
export interface FileHash {
  readonly hash: number;
  readonly hashRevision: number;
  readonly compactRevision: number;
}

/** Every response that can be printed. `message` is the line for the simple format of responses that say little. */
export type Result =
  | { readonly kind: "range"; readonly response: rpc.RangeResponse; readonly valueOnly?: boolean }
  | { readonly kind: "put"; readonly response: rpc.PutResponse }
  | { readonly kind: "deleteRange"; readonly response: rpc.DeleteRangeResponse }
  | { readonly kind: "txn"; readonly response: rpc.TxnResponse }
  | { readonly kind: "watch"; readonly response: rpc.WatchResponse }
  | { readonly kind: "leaseGrant"; readonly response: rpc.LeaseGrantResponse }
  | { readonly kind: "leaseTimeToLive"; readonly response: rpc.LeaseTimeToLiveResponse; readonly withKeys: boolean }
  | { readonly kind: "leaseList"; readonly response: rpc.LeaseLeasesResponse }
  | { readonly kind: "leaseKeepAlive"; readonly response: rpc.LeaseKeepAliveResponse }
  | { readonly kind: "alarm"; readonly response: rpc.AlarmResponse }
  | { readonly kind: "memberList"; readonly response: rpc.MemberListResponse }
  | { readonly kind: "memberAdd"; readonly response: rpc.MemberAddResponse; readonly name: string }
  | { readonly kind: "memberChange"; readonly response: rpc.MemberListResponse; readonly message: string }
  | { readonly kind: "endpointHealth"; readonly endpoints: readonly EndpointHealth[] }
  | { readonly kind: "endpointStatus"; readonly endpoints: readonly EndpointStatus[] }
  | { readonly kind: "endpointHash"; readonly endpoints: readonly EndpointHash[] }
  | { readonly kind: "snapshotStatus"; readonly status: SnapshotFacts }
  | { readonly kind: "hashKv"; readonly hash: FileHash }
  | { readonly kind: "moveLeader"; readonly response: rpc.MoveLeaderResponse; readonly message: string }
  | { readonly kind: "roleGet"; readonly response: rpc.AuthRoleGetResponse; readonly role: string }
  | { readonly kind: "roleList"; readonly response: rpc.AuthRoleListResponse }
  | { readonly kind: "userGet"; readonly response: rpc.AuthUserGetResponse; readonly user: string }
  | { readonly kind: "userList"; readonly response: rpc.AuthUserListResponse }
  | { readonly kind: "authStatus"; readonly response: rpc.AuthStatusResponse }
  | { readonly kind: "downgrade"; readonly response: rpc.DowngradeResponse; readonly message: string }
  /** A change that is answered by a header alone. */
  | { readonly kind: "change"; readonly response: HeaderOnly; readonly message: string };

export interface HeaderOnly {
  readonly header: rpc.ResponseHeader | undefined;
}

export type ResultKind = Result["kind"];
export type ResultOf<Kind extends ResultKind> = Extract<Result, { readonly kind: Kind }>;

export interface Style {
  readonly hex: boolean;
}

/** A kind that a format does not know is missing from its table: "… not supported as output format". */
export type Printer = {
  readonly [Kind in ResultKind]?: (result: ResultOf<Kind>, style: Style) => string | Uint8Array;
};

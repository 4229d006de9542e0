/** Who speaks to whom, as metadata at the beginning of each call, and why a call is refused. */

import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import type { MemberId } from "../raft/types.js";
import { litecdVersion } from "../runtime/version.js";

/** What members say to each other; rises when an older member could not understand it. */
export const protocolVersion = 1;

/** Appends and proposals, which may be large, in one; all that must never wait behind them in the other. */
export type LaneName = "urgent" | "bulk";

/** Who calls. What a caller does not say is undefined: somebody who wants to join knows no ids. */
export interface Hello {
  readonly clusterId: bigint | undefined;
  readonly from: MemberId | undefined;
  readonly to: MemberId | undefined;
  readonly protocol: number | undefined;
  readonly serverVersion: string;
}

/** Why a member does not listen to another. */
export type RefusalKind = "protocol" | "cluster" | "removed" | "target" | "frame";

export interface Refusal {
  readonly kind: RefusalKind;
  /** For people. */
  readonly reason: string;
}

/** Who a member is, and whom it lets in. */
export interface Gate {
  readonly clusterId: bigint;
  readonly memberId: MemberId;
  readonly isRemoved: (id: MemberId) => boolean;
}

const keys = {
  cluster: "litecd-cluster",
  from: "litecd-from",
  to: "litecd-to",
  protocol: "litecd-protocol",
  version: "litecd-version",
  refusal: "litecd-refusal",
} as const;

const refusalKinds: readonly RefusalKind[] = ["protocol", "cluster", "removed", "target", "frame"];

/** The greeting of one member to another; without ids, of a stranger. */
export function helloMetadata(ids?: { clusterId: bigint; from: MemberId; to: MemberId }): Metadata {
  const metadata = new Metadata();
  metadata.set(keys.protocol, String(protocolVersion));
  metadata.set(keys.version, litecdVersion);
  if (ids !== undefined) {
    metadata.set(keys.cluster, ids.clusterId.toString(16));
    metadata.set(keys.from, ids.from.toString(16));
    metadata.set(keys.to, ids.to.toString(16));
  }
  return metadata;
}

export function readHello(metadata: Metadata): Hello {
  const protocol = Number(text(metadata, keys.protocol) ?? Number.NaN);
  return {
    clusterId: id(metadata, keys.cluster),
    from: id(metadata, keys.from),
    to: id(metadata, keys.to),
    protocol: Number.isSafeInteger(protocol) ? protocol : undefined,
    serverVersion: text(metadata, keys.version) ?? "unknown",
  };
}

/**
 * Why a caller that speaks as a member is turned away; undefined if it is not. Members that are not known here are let
 * in: this member may lag behind the change that added them. The id of the cluster decides.
 */
export function refusalOf(hello: Hello, gate: Gate): Refusal | undefined {
  const { clusterId, from, to, protocol } = hello;
  if (protocol !== protocolVersion) {
    return {
      kind: "protocol",
      reason: `it speaks version ${protocol} of the protocol, this member ${protocolVersion}`,
    };
  }
  if (clusterId !== gate.clusterId) {
    const theirs = clusterId?.toString(16) ?? "none";
    return { kind: "cluster", reason: `its cluster is ${theirs}, this member's is ${gate.clusterId.toString(16)}` };
  }
  if (from === undefined || to === undefined) return { kind: "target", reason: "it does not say who speaks to whom" };
  if (gate.isRemoved(from)) return { kind: "removed", reason: "it was removed from the cluster" };
  if (to !== gate.memberId) {
    return { kind: "target", reason: `it looks for ${to.toString(16)}, this member is ${gate.memberId.toString(16)}` };
  }
  return undefined;
}

/** A refusal as the status that ends a call. */
export function refusalStatus(refusal: Refusal): Partial<StatusObject> {
  const metadata = new Metadata();
  metadata.set(keys.refusal, refusal.kind);
  const code = refusal.kind === "frame" ? status.INVALID_ARGUMENT : status.FAILED_PRECONDITION;
  return { code, details: `refused: ${refusal.reason}`, metadata };
}

/** The refusal that a status carries, if it is one. */
export function refusalIn(end: StatusObject | ServiceError): Refusal | undefined {
  const kind = refusalKinds.find((each) => each === text(end.metadata, keys.refusal));
  return kind === undefined ? undefined : { kind, reason: end.details };
}

function text(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key);
  return typeof value === "string" ? value : undefined;
}

function id(metadata: Metadata, key: string): bigint | undefined {
  const value = text(metadata, key);
  return value !== undefined && /^[0-9a-f]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined;
}

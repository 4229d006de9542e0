/** Who speaks to whom, as headers at the beginning of each call, and why a call is refused. */

import type { IncomingHttpHeaders } from "node:http2";
import { Code } from "../../../proto/status.js";
import type { MemberId } from "../raft/types.js";
import { litecdVersion } from "../runtime/version.js";
import { type CallStatus, headerText } from "./call-status.js";

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
  /** Where the caller itself can be called; none if it does not say. */
  readonly peerUrls: readonly string[];
}

/** What a member says of itself when it calls another. */
export interface Greeting {
  readonly clusterId: bigint;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly peerUrls: readonly string[];
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
  urls: "litecd-peer-urls",
  refusal: "litecd-refusal",
} as const;

const refusalKinds: readonly RefusalKind[] = ["protocol", "cluster", "removed", "target", "frame"];

/** The greeting of one member to another; without one, that of a stranger. */
export function helloHeaders(greeting?: Greeting): Record<string, string> {
  return {
    [keys.protocol]: String(protocolVersion),
    [keys.version]: litecdVersion,
    ...(greeting === undefined
      ? {}
      : {
          [keys.cluster]: greeting.clusterId.toString(16),
          [keys.from]: greeting.from.toString(16),
          [keys.to]: greeting.to.toString(16),
          [keys.urls]: greeting.peerUrls.map(encodeURIComponent).join(","),
        }),
  };
}

export function readHello(headers: IncomingHttpHeaders): Hello {
  const protocol = Number(headerText(headers, keys.protocol) ?? Number.NaN);
  return {
    clusterId: id(headers, keys.cluster),
    from: id(headers, keys.from),
    to: id(headers, keys.to),
    protocol: Number.isSafeInteger(protocol) ? protocol : undefined,
    serverVersion: headerText(headers, keys.version) ?? "unknown",
    peerUrls: urls(headers),
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
export function refusalStatus(refusal: Refusal): CallStatus {
  const code = refusal.kind === "frame" ? Code.INVALID_ARGUMENT : Code.FAILED_PRECONDITION;
  return { code, details: `refused: ${refusal.reason}`, headers: { [keys.refusal]: refusal.kind } };
}

/** The refusal that a status carries, if it is one. */
export function refusalIn({ headers, details }: CallStatus): Refusal | undefined {
  const kind = refusalKinds.find((each) => each === headers[keys.refusal]);
  return kind === undefined ? undefined : { kind, reason: details };
}

/** Escaped, because a URL may have letters that a header may not. What cannot be read says nothing. */
function urls(headers: IncomingHttpHeaders): readonly string[] {
  const texts = (headerText(headers, keys.urls) ?? "").split(",").filter((text) => text !== "");
  try {
    return texts.map(decodeURIComponent);
  } catch {
    return [];
  }
}

function id(headers: IncomingHttpHeaders, key: string): bigint | undefined {
  const value = headerText(headers, key);
  return value !== undefined && /^[0-9a-f]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined;
}

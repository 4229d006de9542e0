/** The fields format: `"Name" : value` lines, strings quoted as Go's %q (spec/cli.md 7.4, 7.8). */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { formatDuration } from "../input/go-duration.js";
import { goQuote } from "./go-quote.js";
import { hexId, leaseId } from "./human.js";
import type { EndpointHash, EndpointHealth, EndpointStatus, Printer, Style } from "./results.js";
import { alarmName } from "./simple.js";

type Line = readonly [name: string, value: string | bigint | number | boolean];

/** The printer of `-w fields`. */
export const fieldsPrinter: Printer = {
  range: ({ response }, style) => text(range(response, style)),
  put: ({ response }, style) => text(put(response, style)),
  deleteRange: ({ response }, style) => text(deleteRange(response, style)),
  txn: ({ response }, style) => text(txn(response, style)),
  watch: ({ response }, style) => text([...header(response.header, style), ...response.events.flatMap(event(style))]),
  leaseGrant: ({ response }, style) => text([...lease(response, style), ["TTL", response.TTL]]),
  leaseTimeToLive: ({ response }, style) => {
    const keys = response.keys.map((key): Line => ["Key", goQuote(key)]);
    return text([...lease(response, style), ["TTL", response.TTL], ["GrantedTTL", response.grantedTTL], ...keys]);
  },
  leaseList: ({ response }, style) => {
    const ids = response.leases.map(({ ID }): Line => ["ID", leaseNumber(ID, style)]);
    return text([...header(response.header, style), ...ids]);
  },
  leaseKeepAlive: ({ response }, style) => text([...lease(response, style), ["TTL", response.TTL]]),
  alarm: ({ response }, style) => {
    return text(header(response.header ?? noHeader, style)) + response.alarms.map((one) => item(alarm(one))).join("");
  },
  memberList: ({ response }, style) => {
    return text(header(response.header, style)) + response.members.map((one) => item(member(one, style))).join("");
  },
  endpointHealth: ({ endpoints }) => endpoints.map((one) => item(health(one))).join(""),
  endpointStatus: ({ endpoints }, style) => endpoints.map((one) => item(status(one, style))).join(""),
  endpointHash: ({ endpoints }, style) => endpoints.map((one) => item(hash(one, style))).join(""),
  snapshotStatus: ({ status: from }) => {
    return text([
      ["Hash", from.hash],
      ["Revision", from.revision],
      ["Keys", from.keys],
      ["Size", from.sizeBytes],
      ["Version", from.version],
    ]);
  },
  hashKv: ({ hash: from }) => {
    return text([
      ["Hash", from.hash],
      ["Hash revision", from.hashRevision],
      ["Compact revision", from.compactRevision],
    ]);
  },
  roleGet: ({ response }, style) => text([...header(response.header, style), ...response.perm.flatMap(permission)]),
  roleList: ({ response }, style) => {
    const roles = ['"Roles" :', ...response.roles.map((role) => goQuote(role))].join(" ");
    return `${text(header(response.header, style))}${roles}\n`;
  },
  change: ({ response }, style) => text(header(response.header, style)),
};

const noHeader: rpc.ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };

function text(lines: readonly Line[]): string {
  return lines.map(([name, value]) => `"${name}" : ${value}\n`).join("");
}

/** One of several: a blank line follows. */
function item(lines: readonly Line[]): string {
  return `${text(lines)}\n`;
}

/** Members without a revision (it is 0 on member calls) leave that line out. */
function header(value: rpc.ResponseHeader | undefined, style: Style): Line[] {
  const { clusterId, memberId, revision, raftTerm } = value ?? noHeader;
  const id = (number: bigint) => (style.hex ? hexId(number) : number);
  const revisionLine: Line[] = revision === 0n ? [] : [["Revision", revision]];
  return [["ClusterID", id(clusterId)], ["MemberID", id(memberId)], ...revisionLine, ["RaftTerm", raftTerm]];
}

function leaseNumber(id: bigint, style: Style): string | bigint {
  return style.hex ? leaseId(id) : id;
}

function lease(response: { header: rpc.ResponseHeader | undefined; ID: bigint }, style: Style): Line[] {
  return [...header(response.header, style), ["ID", leaseNumber(response.ID, style)]];
}

function keyValue(kv: KeyValue, style: Style, prefix: "" | "Prev" = ""): Line[] {
  return [
    [`${prefix}Key`, goQuote(kv.key)],
    [`${prefix}CreateRevision`, kv.createRevision],
    [`${prefix}ModRevision`, kv.modRevision],
    [`${prefix}Version`, kv.version],
    [`${prefix}Value`, goQuote(kv.value)],
    [`${prefix}Lease`, leaseNumber(kv.lease, style)],
  ];
}

function previous(kvs: readonly KeyValue[], style: Style): Line[] {
  return kvs.flatMap((kv) => keyValue(kv, style, "Prev"));
}

function range(response: rpc.RangeResponse, style: Style): Line[] {
  const kvs = response.kvs.flatMap((kv) => keyValue(kv, style));
  return [...header(response.header, style), ...kvs, ["More", response.more], ["Count", response.count]];
}

function put(response: rpc.PutResponse, style: Style): Line[] {
  const before = response.prevKv === undefined ? [] : [response.prevKv];
  return [...header(response.header, style), ...previous(before, style)];
}

function deleteRange(response: rpc.DeleteRangeResponse, style: Style): Line[] {
  return [...header(response.header, style), ["Deleted", response.deleted], ...previous(response.prevKvs, style)];
}

function txn(response: rpc.TxnResponse, style: Style): Line[] {
  const start: Line[] = [...header(response.header, style), ["Succeeded", response.succeeded]];
  return [...start, ...response.responses.flatMap((one) => op(one, style))];
}

function op({ response }: rpc.ResponseOp, style: Style): Line[] {
  switch (response?.$case) {
    case "responseRange":
      return range(response.value, style);
    case "responsePut":
      return put(response.value, style);
    case "responseDeleteRange":
      return deleteRange(response.value, style);
    case "responseTxn":
      return txn(response.value, style);
    case undefined:
      return [];
  }
}

function event(style: Style): (event: rpc.WatchResponse["events"][number]) => Line[] {
  return ({ type, kv, prevKv }) => [
    ["Type", type === 0 ? "PUT" : "DELETE"],
    ...previous(prevKv === undefined ? [] : [prevKv], style),
    ...(kv === undefined ? [] : keyValue(kv, style)),
  ];
}

function alarm(one: rpc.AlarmMember): Line[] {
  return [
    ["MemberID", one.memberID],
    ["AlarmType", alarmName(one.alarm)],
  ];
}

function member({ ID, name, peerURLs, clientURLs, isLearner }: rpc.Member, style: Style): Line[] {
  return [
    ["ID", style.hex ? hexId(ID) : ID],
    ["Name", goQuote(name)],
    ...peerURLs.map((url): Line => ["PeerURL", goQuote(url)]),
    ...clientURLs.map((url): Line => ["ClientURL", goQuote(url)]),
    ["IsLearner", isLearner],
  ];
}

function health({ endpoint, isHealthy, tookNs, error }: EndpointHealth): Line[] {
  return [
    ["Endpoint", goQuote(endpoint)],
    ["Health", isHealthy],
    ["Took", formatDuration(tookNs)],
    ["Error", error],
  ];
}

function status({ endpoint, status: response }: EndpointStatus, style: Style): Line[] {
  return [
    ...header(response.header, style),
    ["Version", goQuote(response.version)],
    ["StorageVersion", goQuote(response.storageVersion)],
    ["DBSize", response.dbSize],
    ["DBSizeInUse", response.dbSizeInUse],
    ["DBSizeQuota", response.dbSizeQuota],
    ["Leader", response.leader],
    ["IsLearner", response.isLearner],
    ["RaftIndex", response.raftIndex],
    ["RaftAppliedIndex", response.raftAppliedIndex],
    ["Errors", `[${response.errors.join(" ")}]`],
    ["Endpoint", goQuote(endpoint)],
    ["DowngradeTargetVersion", goQuote(response.downgradeInfo?.targetVersion ?? "")],
    ["DowngradeEnabled", response.downgradeInfo?.enabled ?? false],
  ];
}

function hash({ endpoint, hash: response }: EndpointHash, style: Style): Line[] {
  return [
    ...header(response.header, style),
    ["Endpoint", goQuote(endpoint)],
    ["Hash", response.hash],
    ["HashRevision", response.hashRevision],
  ];
}

function permission({ permType, key, rangeEnd }: rpc.AuthRoleGetResponse["perm"][number]): Line[] {
  const type = ["READ", "WRITE", "READWRITE"][permType] ?? String(permType);
  return [
    ["PermType", ` ${type}`], // etcdctl prints two blanks here
    ["Key", goQuote(key)],
    ["RangeEnd", goQuote(rangeEnd)],
  ];
}

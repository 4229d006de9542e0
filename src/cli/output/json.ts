/** The json format: Go's encoding/json of the client's response structs, one line each (spec/cli.md 7.3, 8). */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { formatDuration } from "../input/go-duration.js";
import { type JsonMember, jsonArray, jsonBytes, jsonObject, jsonString, optional } from "./go-json.js";
import { hexId } from "./human.js";
import type { EndpointHash, EndpointHealth, EndpointStatus, Printer, Style } from "./results.js";

type Header = rpc.ResponseHeader | undefined;

/** The printer of `-w json`. */
export const jsonPrinter: Printer = {
  range: ({ response }) => line(rangeMembers(response)),
  put: ({ response }) => line(putMembers(response)),
  deleteRange: ({ response }) => line(deleteMembers(response)),
  txn: ({ response }) => line(txnMembers(response)),
  watch: ({ response }) => line(watchMembers(response)),
  leaseGrant: ({ response: { header: from, ID, TTL, error } }) => {
    return line([...headerMembers(from), ["ID", `${ID}`], ["TTL", `${TTL}`], ["Error", jsonString(error)]]);
  },
  leaseTimeToLive: ({ response }) => line(timeToLiveMembers(response)),
  leaseList: ({ response }) => {
    const leases = response.leases.map(({ ID }) => jsonObject([["id", `${ID}`]]));
    return line([...headerMembers(response.header), ["leases", jsonArray(leases)]]);
  },
  leaseKeepAlive: ({ response: { header: from, ID, TTL } }) => {
    return line([...headerMembers(from), ["ID", `${ID}`], ["TTL", `${TTL}`]]);
  },
  alarm: ({ response }) => {
    const alarms = response.alarms.map(({ memberID, alarm }) => {
      return jsonObject([
        ["memberID", optional.number(memberID)],
        ["alarm", optional.number(alarm)],
      ]);
    });
    return line([header(response.header), ["alarms", optional.array(alarms)]]);
  },
  memberList: ({ response }, style) => line(memberListMembers(response, style)),
  memberAdd: ({ response }, style) => {
    const [from, members] = memberListMembers(response, style);
    const added = response.member === undefined ? undefined : member(response.member, style);
    return line([from, ["member", added], members]);
  },
  memberChange: ({ response }, style) => line(memberListMembers(response, style)),
  endpointHealth: ({ endpoints }) => list(endpoints.map(health)),
  endpointStatus: ({ endpoints }) => list(endpoints.map(endpointStatus)),
  endpointHash: ({ endpoints }) => list(endpoints.map(endpointHash)),
  snapshotStatus: ({ status: { hash, revision, keys, sizeBytes, version } }) => {
    const numbers = Object.entries({ hash, revision, totalKey: keys, totalSize: sizeBytes });
    return line([...numbers.map(([name, value]): JsonMember => [name, `${value}`]), ["version", jsonString(version)]]);
  },
  hashKv: ({ hash: { hash, hashRevision, compactRevision } }) => {
    const numbers = Object.entries({ hash, hashRevision, compactRevision });
    return line(numbers.map(([name, value]): JsonMember => [name, `${value}`]));
  },
  moveLeader: ({ response }) => line([header(response.header)]),
  roleGet: ({ response }) => line([header(response.header), ["perm", optional.array(response.perm.map(permission))]]),
  roleList: ({ response }) => line([header(response.header), ["roles", names(response.roles)]]),
  userGet: ({ response }) => line([header(response.header), ["roles", names(response.roles)]]),
  userList: ({ response }) => line([header(response.header), ["users", names(response.users)]]),
  authStatus: ({ response: { header: from, enabled, authRevision } }) => {
    return line([header(from), ["enabled", optional.true(enabled)], ["authRevision", optional.number(authRevision)]]);
  },
  downgrade: ({ response }) => line([header(response.header), ["version", optional.string(response.version)]]),
  change: ({ response }) => line([header(response.header)]),
};

function line(members: readonly JsonMember[]): string {
  return `${jsonObject(members)}\n`;
}

/** Go's nil slice is null, and these lists start as nil. */
function list(items: readonly string[]): string {
  return `${items.length === 0 ? "null" : jsonArray(items)}\n`;
}

function names(values: readonly string[]): string | undefined {
  return optional.array(values.map(jsonString));
}

function headerMembers(from: Header): JsonMember[] {
  if (from === undefined) return [];
  return [
    ["cluster_id", optional.number(from.clusterId)],
    ["member_id", optional.number(from.memberId)],
    ["revision", optional.number(from.revision)],
    ["raft_term", optional.number(from.raftTerm)],
  ];
}

function header(from: Header): JsonMember {
  return ["header", from === undefined ? undefined : jsonObject(headerMembers(from))];
}

function keyValue(kv: KeyValue): string {
  return jsonObject([
    ["key", optional.bytes(kv.key)],
    ["create_revision", optional.number(kv.createRevision)],
    ["mod_revision", optional.number(kv.modRevision)],
    ["version", optional.number(kv.version)],
    ["value", optional.bytes(kv.value)],
    ["lease", optional.number(kv.lease)],
  ]);
}

function maybe<T>(value: T | undefined, json: (value: T) => string): string | undefined {
  return value === undefined ? undefined : json(value);
}

function rangeMembers(response: rpc.RangeResponse): JsonMember[] {
  return [
    header(response.header),
    ["kvs", optional.array(response.kvs.map(keyValue))],
    ["more", optional.true(response.more)],
    ["count", optional.number(response.count)],
  ];
}

function putMembers(response: rpc.PutResponse): JsonMember[] {
  return [header(response.header), ["prev_kv", maybe(response.prevKv, keyValue)]];
}

function deleteMembers(response: rpc.DeleteRangeResponse): JsonMember[] {
  return [
    header(response.header),
    ["deleted", optional.number(response.deleted)],
    ["prev_kvs", optional.array(response.prevKvs.map(keyValue))],
  ];
}

function txnMembers(response: rpc.TxnResponse): JsonMember[] {
  return [
    header(response.header),
    ["succeeded", optional.true(response.succeeded)],
    ["responses", optional.array(response.responses.map((one) => jsonObject([["Response", opMember(one)]])))],
  ];
}

function opMember({ response }: rpc.ResponseOp): string {
  switch (response?.$case) {
    case "responseRange":
      return jsonObject([["response_range", jsonObject(rangeMembers(response.value))]]);
    case "responsePut":
      return jsonObject([["response_put", jsonObject(putMembers(response.value))]]);
    case "responseDeleteRange":
      return jsonObject([["response_delete_range", jsonObject(deleteMembers(response.value))]]);
    case "responseTxn":
      return jsonObject([["response_txn", jsonObject(txnMembers(response.value))]]);
    case undefined:
      return "null";
  }
}

/** The client's own struct, without tags: capital names and nothing left out. */
function watchMembers(response: rpc.WatchResponse): JsonMember[] {
  const events = response.events.map(({ type, kv, prevKv }) => {
    return jsonObject([
      ["type", optional.number(type)],
      ["kv", maybe(kv, keyValue)],
      ["prev_kv", maybe(prevKv, keyValue)],
    ]);
  });
  return [
    ["Header", jsonObject(headerMembers(response.header))],
    ["Events", events.length === 0 ? "null" : jsonArray(events)],
    ["CompactRevision", `${response.compactRevision}`],
    ["Canceled", `${response.canceled}`],
    ["Created", `${response.created}`],
    ["CancelReason", jsonString(response.cancelReason)],
  ];
}

function timeToLiveMembers(response: rpc.LeaseTimeToLiveResponse): JsonMember[] {
  return [
    ...headerMembers(response.header),
    ["id", `${response.ID}`],
    ["ttl", `${response.TTL}`],
    ["granted-ttl", `${response.grantedTTL}`],
    ["keys", response.keys.length === 0 ? "null" : jsonArray(response.keys.map(jsonBytes))],
  ];
}

function memberListMembers(
  response: { readonly header: Header; readonly members: readonly rpc.Member[] },
  style: Style,
): readonly [JsonMember, JsonMember] {
  const members = response.members.map((one) => member(one, style));
  return [
    ["header", memberHeader(response.header, style)],
    ["members", optional.array(members)],
  ];
}

/** With --hex the ids of member responses are hex strings (spec/cli.md 7.8). */
function memberHeader(from: Header, style: Style): string | undefined {
  if (from === undefined) return undefined;
  if (!style.hex) return jsonObject(headerMembers(from));
  return jsonObject([
    ["cluster_id", jsonString(hexId(from.clusterId))],
    ["member_id", jsonString(hexId(from.memberId))],
    ["revision", optional.number(from.revision)],
    ["raft_term", optional.number(from.raftTerm)],
  ]);
}

function member({ ID, name, peerURLs, clientURLs, isLearner }: rpc.Member, style: Style): string {
  return jsonObject([
    ["ID", style.hex ? jsonString(hexId(ID)) : optional.number(ID)],
    ["name", optional.string(name)],
    ["peerURLs", names(peerURLs)],
    ["clientURLs", names(clientURLs)],
    ["isLearner", optional.true(isLearner)],
  ]);
}

function health({ endpoint, isHealthy, tookNs, error }: EndpointHealth): string {
  return jsonObject([
    ["endpoint", jsonString(endpoint)],
    ["health", `${isHealthy}`],
    ["took", jsonString(formatDuration(tookNs))],
    ["error", optional.string(error)],
  ]);
}

function endpointStatus({ endpoint, status }: EndpointStatus): string {
  const downgrade = status.downgradeInfo;
  const members: JsonMember[] = [
    header(status.header),
    ["version", optional.string(status.version)],
    ["dbSize", optional.number(status.dbSize)],
    ["leader", optional.number(status.leader)],
    ["raftIndex", optional.number(status.raftIndex)],
    ["raftTerm", optional.number(status.raftTerm)],
    ["raftAppliedIndex", optional.number(status.raftAppliedIndex)],
    ["errors", names(status.errors)],
    ["dbSizeInUse", optional.number(status.dbSizeInUse)],
    ["isLearner", optional.true(status.isLearner)],
    ["storageVersion", optional.string(status.storageVersion)],
    ["dbSizeQuota", optional.number(status.dbSizeQuota)],
    ["downgradeInfo", maybe(downgrade, downgradeInfo)],
  ];
  return endpointItem(endpoint, ["Status", jsonObject(members)]);
}

function downgradeInfo({ enabled, targetVersion }: rpc.DowngradeInfo): string {
  return jsonObject([
    ["enabled", optional.true(enabled)],
    ["targetVersion", optional.string(targetVersion)],
  ]);
}

function endpointHash({ endpoint, hash }: EndpointHash): string {
  const members: JsonMember[] = [
    header(hash.header),
    ["hash", optional.number(hash.hash)],
    ["compact_revision", optional.number(hash.compactRevision)],
    ["hash_revision", optional.number(hash.hashRevision)],
  ];
  return endpointItem(endpoint, ["HashKV", jsonObject(members)]);
}

function endpointItem(endpoint: string, answer: JsonMember): string {
  return jsonObject([["Endpoint", jsonString(endpoint)], answer]);
}

function permission({ permType, key, rangeEnd }: rpc.AuthRoleGetResponse["perm"][number]): string {
  return jsonObject([
    ["permType", optional.number(permType)],
    ["key", optional.bytes(key)],
    ["range_end", optional.bytes(rangeEnd)],
  ]);
}

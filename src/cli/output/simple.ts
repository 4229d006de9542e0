/** The simple format: text for people and for `read` loops; keys and values are raw bytes (spec/cli.md 7.5, 8). */
import type { KeyValue } from "../../../proto/gen/etcd/kv.js";
import type * as rpc from "../../../proto/gen/etcd/rpc.js";
import { bytesOf } from "../input/byte-text.js";
import { formatDuration } from "../input/go-duration.js";
import { endpointHashRows, endpointStatusRows, fileHashRow, memberRows, snapshotRow } from "./columns.js";
import { goQuote } from "./go-quote.js";
import { hexBytes, leaseId, memberLine } from "./human.js";
import { roleText } from "./permissions.js";
import type { EndpointHealth, Printer, ResultOf, Style } from "./results.js";

/** The printer of `-w simple`. */
export const simplePrinter: Printer = {
  range: ({ response, valueOnly }, style) => {
    return valueOnly ? bytesLines(response.kvs.map((kv) => shown(kv.value, style))) : pairs(response.kvs, style);
  },
  put: ({ response }, style) => joined(["OK\n", pairs(some(response.prevKv), style)]),
  deleteRange: ({ response }, style) => joined([`${response.deleted}\n`, pairs(response.prevKvs, style)]),
  txn: ({ response }, style) => txn(response, style),
  watch: ({ response }, style) => joined(response.events.map((event) => eventLines(event, style))),
  leaseGrant: ({ response }) => `lease ${leaseId(response.ID)} granted with TTL(${response.TTL}s)\n`,
  leaseTimeToLive: (result) => leaseTimeToLive(result),
  leaseList: ({ response }) => lines([`found ${response.leases.length} leases`, ...response.leases.map(leaseLine)]),
  leaseKeepAlive: ({ response }) => `lease ${leaseId(response.ID)} keepalived with TTL(${response.TTL})\n`,
  alarm: ({ response }) => lines(response.alarms.map(alarmText)),
  memberList: ({ response }) => lines(memberRows(response.members).map((row) => row.join(", "))),
  memberAdd: (result) => memberAdd(result),
  memberChange: ({ message }) => `${message}\n`,
  endpointHealth: ({ endpoints }) => lines(endpoints.filter((one) => one.isHealthy).map(healthLine)),
  endpointStatus: ({ endpoints }) => lines(endpointStatusRows(endpoints).map((row) => row.join(", "))),
  endpointHash: ({ endpoints }) => lines(endpointHashRows(endpoints).map((row) => row.join(", "))),
  snapshotStatus: ({ status }) => lines([snapshotRow(status).join(", ")]),
  hashKv: ({ hash }) => lines([fileHashRow(hash).join(", ")]),
  moveLeader: ({ message }) => `${message}\n`,
  roleGet: ({ response, role }) => bytesOf(roleText(role, response.perm)),
  roleList: ({ response }) => lines(response.roles),
  userGet: ({ response, user }) => `User: ${user}\n${["Roles:", ...response.roles].join(" ")}\n`,
  userList: ({ response }) => lines(response.users),
  authStatus: ({ response }) => {
    return `Authentication Status: ${response.enabled}\nAuthRevision: ${response.authRevision}\n`;
  },
  downgrade: ({ message, response }) => `${message}, cluster version ${response.version}\n`,
  change: ({ message }) => `${message}\n`,
};

const lineFeed = Uint8Array.of(0x0a);

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}

function bytesLines(values: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(values.flatMap((value) => [value, lineFeed]));
}

function joined(parts: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}

function some<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}

function shown(bytes: Uint8Array, style: Style): Uint8Array {
  return style.hex ? Buffer.from(hexBytes(bytes)) : bytes;
}

function pairs(kvs: readonly KeyValue[], style: Style): Uint8Array {
  return bytesLines(kvs.flatMap((kv) => [shown(kv.key, style), shown(kv.value, style)]));
}

function txn(response: rpc.TxnResponse, style: Style): Uint8Array {
  const parts = response.responses.map((one) => joined(["\n", opText(one, style)]));
  return joined([response.succeeded ? "SUCCESS\n" : "FAILURE\n", ...parts]);
}

function opText({ response }: rpc.ResponseOp, style: Style): Uint8Array {
  switch (response?.$case) {
    case "responseRange":
      return pairs(response.value.kvs, style);
    case "responsePut":
      return joined(["OK\n", pairs(some(response.value.prevKv), style)]);
    case "responseDeleteRange":
      return joined([`${response.value.deleted}\n`, pairs(response.value.prevKvs, style)]);
    case "responseTxn":
      return txn(response.value, style);
    case undefined:
      return joined([]);
  }
}

function eventLines({ type, kv, prevKv }: rpc.WatchResponse["events"][number], style: Style): Uint8Array {
  return joined([type === 0 ? "PUT\n" : "DELETE\n", pairs([...some(prevKv), ...some(kv)], style)]);
}

function leaseLine({ ID }: rpc.LeaseStatus): string {
  return leaseId(ID);
}

function leaseTimeToLive({ response, withKeys }: ResultOf<"leaseTimeToLive">): Uint8Array {
  const { ID, TTL, grantedTTL, keys } = response;
  if (grantedTTL === 0n && TTL === -1n) return joined([`lease ${leaseId(ID)} already expired\n`]);
  const start = `lease ${leaseId(ID)} granted with TTL(${grantedTTL}s), remaining(${TTL}s)`;
  if (!withKeys) return joined([start, "\n"]);
  const spaced = keys.flatMap((key, index) => (index === 0 ? [key] : [" ", key]));
  return joined([start, ", attached keys([", ...spaced, "])\n"]);
}

/** Go's text form of an alarm. */
export function alarmText({ memberID, alarm }: rpc.AlarmMember): string {
  const fields = [memberID === 0n ? "" : `memberID:${memberID}`, alarm === 0 ? "" : `alarm:${alarmName(alarm)}`];
  return fields.filter((field) => field !== "").join(" ");
}

export function alarmName(alarm: rpc.AlarmType): string {
  return ["NONE", "NOSPACE", "CORRUPT"][alarm] ?? String(alarm);
}

function healthLine({ endpoint, tookNs }: EndpointHealth): string {
  return `${endpoint} is healthy: successfully committed proposal: took = ${formatDuration(tookNs)}`;
}

/** What a failed health check says, on stderr. */
export function unhealthyLine({ endpoint, error }: EndpointHealth): string {
  return `${endpoint} is unhealthy: failed to commit proposal: ${error}`;
}

/** The message and the environment that the new member is to be started with. */
function memberAdd({ response, name }: ResultOf<"memberAdd">): string {
  const { header, member, members } = response;
  const id = member?.ID ?? 0n;
  const role = member?.isLearner === true ? "added as learner to" : "added to";
  const cluster = members.flatMap((one) => one.peerURLs.map((url) => `${one.ID === id ? name : one.name}=${url}`));
  return lines([
    memberLine(id, role, header?.clusterId ?? 0n),
    "",
    `ETCD_NAME=${goQuote(name)}`,
    `ETCD_INITIAL_CLUSTER=${goQuote(cluster.join(","))}`,
    `ETCD_INITIAL_ADVERTISE_PEER_URLS=${goQuote((member?.peerURLs ?? []).join(","))}`,
    'ETCD_INITIAL_CLUSTER_STATE="existing"',
  ]);
}

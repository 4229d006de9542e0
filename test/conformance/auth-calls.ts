/** Every call of the API as one row of the table of rights: who may do it is what `auth-table.test.ts` finds out. */

import type { ServiceError } from "@grpc/grpc-js";
import { Code } from "../../proto/status.js";
import type { CallExtras, RawClient } from "../support/raw-client.js";
import { bytes } from "./words.js";

/** What a row has at hand: the client, and root's token for what has to be there first. */
export interface Scene {
  readonly client: RawClient;
  readonly root: CallExtras;
  /** A number that no other call has got. */
  readonly unique: () => number;
}

/** Runs the call as somebody. Resolves or rejects as the call does; a watch that is refused rejects with its reason. */
export type Row = (scene: Scene, actor: CallExtras) => Promise<unknown>;

/** Keys from a/ to a0 are those that the user with rights may read and write; nobody but root has rights to the others. */
const inside = { key: bytes("a/"), rangeEnd: bytes("a0") };
const key = bytes("a/key");
const put = { key, value: bytes("v") };
const unknownId = 0x1234n;

/** A lease with a key that only the one with rights may touch. */
async function leased({ client, root }: Scene): Promise<bigint> {
  const { ID } = await client.leaseGrant({ TTL: 600n }, root);
  await client.put({ key: bytes("a/leased"), value: bytes("v"), lease: ID }, root);
  return ID;
}

const requestPut = (extra: object = {}) => ({ request: { $case: "requestPut" as const, value: { ...put, ...extra } } });
const requestRange = { request: { $case: "requestRange" as const, value: inside } };
const requestDelete = (extra: object = {}) => ({
  request: { $case: "requestDeleteRange" as const, value: { ...inside, ...extra } },
});
const nested = (success: readonly object[], failure: readonly object[] = []) => ({
  request: { $case: "requestTxn" as const, value: { success: [...success], failure: [...failure] } },
});

const kvRows: Readonly<Record<string, Row>> = {
  Range: ({ client }, actor) => client.range(inside, actor),
  "Range serializable": ({ client }, actor) => client.range({ ...inside, serializable: true }, actor),
  "Range of one key": ({ client }, actor) => client.range({ key }, actor),
  "Range beyond the end": ({ client }, actor) => client.range({ key: bytes("a/"), rangeEnd: bytes("a1") }, actor),
  "Range without end": ({ client }, actor) => client.range({ key, rangeEnd: Buffer.from([0]) }, actor),
  "Range reversed": ({ client }, actor) => client.range({ key: bytes("a/z"), rangeEnd: bytes("a/a") }, actor),
  "Range without a key": ({ client }, actor) => client.range({}, actor),
  Put: ({ client }, actor) => client.put(put, actor),
  "Put with prev_kv": ({ client }, actor) => client.put({ ...put, prevKv: true }, actor),
  "Put with ignore_value": async ({ client, root }, actor) => {
    await client.put(put, root);
    return client.put({ key, ignoreValue: true }, actor);
  },
  "Put on a lease with keys": async (scene, actor) =>
    scene.client.put({ key: bytes("b/key"), value: bytes("v"), lease: await leased(scene) }, actor),
  DeleteRange: ({ client }, actor) => client.deleteRange(inside, actor),
  "DeleteRange with prev_kv": ({ client }, actor) => client.deleteRange({ ...inside, prevKv: true }, actor),
  "Txn of a range": ({ client }, actor) => client.txn({ success: [requestRange] }, actor),
  "Txn of a put": ({ client }, actor) => client.txn({ success: [requestPut()] }, actor),
  "Txn of a put with prev_kv": ({ client }, actor) => client.txn({ success: [requestPut({ prevKv: true })] }, actor),
  "Txn of a put on a lease with keys": async (scene, actor) => {
    const lease = await leased(scene);
    return scene.client.txn({ success: [requestPut({ key: bytes("b/key"), lease })] }, actor);
  },
  "Txn of a deletion": ({ client }, actor) => client.txn({ success: [requestDelete({ prevKv: true })] }, actor),
  "Txn with the put in the branch not taken": ({ client }, actor) => client.txn({ failure: [requestPut()] }, actor),
  "Txn with a nested put": ({ client }, actor) => client.txn({ success: [nested([requestPut()])] }, actor),
  "Txn with a nested put in the branch not taken": ({ client }, actor) =>
    client.txn({ failure: [nested([], [nested([requestPut()])])] }, actor),
  "Txn with a nested compare": ({ client }, actor) => {
    const value = { compare: [{ key }], success: [] };
    return client.txn({ success: [{ request: { $case: "requestTxn", value } }] }, actor);
  },
  "Txn of a compare and a foreign put": ({ client }, actor) =>
    client.txn({ compare: [{ key, rangeEnd: bytes("a0") }], success: [requestPut({ key: bytes("b/key") })] }, actor),
  "Txn of nothing": ({ client }, actor) => client.txn({}, actor),
  Compact: ({ client }, actor) => client.compact({ revision: 1_000_000n }, actor),
};

const watchRows: Readonly<Record<string, Row>> = {
  Watch: ({ client }, actor) => watched(client, inside, actor),
  "Watch of one key": ({ client }, actor) => watched(client, { key }, actor),
  "Watch beyond the end": ({ client }, actor) => watched(client, { key: bytes("a/"), rangeEnd: bytes("a1") }, actor),
  "Watch without end": ({ client }, actor) => watched(client, { key, rangeEnd: Buffer.from([0]) }, actor),
  "Watch of everything": ({ client }, actor) => watched(client, { rangeEnd: Buffer.from([0]) }, actor),
};

async function watched(client: RawClient, createRequest: object, actor: CallExtras): Promise<void> {
  const stream = client.watch(actor);
  stream.send({ requestUnion: { $case: "createRequest", value: createRequest } });
  try {
    const { canceled, cancelReason } = await stream.next();
    if (canceled) throw new Error(`canceled: ${cancelReason}`);
  } finally {
    stream.cancel();
  }
}

const leaseRows: Readonly<Record<string, Row>> = {
  LeaseGrant: ({ client }, actor) => client.leaseGrant({ TTL: 600n }, actor),
  LeaseRevoke: async (scene, actor) => scene.client.leaseRevoke({ ID: await leased(scene) }, actor),
  "LeaseRevoke of an unknown lease": ({ client }, actor) => client.leaseRevoke({ ID: unknownId }, actor),
  LeaseKeepAlive: async (scene, actor) => keptAlive(scene.client, await leased(scene), actor),
  "LeaseKeepAlive of an unknown lease": ({ client }, actor) => keptAlive(client, unknownId, actor),
  LeaseTimeToLive: async (scene, actor) => scene.client.leaseTimeToLive({ ID: await leased(scene) }, actor),
  "LeaseTimeToLive with keys": async (scene, actor) =>
    scene.client.leaseTimeToLive({ ID: await leased(scene), keys: true }, actor),
  "LeaseTimeToLive of an unknown lease": ({ client }, actor) => client.leaseTimeToLive({ ID: unknownId }, actor),
  LeaseLeases: async (scene, actor) => {
    await leased(scene);
    return scene.client.leaseLeases({}, actor);
  },
};

async function keptAlive(client: RawClient, ID: bigint, actor: CallExtras): Promise<void> {
  const stream = client.leaseKeepAlive(actor);
  stream.send({ ID });
  try {
    await stream.next();
  } finally {
    stream.cancel();
  }
}

const clusterRows: Readonly<Record<string, Row>> = {
  MemberList: ({ client }, actor) => client.memberList({}, actor),
  "MemberList linearizable": ({ client }, actor) => client.memberList({ linearizable: true }, actor),
  MemberAdd: async ({ client, root, unique }, actor) => {
    const port = 20_000 + unique();
    const { member } = await client.memberAdd({ peerURLs: [`http://127.0.0.1:${port}`], isLearner: true }, actor);
    await client.memberRemove({ ID: member?.ID ?? 0n }, root);
  },
  MemberRemove: ({ client }, actor) => client.memberRemove({ ID: unknownId }, actor),
  MemberUpdate: ({ client, unique }, actor) =>
    client.memberUpdate({ ID: unknownId, peerURLs: [`http://127.0.0.1:${20_000 + unique()}`] }, actor),
  MemberPromote: ({ client }, actor) => client.memberPromote({ ID: unknownId }, actor),
};

const maintenanceRows: Readonly<Record<string, Row>> = {
  "Alarm get": ({ client }, actor) => client.alarm({}, actor),
  "Alarm deactivate": ({ client }, actor) => client.alarm({ action: 2, alarm: 1, memberID: unknownId }, actor),
  Status: ({ client }, actor) => client.status({}, actor),
  Defragment: ({ client }, actor) => client.defragment({}, actor),
  Hash: ({ client }, actor) => client.hash({}, actor),
  HashKV: ({ client }, actor) => client.hashKv({}, actor),
  Snapshot: async ({ client }, actor) => {
    const stream = client.snapshot({}, actor);
    try {
      await stream.next();
    } finally {
      stream.cancel();
    }
  },
  MoveLeader: ({ client }, actor) => client.moveLeader({ targetID: unknownId }, actor),
  "Downgrade validate": ({ client }, actor) => client.downgrade({ action: 0, version: "1.0" }, actor),
};

const authRows: Readonly<Record<string, Row>> = {
  AuthEnable: ({ client }, actor) => client.authEnable({}, actor),
  AuthStatus: ({ client }, actor) => client.authStatus({}, actor),
  Authenticate: ({ client }, actor) => client.authenticate({ name: "alice", password: "alice" }, actor),
  "Authenticate with a wrong password": ({ client }, actor) =>
    client.authenticate({ name: "alice", password: "bob" }, actor),
  "Authenticate as nobody who exists": ({ client }, actor) =>
    client.authenticate({ name: "nobody", password: "alice" }, actor),
  "Authenticate without having a password": ({ client }, actor) =>
    client.authenticate({ name: "bare", password: "" }, actor),
  UserAdd: ({ client, unique }, actor) => client.userAdd({ name: `user${unique()}`, password: "p" }, actor),
  "UserAdd without a name": ({ client }, actor) => client.userAdd({ password: "p" }, actor),
  "UserAdd with a long password": ({ client }, actor) =>
    client.userAdd({ name: "long", password: "p".repeat(73) }, actor),
  "UserAdd again": ({ client }, actor) => client.userAdd({ name: "alice", password: "p" }, actor),
  "UserGet of alice": ({ client }, actor) => client.userGet({ name: "alice" }, actor),
  "UserGet of nobody who exists": ({ client }, actor) => client.userGet({ name: "nobody" }, actor),
  UserList: ({ client }, actor) => client.userList({}, actor),
  "UserDelete of root": ({ client }, actor) => client.userDelete({ name: "root" }, actor),
  "UserDelete of nobody who exists": ({ client }, actor) => client.userDelete({ name: "nobody" }, actor),
  UserChangePassword: ({ client }, actor) => client.userChangePassword({ name: "bare", password: "p" }, actor),
  UserGrantRole: ({ client }, actor) => client.userGrantRole({ user: "alice", role: "a" }, actor),
  "UserGrantRole of no role": ({ client }, actor) => client.userGrantRole({ user: "alice", role: "none" }, actor),
  "UserRevokeRole of root": ({ client }, actor) => client.userRevokeRole({ name: "root", role: "root" }, actor),
  "UserRevokeRole not granted": ({ client }, actor) => client.userRevokeRole({ name: "alice", role: "none" }, actor),
  RoleAdd: ({ client, unique }, actor) => client.roleAdd({ name: `role${unique()}` }, actor),
  "RoleAdd again": ({ client }, actor) => client.roleAdd({ name: "a" }, actor),
  "RoleGet of a": ({ client }, actor) => client.roleGet({ role: "a" }, actor),
  "RoleGet of none": ({ client }, actor) => client.roleGet({ role: "none" }, actor),
  RoleList: ({ client }, actor) => client.roleList({}, actor),
  "RoleDelete of root": ({ client }, actor) => client.roleDelete({ role: "root" }, actor),
  "RoleDelete of none": ({ client }, actor) => client.roleDelete({ role: "none" }, actor),
  RoleGrantPermission: ({ client }, actor) =>
    client.roleGrantPermission({ name: "other", perm: { permType: 2, key: bytes("o") } }, actor),
  "RoleGrantPermission of nothing": ({ client }, actor) => client.roleGrantPermission({ name: "other" }, actor),
  RoleRevokePermission: ({ client }, actor) => client.roleRevokePermission({ role: "a", key: bytes("none") }, actor),
};

const lockRows: Readonly<Record<string, Row>> = {
  Lock: async ({ client, root, unique }, actor) => {
    const { ID } = await client.leaseGrant({ TTL: 600n }, root);
    return client.lock({ name: bytes(`a/lock${unique()}`), lease: ID }, actor);
  },
  Unlock: ({ client }, actor) => client.unlock({ key: bytes("a/none") }, actor),
  Campaign: async ({ client, root, unique }, actor) => {
    const { ID } = await client.leaseGrant({ TTL: 600n }, root);
    return client.campaign({ name: bytes(`a/campaign${unique()}`), lease: ID }, actor);
  },
  Proclaim: async (scene, actor) => scene.client.proclaim({ leader: await elected(scene) }, actor),
  Leader: async (scene, actor) => scene.client.leader({ name: (await elected(scene))?.name ?? key }, actor),
  Observe: async (scene, actor) => {
    const leader = await elected(scene);
    const stream = scene.client.observe({ name: leader?.name ?? key }, actor);
    try {
      await stream.next();
    } finally {
      stream.cancel();
    }
  },
  Resign: async (scene, actor) => scene.client.resign({ leader: await elected(scene) }, actor),
  "Health check": ({ client }, actor) => client.healthCheck({}, actor),
};

async function elected({ client, root, unique }: Scene) {
  const { ID } = await client.leaseGrant({ TTL: 600n }, root);
  return (await client.campaign({ name: bytes(`a/election${unique()}`), lease: ID }, root)).leader;
}

export const rows: Readonly<Record<string, Row>> = {
  ...kvRows,
  ...watchRows,
  ...leaseRows,
  ...clusterRows,
  ...maintenanceRows,
  ...authRows,
  ...lockRows,
};

const codeNames = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** How a call ended, in one line: `ok`, or the code and the text. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    const { code, details = "", message = "" } = ended(error as Partial<ServiceError>);
    const name = code === undefined ? undefined : codeNames.get(code);
    return name === undefined ? message : `${name} ${details}`.trim();
  }
}

/** A stream that has ended says its status as JSON. */
function ended(error: Partial<ServiceError>): Partial<ServiceError> {
  const [, status] = /^the stream ended: (\{.*\})$/.exec(error.message ?? "") ?? [];
  return status === undefined ? error : (JSON.parse(status) as Partial<ServiceError>);
}

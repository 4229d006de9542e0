/** Changes of users, roles and permissions, and of whether they count (spec/server.md 8.1). */
import type {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserGrantRoleRequest,
  AuthUserRevokeRoleRequest,
} from "../../../../proto/gen/etcd/rpc.js";
import type {
  Auth as AuthCommand,
  TokenAssign,
  UserAdd,
  UserChangePassword,
} from "../../../../proto/gen/internal/command.js";
import { status, WireError, type WireStatus } from "../../../../proto/status.js";
import { invariant } from "../../invariant.js";
import type { StateStore } from "../../storage/state-store.js";
import type { StateHash } from "../state-hash.js";
import { type Auth, isRoot, permissionTypes, rootName } from "./auth.js";
import type { KeyRange } from "./intervals.js";
import type { AuthChange, User } from "./types.js";

/** What the commands work on. */
export interface AuthParts {
  readonly store: StateStore;
  readonly hash: StateHash;
  readonly auth: Auth;
}

/** Carries out a command. Returns what it did to the store; undefined if nothing. Throws WireError before it changes anything. */
export function applyAuth(parts: AuthParts, { op }: AuthCommand): AuthChange | undefined {
  // Skipping one that only newer versions know would make the members differ.
  invariant(op !== undefined, "a log entry holds an auth command that this version does not know");
  switch (op.$case) {
    case "enable":
      return enable(parts);
    case "disable":
      return disable(parts);
    case "userAdd":
      return userAdd(parts, op.value);
    case "userDelete":
      return userDelete(parts, op.value.name);
    case "userChangePassword":
      return userChangePassword(parts, op.value);
    case "userGrantRole":
      return userGrantRole(parts, op.value);
    case "userRevokeRole":
      return userRevokeRole(parts, op.value);
    case "roleAdd":
      return roleAdd(parts, op.value.name);
    case "roleDelete":
      return roleDelete(parts, op.value.role);
    case "roleGrantPermission":
      return roleGrantPermission(parts, op.value);
    case "roleRevokePermission":
      return roleRevokePermission(parts, op.value);
    case "tokenAssign":
      return tokenAssign(parts, op.value);
  }
}

/** The only change without a new auth revision. */
function enable({ store, hash, auth }: AuthParts): AuthChange | undefined {
  if (auth.enabled) return undefined;
  const root = found(auth.user(rootName), status.RootUserNotExist);
  demand(isRoot(root), status.RootRoleNotExist);
  store.tables.meta.putNumber("auth_enabled", 1);
  hash.note("authEnabled");
  reload(store, auth);
  return { kind: "changed" };
}

function disable(parts: AuthParts): AuthChange | undefined {
  if (!parts.auth.enabled) return undefined;
  parts.store.tables.meta.putNumber("auth_enabled", 0);
  parts.hash.note("authDisabled");
  revise(parts);
  return { kind: "allTokensVoid" };
}

function userAdd(parts: AuthParts, { name, passwordHash, noPassword }: UserAdd): AuthChange {
  demand(name !== "", status.UserEmpty);
  demand(parts.auth.user(name) === undefined, status.UserAlreadyExist);
  return putUser(parts, { name, passwordHash, noPassword, roles: [] });
}

function userDelete(parts: AuthParts, name: string): AuthChange {
  demand(!parts.auth.enabled || name !== rootName, status.InvalidAuthMgmt);
  found(parts.auth.user(name), status.UserNotFound);
  parts.store.tables.users.remove(name);
  parts.hash.note("userDeleted", name);
  revise(parts);
  return { kind: "userTokensVoid", user: name };
}

/** A user without a password stays without. */
function userChangePassword(parts: AuthParts, { name, passwordHash }: UserChangePassword): AuthChange {
  const user = found(parts.auth.user(name), status.UserNotFound);
  putUser(parts, user.noPassword ? user : { ...user, passwordHash });
  return { kind: "userTokensVoid", user: name };
}

/** The role root can be granted without having been added. */
function userGrantRole(parts: AuthParts, { user: name, role }: AuthUserGrantRoleRequest): AuthChange | undefined {
  const user = found(parts.auth.user(name), status.UserNotFound);
  if (role !== rootName) found(parts.auth.role(role), status.RoleNotFound);
  if (user.roles.includes(role)) return undefined;
  return putUser(parts, { ...user, roles: inOrder([...user.roles, role]) });
}

function userRevokeRole(parts: AuthParts, { name, role }: AuthUserRevokeRoleRequest): AuthChange {
  demand(!parts.auth.enabled || name !== rootName || role !== rootName, status.InvalidAuthMgmt);
  const user = found(parts.auth.user(name), status.UserNotFound);
  demand(user.roles.includes(role), status.RoleNotGranted);
  return putUser(parts, without(user, role));
}

function roleAdd(parts: AuthParts, name: string): AuthChange {
  demand(name !== "", status.RoleEmpty);
  demand(parts.auth.role(name) === undefined, status.RoleAlreadyExist);
  parts.store.tables.roles.insert(name);
  parts.hash.note("roleAdded", name);
  revise(parts);
  return { kind: "changed" };
}

/** Whoever holds the role loses it. */
function roleDelete(parts: AuthParts, name: string): AuthChange {
  const { auth, store, hash } = parts;
  demand(!auth.enabled || name !== rootName, status.InvalidAuthMgmt);
  found(auth.role(name), status.RoleNotFound);
  store.tables.permissions.removeOf(name);
  store.tables.roles.remove(name);
  for (const user of auth.users()) if (user.roles.includes(name)) store.tables.users.put(without(user, name));
  hash.note("roleDeleted", name);
  revise(parts);
  return { kind: "changed" };
}

/** The same key and range end again replace the rights. */
function roleGrantPermission(parts: AuthParts, { name, perm }: AuthRoleGrantPermissionRequest): AuthChange {
  if (perm === undefined) throw new WireError(status.PermissionNotGiven);
  demand(isGrantable(perm) && permissionTypes[perm.permType] !== undefined, status.InvalidAuthMgmt);
  found(parts.auth.role(name), status.RoleNotFound);
  const { key, rangeEnd, permType: type } = perm;
  parts.store.tables.permissions.put({ role: name, key, rangeEnd, type });
  parts.hash.note("permissionGranted", name, hex(key), hex(rangeEnd), type);
  revise(parts);
  return { kind: "changed" };
}

function roleRevokePermission(
  parts: AuthParts,
  { role: name, key, rangeEnd }: AuthRoleRevokePermissionRequest,
): AuthChange {
  const { permissions } = found(parts.auth.role(name), status.RoleNotFound);
  const granted = permissions.some(
    (one) => Buffer.compare(one.key, key) === 0 && Buffer.compare(one.rangeEnd, rangeEnd) === 0,
  );
  demand(granted, status.PermissionNotGranted);
  parts.store.tables.permissions.remove({ role: name, key, rangeEnd });
  parts.hash.note("permissionRevoked", name, hex(key), hex(rangeEnd));
  revise(parts);
  return { kind: "changed" };
}

/** The password was right at a certain revision: whatever changed since, it may not be right any more. */
function tokenAssign({ auth }: AuthParts, { user, secretDigest, authRevision }: TokenAssign): AuthChange {
  demand(auth.enabled, status.AuthNotEnabled);
  demand(BigInt(auth.revision) === authRevision, status.AuthOldRevision);
  found(auth.user(user), status.AuthFailed);
  return { kind: "tokenAssigned", user, secretDigest: secretDigest.slice() };
}

function putUser(parts: AuthParts, user: User): AuthChange {
  parts.store.tables.users.put(user);
  parts.hash.note("user", user.name, user.passwordHash, user.noPassword, user.roles);
  revise(parts);
  return { kind: "changed" };
}

function revise({ store, auth }: AuthParts): void {
  store.tables.meta.putNumber("auth_revision", auth.revision + 1);
  reload(store, auth);
}

function reload(store: StateStore, auth: Auth): void {
  store.tables.meta.putNumber("auth_version", auth.version + 1);
  auth.load();
}

/** A single key, everything from a key on, or an interval that is not empty. An empty key would stand for nothing. */
function isGrantable({ key, rangeEnd }: KeyRange): boolean {
  if (key.length === 0) return false;
  const openEnd = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return rangeEnd.length === 0 || openEnd || Buffer.compare(key, rangeEnd) < 0;
}

function without(user: User, role: string): User {
  return { ...user, roles: user.roles.filter((name) => name !== role) };
}

function inOrder(names: readonly string[]): readonly string[] {
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function found<T>(value: T | undefined, otherwise: WireStatus): T {
  if (value === undefined) throw new WireError(otherwise);
  return value;
}

function demand(condition: boolean, otherwise: WireStatus): void {
  if (!condition) throw new WireError(otherwise);
}

/**
 * The Auth service: users, roles, permissions, and tokens for passwords (spec/server.md 8). What it changes goes through
 * the log, and whether the caller may is decided there; passwords are hashed before and never leave this member.
 */

import { Permission_Type, type Permission as WirePermission } from "../../../proto/gen/etcd/auth.js";
import {
  type AuthRoleGetResponse,
  type AuthUserAddRequest,
  type AuthUserChangePasswordRequest,
  type ResponseHeader,
} from "../../../proto/gen/etcd/rpc.js";
import type { Auth as AuthCommand } from "../../../proto/gen/internal/command.js";
import { status, WireError } from "../../../proto/status.js";
import type { AuthView, Caller, Permission, Role } from "../state/auth/types.js";
import { authenticate } from "./auth/authenticate.js";
import { passwordBytesMax } from "./auth/passwords.js";
import type { GuardedDependencies } from "./dependencies.js";
import { headerAt, headerNow } from "./header.js";
import type { AuthHandlers, CallContext } from "./types.js";

export function createAuth(deps: GuardedDependencies): AuthHandlers {
  return { ...createAuthSwitch(deps), ...createUsers(deps), ...createRoles(deps) };
}

type AuthSwitch = Pick<AuthHandlers, "authEnable" | "authDisable" | "authStatus" | "authenticate">;
type UserHandlers = Pick<AuthHandlers, Extract<keyof AuthHandlers, `user${string}`>>;
type RoleHandlers = Pick<AuthHandlers, Extract<keyof AuthHandlers, `role${string}`>>;

function createAuthSwitch(deps: GuardedDependencies): AuthSwitch {
  return {
    authEnable: (value, context) => change(deps, { $case: "enable", value }, context),
    authDisable: (value, context) => change(deps, { $case: "disable", value }, context),
    authStatus: async (_request, context) => {
      const { auth, header } = await read(deps, context);
      return { header, enabled: auth.enabled, authRevision: BigInt(auth.revision) };
    },
    authenticate: (request, context) => authenticate(deps, request, context),
  };
}

function createUsers(deps: GuardedDependencies): UserHandlers {
  return {
    userAdd: (request, context) => userAdd(deps, request, context),
    userGet: async ({ name }, context) => {
      const { auth, caller, header } = await read(deps, context);
      if (!isUser(caller, name)) auth.assertAdmin(caller);
      const user = auth.user(name);
      if (user === undefined) throw new WireError(status.UserNotFound);
      return { header, roles: [...user.roles] };
    },
    userList: async (_request, context) => {
      const { auth, caller, header } = await read(deps, context);
      auth.assertAdmin(caller);
      return { header, users: auth.users().map(({ name }) => name) };
    },
    userDelete: (value, context) => change(deps, { $case: "userDelete", value }, context),
    userChangePassword: (request, context) => userChangePassword(deps, request, context),
    userGrantRole: (value, context) => change(deps, { $case: "userGrantRole", value }, context),
    userRevokeRole: (value, context) => change(deps, { $case: "userRevokeRole", value }, context),
  };
}

function createRoles(deps: GuardedDependencies): RoleHandlers {
  return {
    roleAdd: (value, context) => change(deps, { $case: "roleAdd", value }, context),
    roleGet: async ({ role: name }, context) => {
      const { auth, caller, header } = await read(deps, context);
      if (!holdsRole(auth, caller, name)) auth.assertAdmin(caller);
      const role = auth.role(name);
      if (role === undefined) throw new WireError(status.RoleNotFound);
      return { header, perm: permissionsOf(role) };
    },
    roleList: async (_request, context) => {
      const { auth, caller, header } = await read(deps, context);
      auth.assertAdmin(caller);
      return { header, roles: auth.roles().map(({ name }) => name) };
    },
    roleDelete: (value, context) => change(deps, { $case: "roleDelete", value }, context),
    roleGrantPermission: (value, context) => change(deps, { $case: "roleGrantPermission", value }, context),
    roleRevokePermission: (value, context) => change(deps, { $case: "roleRevokePermission", value }, context),
  };
}

interface Changed {
  readonly header: ResponseHeader;
}

async function change(
  { replica, guard }: GuardedDependencies,
  op: AuthCommand["op"],
  context: CallContext,
): Promise<Changed> {
  const caller = await guard.caller(context);
  const options = { signal: context.signal, caller };
  const { revision } = await replica.propose<"none">({ $case: "auth", value: { op } }, options);
  return { header: headerAt(replica, revision) };
}

/** The store, once it holds everything that was acknowledged before the call. */
async function read(
  { replica, guard }: GuardedDependencies,
  context: CallContext,
): Promise<{ readonly auth: AuthView; readonly caller: Caller; readonly header: ResponseHeader }> {
  const caller = await guard.caller(context);
  await replica.linearizableRead(context);
  return { auth: replica.state.auth(), caller, header: headerNow(replica) };
}

/** An empty password is one like any other here; that of a user without a password is ignored. */
async function userAdd(deps: GuardedDependencies, request: AuthUserAddRequest, context: CallContext): Promise<Changed> {
  const { name, password, options } = request;
  const noPassword = options?.noPassword === true;
  const passwordHash = noPassword ? "" : await hashed(deps, password, context);
  return change(deps, { $case: "userAdd", value: { name, passwordHash, noPassword } }, context);
}

/** Without a password the hash is taken as it was given, in base64; without that either nobody can log in. */
async function userChangePassword(
  deps: GuardedDependencies,
  { name, password, hashedPassword }: AuthUserChangePasswordRequest,
  context: CallContext,
): Promise<Changed> {
  const given = Buffer.from(hashedPassword, "base64").toString("latin1");
  const passwordHash = password === "" ? given : await hashed(deps, password, context);
  return change(deps, { $case: "userChangePassword", value: { name, passwordHash } }, context);
}

/** Hashing is work that nobody may ask for who could not use it. */
async function hashed(deps: GuardedDependencies, password: string, context: CallContext): Promise<string> {
  if (Buffer.byteLength(password) > passwordBytesMax) throw new WireError(status.PasswordTooLong);
  await assertAdmin(deps, context);
  return deps.passwords.hash(password, context);
}

/** This member may not have heard yet that somebody has become an administrator, so it looks twice before it refuses. */
async function assertAdmin({ replica, guard }: GuardedDependencies, context: CallContext): Promise<void> {
  const caller = await guard.caller(context);
  try {
    replica.state.auth().assertAdmin(caller);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    await replica.linearizableRead(context);
    replica.state.auth().assertAdmin(caller);
  }
}

function isUser(caller: Caller, name: string): boolean {
  return caller.kind === "user" && caller.name === name;
}

function holdsRole(auth: AuthView, caller: Caller, role: string): boolean {
  return caller.kind === "user" && auth.user(caller.name)?.roles.includes(role) === true;
}

/** The role root has no permissions of its own; what it stands for is everything. */
const rootPermission: WirePermission = {
  permType: Permission_Type.READWRITE,
  key: new Uint8Array(),
  rangeEnd: Uint8Array.of(0),
};

function permissionsOf({ name, permissions }: Role): AuthRoleGetResponse["perm"] {
  return name === "root" ? [rootPermission] : permissions.map(wirePermission);
}

function wirePermission({ key, rangeEnd, rights }: Permission): WirePermission {
  const [right] = rights;
  const one = right === "write" ? Permission_Type.WRITE : Permission_Type.READ;
  return { permType: rights.length > 1 ? Permission_Type.READWRITE : one, key, rangeEnd };
}

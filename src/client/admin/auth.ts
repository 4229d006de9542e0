/** Users, roles and permissions. */
import { Permission_Type, type Permission as WirePermission } from "../../../proto/gen/etcd/auth.js";
import type { Calls } from "../calls/call.js";
import { authMethods } from "../calls/methods.js";
import { isEtcdError } from "../errors.js";
import { ownBytes } from "../kv/convert.js";
import { wireRange } from "../kv/range.js";
import type { KeyRange } from "../kv/types.js";
import type { CallOptions } from "../options.js";
import { keyRangeOf } from "./permission-range.js";
import type { AuthAdmin, AuthStatus, Permission, Role, RoleAdmin, User, UserAdmin, UserLogin } from "./types.js";

const kinds = {
  read: Permission_Type.READ,
  write: Permission_Type.WRITE,
  readwrite: Permission_Type.READWRITE,
} as const;

export class AuthCalls implements AuthAdmin {
  readonly users: UserAdmin;
  readonly roles: RoleAdmin;
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
    this.users = new UserCalls(calls);
    this.roles = new RoleCalls(calls);
  }

  async enable(options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.authEnable, {}, options);
  }

  async disable(options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.authDisable, {}, options);
  }

  async status(options: CallOptions = {}): Promise<AuthStatus> {
    const { enabled, authRevision } = await this.calls.unary(authMethods.authStatus, {}, options);
    return { enabled, revision: authRevision };
  }
}

class UserCalls implements UserAdmin {
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
  }

  async list(options: CallOptions = {}): Promise<string[]> {
    return (await this.calls.unary(authMethods.userList, {}, options)).users;
  }

  async get(name: string, options: CallOptions = {}): Promise<User | undefined> {
    try {
      const { roles } = await this.calls.unary(authMethods.userGet, { name }, options);
      return { name, roles };
    } catch (error) {
      if (isEtcdError(error, "UserNotFound")) return undefined;
      throw error;
    }
  }

  async add(name: string, login: UserLogin, options: CallOptions = {}): Promise<void> {
    const password = "password" in login ? login.password : "";
    const request = { name, password, options: { noPassword: "noPassword" in login } };
    await this.calls.unary(authMethods.userAdd, request, options);
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.userDelete, { name }, options);
  }

  async changePassword(name: string, password: string, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.userChangePassword, { name, password }, options);
  }

  async grant(name: string, roles: string | readonly string[], options: CallOptions = {}): Promise<void> {
    for (const role of [roles].flat()) {
      await this.calls.unary(authMethods.userGrantRole, { user: name, role }, options);
    }
  }

  async revoke(name: string, roles: string | readonly string[], options: CallOptions = {}): Promise<void> {
    for (const role of [roles].flat()) {
      await this.calls.unary(authMethods.userRevokeRole, { name, role }, options);
    }
  }
}

class RoleCalls implements RoleAdmin {
  private readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
  }

  async list(options: CallOptions = {}): Promise<string[]> {
    return (await this.calls.unary(authMethods.roleList, {}, options)).roles;
  }

  async get(name: string, options: CallOptions = {}): Promise<Role | undefined> {
    try {
      const { perm } = await this.calls.unary(authMethods.roleGet, { role: name }, options);
      return { name, permissions: perm.map(permissionOf) };
    } catch (error) {
      if (isEtcdError(error, "RoleNotFound")) return undefined;
      throw error;
    }
  }

  async add(name: string, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.roleAdd, { name }, options);
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.calls.unary(authMethods.roleDelete, { role: name }, options);
  }

  async grant(name: string, permissions: Permission | readonly Permission[], options: CallOptions = {}): Promise<void> {
    for (const { kind, range } of [permissions].flat()) {
      const perm = { permType: kinds[kind], ...wireRange(range) };
      await this.calls.unary(authMethods.roleGrantPermission, { name, perm }, options);
    }
  }

  async revoke(name: string, ranges: KeyRange | readonly KeyRange[], options: CallOptions = {}): Promise<void> {
    for (const range of listed(ranges)) {
      await this.calls.unary(authMethods.roleRevokePermission, { role: name, ...wireRange(range) }, options);
    }
  }
}

/** An array of ranges; a key of bytes is one range, though it looks like a list. */
function listed(ranges: KeyRange | readonly KeyRange[]): readonly KeyRange[] {
  return isList(ranges) ? ranges : [ranges];
}

function isList(ranges: KeyRange | readonly KeyRange[]): ranges is readonly KeyRange[] {
  return Array.isArray(ranges);
}

function permissionOf({ permType, key, rangeEnd }: WirePermission): Permission {
  const range = keyRangeOf({ key: ownBytes(key), rangeEnd: ownBytes(rangeEnd) });
  return { kind: kindOf(permType), range };
}

function kindOf(type: Permission_Type): Permission["kind"] {
  switch (type) {
    case Permission_Type.READ:
      return "read";
    case Permission_Type.WRITE:
      return "write";
    case Permission_Type.READWRITE:
      return "readwrite";
  }
  throw new RangeError(`the server named a permission of the unknown kind ${String(type)}`);
}

/** The tables of users, roles and permissions in a state file. */
import type { Database, Statement } from "./database.js";

export interface StoredUser {
  readonly name: string;
  /** As bcrypt writes it; empty for a user without a password. */
  readonly passwordHash: string;
  readonly noPassword: boolean;
  /** In byte order. */
  readonly roles: readonly string[];
}

interface UserRow {
  readonly name: string;
  readonly password_hash: string;
  readonly no_password: number;
  readonly roles: string;
}

export class UserTable {
  readonly #all: Statement<[], UserRow>;
  readonly #put: Statement<[string, string, number, string]>;
  readonly #remove: Statement<[string]>;

  constructor(database: Database) {
    this.#all = database.statement(authSql.users);
    this.#put = database.statement(authSql.putUser);
    this.#remove = database.statement(authSql.removeUser);
  }

  /** In byte order of name. */
  all(): readonly StoredUser[] {
    return this.#all.all().map(({ name, password_hash, no_password, roles }) => ({
      name,
      passwordHash: password_hash,
      noPassword: no_password === 1,
      roles: JSON.parse(roles) as string[],
    }));
  }

  put({ name, passwordHash, noPassword, roles }: StoredUser): void {
    this.#put.run(name, passwordHash, noPassword ? 1 : 0, JSON.stringify(roles));
  }

  remove(name: string): void {
    this.#remove.run(name);
  }
}

export class RoleTable {
  readonly #all: Statement<[], { name: string }>;
  readonly #insert: Statement<[string]>;
  readonly #remove: Statement<[string]>;

  constructor(database: Database) {
    this.#all = database.statement(authSql.roles);
    this.#insert = database.statement(authSql.insertRole);
    this.#remove = database.statement(authSql.removeRole);
  }

  /** Names in byte order. */
  all(): readonly string[] {
    return this.#all.all().map(({ name }) => name);
  }

  insert(name: string): void {
    this.#insert.run(name);
  }

  remove(name: string): void {
    this.#remove.run(name);
  }
}

/** `type` is the number that the wire gives it; `rangeEnd` is as it was granted: empty, a single 0 byte, or an excluded end. */
export interface StoredPermission {
  readonly role: string;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly type: number;
}

interface PermissionRow {
  readonly role: string;
  readonly key: Buffer;
  readonly range_end: Buffer;
  readonly type: number;
}

export class PermissionTable {
  readonly #all: Statement<[], PermissionRow>;
  readonly #put: Statement<[string, Uint8Array, Uint8Array, number]>;
  readonly #remove: Statement<[string, Uint8Array, Uint8Array]>;
  readonly #removeRole: Statement<[string]>;

  constructor(database: Database) {
    this.#all = database.statement(authSql.permissions);
    this.#put = database.statement(authSql.putPermission);
    this.#remove = database.statement(authSql.removePermission);
    this.#removeRole = database.statement(authSql.removeRolePermissions);
  }

  /** In order of role, key and range end. */
  all(): readonly StoredPermission[] {
    return this.#all.all().map(({ role, key, range_end, type }) => ({ role, key, rangeEnd: range_end, type }));
  }

  put({ role, key, rangeEnd, type }: StoredPermission): void {
    this.#put.run(role, key, rangeEnd, type);
  }

  remove({ role, key, rangeEnd }: Omit<StoredPermission, "type">): void {
    this.#remove.run(role, key, rangeEnd);
  }

  /** All permissions of a role. */
  removeOf(role: string): void {
    this.#removeRole.run(role);
  }
}

/** Texts of the statements. */
export const authSql = {
  users: "SELECT name, password_hash, no_password, roles FROM auth_user ORDER BY name",
  putUser: "REPLACE INTO auth_user(name, password_hash, no_password, roles) VALUES (?, ?, ?, ?)",
  removeUser: "DELETE FROM auth_user WHERE name = ?",
  roles: "SELECT name FROM auth_role ORDER BY name",
  insertRole: "INSERT INTO auth_role(name) VALUES (?)",
  removeRole: "DELETE FROM auth_role WHERE name = ?",
  permissions: "SELECT role, key, range_end, type FROM auth_permission ORDER BY role, key, range_end",
  putPermission: "REPLACE INTO auth_permission(role, key, range_end, type) VALUES (?, ?, ?, ?)",
  removePermission: "DELETE FROM auth_permission WHERE role = ? AND key = ? AND range_end = ?",
  removeRolePermissions: "DELETE FROM auth_permission WHERE role = ?",
} as const;

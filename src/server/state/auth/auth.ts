/** The auth store in memory: what it holds, and what it allows (spec/server.md 8.1, 8.3). */
import { status, WireError } from "../../../../proto/status.js";
import type { StoredPermission } from "../../storage/auth-tables.js";
import type { StateSource } from "../../storage/state-store.js";
import { type KeyRange, KeySet } from "./intervals.js";
import type { Access, AuthView, Caller, Permission, Right, Role, User } from "./types.js";

/** The user without whom authentication can not be on, and the role whose holders may do anything. */
export const rootName = "root";

/** Auth revision before the first change. */
const firstRevision = 1;

export const permissionTypes: readonly (readonly Right[])[] = [["read"], ["write"], ["read", "write"]];

/** What holders of the role root may do with keys. */
const everything: Access = { assert: () => undefined };

/** A copy of the tables, as of the last {@link load}. */
export class Auth implements AuthView {
  readonly #source: StateSource;
  #enabled = false;
  #revision = firstRevision;
  #version = 0;
  #users = new Map<string, User>();
  #roles = new Map<string, Role>();
  readonly #accesses = new Map<string, Access>();

  constructor(source: StateSource) {
    this.#source = source;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Moves with every change of what this holds. */
  get version(): number {
    return this.#version;
  }

  /** Reads the tables of the source's current file. */
  load(): void {
    const { meta, users, roles, permissions } = this.#source.tables;
    this.#enabled = meta.number("auth_enabled") === 1;
    this.#revision = meta.number("auth_revision") ?? firstRevision;
    this.#version = meta.number("auth_version") ?? 0;
    this.#users = new Map(users.all().map((user) => [user.name, user]));
    const ofRole = new Map(roles.all().map((name): [string, StoredPermission[]] => [name, []]));
    for (const permission of permissions.all()) ofRole.get(permission.role)?.push(permission);
    this.#roles = new Map([...ofRole].map(([name, stored]) => [name, roleOf(name, stored)]));
    this.#accesses.clear();
  }

  users(): readonly User[] {
    return [...this.#users.values()];
  }

  user(name: string): User | undefined {
    return this.#users.get(name);
  }

  roles(): readonly Role[] {
    return [...this.#roles.values()];
  }

  role(name: string): Role | undefined {
    return this.#roles.get(name);
  }

  guards(caller: Caller): boolean {
    return this.#enabled && caller.kind !== "server";
  }

  access(caller: Caller): Access {
    if (!this.#enabled || caller.kind === "server") return everything;
    if (caller.kind === "nobody") throw new WireError(status.UserEmpty);
    if (caller.authRevision < this.#revision) throw new WireError(status.AuthOldRevision);
    const user = this.#users.get(caller.name);
    if (user === undefined) throw new WireError(status.PermissionDenied);
    const known = this.#accesses.get(user.name);
    if (known !== undefined) return known;
    const access = isRoot(user) ? everything : new GrantedAccess(user.roles.flatMap((name) => this.#permissions(name)));
    this.#accesses.set(user.name, access);
    return access;
  }

  assertUser(caller: Caller): void {
    if (!this.guards(caller)) return;
    if (caller.kind !== "user") throw new WireError(status.UserEmpty);
    if (!this.#users.has(caller.name)) throw new WireError(status.PermissionDenied);
  }

  isAdmin(caller: Caller): boolean {
    if (!this.guards(caller)) return true;
    const user = caller.kind === "user" ? this.#users.get(caller.name) : undefined;
    return user !== undefined && isRoot(user);
  }

  assertAdmin(caller: Caller): void {
    if (!this.#enabled || caller.kind === "server") return;
    if (caller.kind === "nobody") throw new WireError(status.UserEmpty);
    const user = this.#users.get(caller.name);
    if (user === undefined) throw new WireError(status.UserNotFound);
    if (!isRoot(user)) throw new WireError(status.PermissionDenied);
  }

  /** A role that was deleted grants nothing. */
  #permissions(role: string): readonly Permission[] {
    return this.#roles.get(role)?.permissions ?? [];
  }
}

export function isRoot({ roles }: User): boolean {
  return roles.includes(rootName);
}

function roleOf(name: string, stored: readonly StoredPermission[]): Role {
  const permissions = stored.map(({ key, rangeEnd, type }) => ({ key, rangeEnd, rights: permissionTypes[type] ?? [] }));
  return { name, permissions };
}

/** The union of what all roles of a user grant. */
class GrantedAccess implements Access {
  readonly #sets: Readonly<Record<Right, KeySet>>;

  constructor(permissions: readonly Permission[]) {
    const having = (right: Right): KeySet => new KeySet(permissions.filter(({ rights }) => rights.includes(right)));
    this.#sets = { read: having("read"), write: having("write") };
  }

  assert(right: Right, range: KeyRange): void {
    if (!this.#sets[right].covers(range)) throw new WireError(status.PermissionDenied);
  }
}

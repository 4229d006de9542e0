/** Who asks, and what the auth store knows: users, roles and permissions (spec/server.md 8). */
import type { StoredUser } from "../../storage/auth-tables.js";
import type { KeyRange } from "./intervals.js";

/** Whoever a command or a read is for. What he may is decided by the auth store, at the time the command is applied. */
export type Caller =
  /** Somebody without credentials; everybody while authentication is off. */
  | { readonly kind: "nobody" }
  /** A member itself, which may do anything. */
  | { readonly kind: "server" }
  /** `authRevision` is that of the store when the credentials were looked at, or issued. */
  | { readonly kind: "user"; readonly name: string; readonly authRevision: number };

export const nobody: Caller = { kind: "nobody" };
export const theServer: Caller = { kind: "server" };

export type Right = "read" | "write";

export type User = StoredUser;

export interface Permission extends KeyRange {
  readonly rights: readonly Right[];
}

/** Permissions in order of key and range end. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
}

/** What one caller may do with keys. */
export interface Access {
  /** Throws WireError PermissionDenied unless all keys of the range are covered. */
  assert(right: Right, range: KeyRange): void;
}

/** What an entry did to the auth store, for those who keep copies of it or tokens; absent where it did nothing. */
export type AuthChange =
  | { readonly kind: "changed" }
  /** Every token of this user is void, and the store has changed. */
  | { readonly kind: "userTokensVoid"; readonly user: string }
  /** Every token is void, and the store has changed. */
  | { readonly kind: "allTokensVoid" }
  /** A token was given out: its secret has this SHA-256, and it ends with the index of the entry. */
  | { readonly kind: "tokenAssigned"; readonly user: string; readonly secretDigest: Uint8Array };

/** What can be read of the auth store. */
export interface AuthView {
  readonly enabled: boolean;
  /** 1 before the first change. */
  readonly revision: number;
  /** In byte order of name. */
  users(): readonly User[];
  user(name: string): User | undefined;
  /** In byte order of name. */
  roles(): readonly Role[];
  role(name: string): Role | undefined;
  /** Whether somebody's rights count at all: authentication is on, and it is not the server itself. */
  guards(caller: Caller): boolean;
  /** What a caller may do with keys. Throws WireError UserEmpty, AuthOldRevision or PermissionDenied. */
  access(caller: Caller): Access;
  /** Throws WireError UserEmpty or PermissionDenied unless the caller is a user, however old his credentials are. */
  assertUser(caller: Caller): void;
  /** Whether the caller has the role root, however old his credentials are. */
  isAdmin(caller: Caller): boolean;
  /** Throws WireError UserEmpty, UserNotFound or PermissionDenied unless the caller has the role root. */
  assertAdmin(caller: Caller): void;
}

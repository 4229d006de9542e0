/** The auth store as part of the state: what commands do to it, what it allows at apply, and how it survives. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { status } from "../../../../proto/status.js";
import { nobody, theServer } from "../../../../src/server/state/auth/types.js";
import { openStateReader } from "../../../../src/server/state/open-reader.js";
import type { CommandBody } from "../../../../src/server/state/types.js";
import { bytes, none, op, put, range, txn } from "../world.js";
import { AuthWorld, root } from "./world.js";

let world: AuthWorld;
beforeEach(() => {
  world = new AuthWorld();
});
afterEach(() => world.close());

const putOf = (...args: Parameters<typeof put>): CommandBody => ({ $case: "put", value: put(...args) });

const revisionNow = (): number => world.reader.auth().revision;

describe("the auth revision", () => {
  it("moves with every change but the switch to on, and with nothing that failed or changed nothing", () => {
    const step = (...args: Parameters<AuthWorld["auth"]>): readonly [string, number] => {
      const before = revisionNow();
      const outcome = world.auth(...args);
      return [outcome, revisionNow() - before];
    };
    const user = { name: "root", passwordHash: "h", noPassword: false };
    const perm = { permType: 0 as const, key: bytes("a"), rangeEnd: none };
    expect(revisionNow()).toBe(1);
    expect(step({ $case: "userAdd", value: user })).toEqual(["ok", 1]);
    expect(step({ $case: "userAdd", value: user })).toEqual([status.UserAlreadyExist.message, 0]);
    expect(step({ $case: "userGrantRole", value: { user: "root", role: "root" } })).toEqual(["ok", 1]);
    expect(step({ $case: "userGrantRole", value: { user: "root", role: "root" } })).toEqual(["ok", 0]);
    expect(step({ $case: "roleAdd", value: { name: "r" } })).toEqual(["ok", 1]);
    expect(step({ $case: "roleGrantPermission", value: { name: "r", perm } })).toEqual(["ok", 1]);
    expect(step({ $case: "roleRevokePermission", value: { role: "r", ...perm } })).toEqual(["ok", 1]);
    expect(step({ $case: "userChangePassword", value: { name: "root", passwordHash: "i" } })).toEqual(["ok", 1]);
    expect(step({ $case: "enable", value: {} })).toEqual(["ok", 0]);
    expect(step({ $case: "enable", value: {} }, root)).toEqual(["ok", 0]);
    expect(step({ $case: "roleDelete", value: { role: "r" } }, root)).toEqual(["ok", 1]);
    expect(step({ $case: "disable", value: {} }, root)).toEqual(["ok", 1]);
    expect(step({ $case: "disable", value: {} })).toEqual(["ok", 0]);
    expect(step({ $case: "userDelete", value: { name: "root" } })).toEqual(["ok", 1]);
  });
});

describe("rights are decided when a command is applied", () => {
  beforeEach(() => world.enable());

  it("by the rights as they are then, not as they were when it was proposed", () => {
    const alice = world.user("alice");
    const [before, revoked, after] = world.state.apply(
      [
        { body: putOf("a", "1"), caller: alice },
        {
          body: { $case: "auth", value: { op: { $case: "userRevokeRole", value: { name: "alice", role: "a" } } } },
          caller: root,
        },
        { body: putOf("a", "2"), caller: alice },
      ].map(({ body, caller }, at) => world.callEntry(body as CommandBody, caller, at + 1)),
    );
    expect([before, revoked].map((one) => one?.result.kind)).toEqual(["ok", "ok"]);
    expect(after?.result).toMatchObject({ kind: "failed", status: { message: status.AuthOldRevision.message } });
    expect(world.as(world.user("alice"), putOf("a", "3"))).toBe(status.PermissionDenied.message);
    expect(world.list("a")).toEqual(["a=1"]);
  });

  it("refuses whoever has no name, or one that nobody has", () => {
    expect(world.as(nobody, putOf("a", "1"))).toBe(status.UserEmpty.message);
    expect(world.as(world.user("mallory"), putOf("a", "1"))).toBe(status.PermissionDenied.message);
    const add: CommandBody = { $case: "auth", value: { op: { $case: "roleAdd", value: { name: "x" } } } };
    expect(world.as(world.user("mallory"), add)).toBe(status.UserNotFound.message);
    expect(world.as(world.user("alice"), add)).toBe(status.PermissionDenied.message);
  });

  it("lets the server itself do what it has to", () => {
    const lease: CommandBody = { $case: "leaseGrant", value: { id: 7n, ttlSeconds: 60n } };
    const revoke: CommandBody = { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: BigInt(world.term) } };
    expect(world.as(nobody, lease)).toBe(status.UserEmpty.message);
    expect(world.as(world.user("root"), lease)).toBe("ok");
    expect(world.as(world.user("root"), putOf("x", "1", { lease: 7n }))).toBe("ok");
    expect(world.as(theServer, revoke)).toBe("ok");
    expect(world.list("x")).toEqual([]);
  });

  it("wants write on every key of a lease from whoever attaches one more, or revokes it", () => {
    const lease: CommandBody = { $case: "leaseGrant", value: { id: 7n, ttlSeconds: 60n } };
    const revoke: CommandBody = { $case: "leaseRevoke", value: { id: 7n, onlyInTerm: 0n } };
    const alice = world.user("alice");
    expect(world.as(world.user("bob"), lease)).toBe("ok");
    expect(world.as(alice, putOf("a", "1", { lease: 7n }))).toBe("ok");
    expect(world.as(root, putOf("x", "1", { lease: 7n }))).toBe(status.AuthOldRevision.message);
    expect(world.as(world.user("root"), putOf("x", "1", { lease: 7n }))).toBe("ok");
    expect(world.as(alice, putOf("b", "1", { lease: 7n }))).toBe(status.PermissionDenied.message);
    expect(world.as(alice, putOf("b", "1", { ignoreLease: true }))).toBe(status.KeyNotFound.message);
    expect(world.as(alice, revoke)).toBe(status.PermissionDenied.message);
    expect(world.as(root, revoke)).toBe("ok");
  });

  it("counts both branches of a transaction, at any depth", () => {
    const alice = world.user("alice");
    const outcome = (request: Parameters<typeof txn>[0]): string =>
      world.as(alice, { $case: "txn", value: txn(request) });
    const foreign = op.put("x", "1");
    expect(outcome({ success: [op.put("a", "1")] })).toBe("ok");
    expect(outcome({ success: [op.put("a", "1")], failure: [foreign] })).toBe(status.PermissionDenied.message);
    expect(outcome({ success: [op.txn({ success: [op.txn({ failure: [foreign] })] })] })).toBe(
      status.PermissionDenied.message,
    );
    expect(world.list("x")).toEqual([]);
  });
});

describe("a token", () => {
  const secretDigest = createHash("sha256").update("secret").digest();
  const assign = (user: string, authRevision: number): CommandBody => ({
    $case: "auth",
    value: { op: { $case: "tokenAssign", value: { user, secretDigest, authRevision: BigInt(authRevision) } } },
  });

  it("is given out for the revision at which the password was right, and for no other", () => {
    world.enable();
    const { revision } = world.reader.auth();
    const { index, result, auth } = world.applied(assign("alice", revision));
    expect(result).toMatchObject({ kind: "ok", response: { kind: "token", index } });
    expect(auth).toEqual({ kind: "tokenAssigned", user: "alice", secretDigest: new Uint8Array(secretDigest) });
    expect(world.as(nobody, assign("alice", revision - 1))).toBe(status.AuthOldRevision.message);
    expect(world.as(nobody, assign("mallory", revision))).toBe(status.AuthFailed.message);
  });

  it("is none while authentication is off", () => {
    expect(world.as(nobody, assign("alice", 1))).toBe(status.AuthNotEnabled.message);
  });

  it.each([
    [
      "the password of its user changes",
      { $case: "userChangePassword", value: { name: "bob", passwordHash: "h" } },
      { kind: "userTokensVoid", user: "bob" },
    ],
    ["its user is deleted", { $case: "userDelete", value: { name: "bob" } }, { kind: "userTokensVoid", user: "bob" }],
    ["authentication is switched off", { $case: "disable", value: {} }, { kind: "allTokensVoid" }],
  ] as const)("is void when %s", (_when, value, change) => {
    world.enable();
    expect(world.applied({ $case: "auth", value: { op: value } }, root).auth).toEqual(change);
  });
});

/** All that the store answers. */
function facts(): unknown {
  const auth = world.reader.auth();
  return [auth.enabled, auth.revision, auth.users(), auth.roles(), world.reader.hashAll()];
}

describe("what is stored", () => {
  it("is there again after a restart, in a copy, and after a switch of files", () => {
    world.enable();
    const before = facts();
    world.reopen({ bootstrap: undefined });
    expect(facts()).toEqual(before);
    world.state.exportTo(join(world.dir, "state-2.db"));
    world.state.switchFile("state-2.db", () => undefined);
    expect(facts()).toEqual(before);
    expect(world.as(nobody, putOf("a", "1"))).toBe(status.UserEmpty.message);
  });

  it("is not part of etcd's hash of keys, and is part of ours", () => {
    const [keys, all] = [world.reader.hashKv(0).hash, world.reader.hashAll()];
    world.enable();
    expect(world.reader.hashKv(0).hash).toBe(keys);
    expect(world.reader.hashAll()).not.toBe(all);
  });

  it("finds its tables in a file of the version before", () => {
    world.put("a", "1");
    world.state.close();
    const old = new BetterSqlite3(join(world.dir, "state-1.db"));
    old.exec("DROP TABLE auth_user; DROP TABLE auth_role; DROP TABLE auth_permission; PRAGMA user_version = 1");
    old.close();
    world.reopen({ bootstrap: undefined });
    expect(world.list("a")).toEqual(["a=1"]);
    world.enable();
    expect(world.as(world.user("alice"), putOf("a", "2"))).toBe("ok");
  });
});

describe("a reader with a connection of its own", () => {
  it("checks rights as of the very commit that it reads, and tells of others when it was told", () => {
    world.enable();
    const handle = openStateReader({ dir: world.dir, file: "state-1.db" });
    try {
      const alice = world.user("alice");
      world.as(world.user("root"), putOf("b", "open"));
      expect(handle.reader.range(range("b"), alice).count).toBe(1);
      expect(handle.reader.auth().user("carol")).toBeUndefined();
      world.auth({ $case: "userRevokeRole", value: { name: "alice", role: "a" } }, root);
      world.addUser("carol");
      world.as(world.user("root"), putOf("b", "secret"));
      // Nobody has told this reader of anything, and yet:
      expect(() => handle.reader.range(range("b"), alice)).toThrow(status.AuthOldRevision.message);
      expect(() => handle.reader.range(range("b"), world.user("alice"))).toThrow(status.PermissionDenied.message);
      world.addUser("dave");
      handle.outdated("no auth");
      expect(handle.reader.auth().user("dave")).toBeUndefined();
      handle.outdated("auth");
      expect(handle.reader.auth().user("dave")?.roles).toEqual([]);
    } finally {
      handle.close();
    }
  });
});

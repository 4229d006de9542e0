/** Users, roles and permissions: what is granted opens, what is revoked closes, in every form a range can have. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { keyRangeOf } from "../../src/client/admin/permission-range.js";
import { createClient, type EtcdClient, type KeyRange } from "../../src/client/index.js";
import { wireRange } from "../../src/client/kv/range.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const bytes = Uint8Array.of(0xff, 0x00, 0x80);
const ranges: readonly KeyRange[] = [
  "one",
  { prefix: "under/" },
  { from: "from", to: "to" },
  { from: "open" },
  { all: true },
  bytes,
  { prefix: bytes },
];

describe("a range of a permission", () => {
  it("is read back in the words in which it was granted", () => {
    expect(ranges.map((range) => keyRangeOf(wireRange(range)))).toEqual(ranges);
  });

  it("keeps the bytes of every range, also where two words fit", () => {
    for (const range of [...ranges, { prefix: "" }, { from: "" }, { from: "a", to: "b" }]) {
      expect(wireRange(keyRangeOf(wireRange(range)))).toEqual(wireRange(range));
    }
  });
});

describe.each(targets)("auth", (target) => {
  describe.skipIf(skips(target, "authentication"))(blockName("auth", target), () => {
    let server: RealEtcd;
    let admin: EtcdClient;
    let guest: EtcdClient;
    beforeAll(async () => {
      server = await target.start({ flags: ["--bcrypt-cost=4"] });
      await using setup = createClient({ endpoints: server.endpoint });
      expect(await setup.auth.status()).toMatchObject({ enabled: false });
      await setup.auth.users.add("root", { password: "secret" });
      await setup.auth.roles.add("root");
      await setup.auth.users.grant("root", "root");
      await setup.auth.users.add("guest", { password: "guest" });
      await setup.auth.enable();
      admin = createClient({ endpoints: server.endpoint, auth: { username: "root", password: "secret" } });
      guest = createClient({ endpoints: server.endpoint, auth: { username: "guest", password: "guest" } });
    });
    afterAll(async () => {
      await guest.close();
      await admin.close();
      await server.stop();
    });
    beforeEach(async () => {
      for (const role of await admin.auth.roles.list()) if (role !== "root") await admin.auth.roles.delete(role);
    });

    const refused = { code: "PermissionDenied", outcome: "not-applied" };

    it("lists, names and forgets users and roles", async () => {
      const { users, roles } = admin.auth;
      await users.add("short-lived", { password: "x" });
      await roles.add("some");
      expect(await users.list()).toEqual(["guest", "root", "short-lived"]);
      expect(await roles.list()).toEqual(["root", "some"]);
      await users.grant("short-lived", ["some", "root"]);
      expect(await users.get("short-lived")).toEqual({ name: "short-lived", roles: ["root", "some"] });
      await users.revoke("short-lived", ["root", "some"]);
      expect(await users.get("short-lived")).toEqual({ name: "short-lived", roles: [] });
      expect(await roles.get("some")).toEqual({ name: "some", permissions: [] });
      await users.delete("short-lived");
      await roles.delete("some");
      expect(await users.get("short-lived")).toBeUndefined();
      expect(await roles.get("some")).toBeUndefined();
    });

    it("says in one word what cannot be done", async () => {
      const { users, roles } = admin.auth;
      await expect(users.add("guest", { password: "y" })).rejects.toMatchObject({ code: "UserAlreadyExist" });
      await expect(users.delete("nobody")).rejects.toMatchObject({ code: "UserNotFound" });
      await expect(users.grant("guest", "nothing")).rejects.toMatchObject({ code: "RoleNotFound" });
      await expect(users.revoke("guest", "nothing")).rejects.toMatchObject({ code: "RoleNotGranted" });
      await roles.add("twice");
      await expect(roles.add("twice")).rejects.toMatchObject({ code: "RoleAlreadyExist" });
      await expect(roles.revoke("twice", "x")).rejects.toMatchObject({ code: "PermissionNotGranted" });
    });

    it("opens exactly the range it grants, and no more than the kind allows", async () => {
      const { users, roles } = admin.auth;
      await roles.add("reader");
      await roles.grant("reader", [
        { kind: "read", range: { prefix: "r/" } },
        { kind: "write", range: "w" },
        { kind: "readwrite", range: { from: "x", to: "y" } },
      ]);
      await users.grant("guest", "reader");
      expect(await guest.list({ prefix: "r/" })).toMatchObject({ kvs: [] });
      await expect(guest.put("r/1", "1")).rejects.toMatchObject(refused);
      await guest.put("w", "1");
      await expect(guest.get("w")).rejects.toMatchObject(refused);
      await guest.put("x1", "1");
      expect((await guest.get("x1"))?.value).toBe("1");
      await expect(guest.get("y")).rejects.toMatchObject(refused);
      await expect(guest.list({ prefix: "r" })).rejects.toMatchObject(refused);
    });

    it("reads every form of a range back as it was granted", async () => {
      const { roles } = admin.auth;
      await roles.add("forms");
      for (const range of ranges) await roles.grant("forms", { kind: "readwrite", range });
      const role = await roles.get("forms");
      expect(role?.permissions).toHaveLength(ranges.length);
      for (const range of ranges) expect(role?.permissions).toContainEqual({ kind: "readwrite", range });
    });

    it("takes away every range of an array, and a key of bytes as one", async () => {
      const { users, roles } = admin.auth;
      await roles.add("taken");
      const granted: readonly KeyRange[] = ["k", { prefix: "p/" }, bytes, "kept"];
      await roles.grant(
        "taken",
        granted.map((range) => ({ kind: "readwrite" as const, range })),
      );
      await users.grant("guest", "taken");
      await guest.put("k", "1");
      await guest.put("p/1", "1");
      await roles.revoke("taken", ["k", { prefix: "p/" }]);
      await expect(guest.put("k", "2")).rejects.toMatchObject(refused);
      await expect(guest.put("p/1", "2")).rejects.toMatchObject(refused);
      await guest.put(bytes, "2");
      await roles.revoke("taken", bytes);
      await expect(guest.put(bytes, "3")).rejects.toMatchObject(refused);
      expect((await roles.get("taken"))?.permissions).toEqual([{ kind: "readwrite", range: "kept" }]);
      expect((await admin.get("k"))?.value).toBe("1");
    });

    it("changes a password, which ends what the old one opened", async () => {
      const { users } = admin.auth;
      await users.add("changing", { password: "old" });
      await users.changePassword("changing", "new");
      const { endpoint: endpoints } = server;
      await using old = createClient({ endpoints, auth: { username: "changing", password: "old" } });
      await expect(old.get("x")).rejects.toMatchObject({ code: "AuthFailed" });
      await using current = createClient({ endpoints, auth: { username: "changing", password: "new" } });
      await expect(current.get("x")).rejects.toMatchObject(refused);
    });

    it("adds users without a password, whom no password lets in", async () => {
      const { users } = admin.auth;
      await users.add("by-certificate", { noPassword: true });
      for (const password of ["", "x"]) {
        const auth = { username: "by-certificate", password };
        await using client = createClient({ endpoints: server.endpoint, auth });
        const refusal = { grpcStatus: expect.any(Number) as number, outcome: "not-applied", attempts: 1 };
        await expect(client.get("x")).rejects.toMatchObject(refusal);
        await expect(client.get("x")).rejects.toThrow("auth: authentication failed");
      }
    });

    it("says whether it is on, and each change raises the revision", async () => {
      const before = await admin.auth.status();
      await admin.auth.roles.add("counted");
      expect(await admin.auth.status()).toEqual({ enabled: true, revision: before.revision + 1n });
      await admin.auth.disable();
      await using anyone = createClient({ endpoints: server.endpoint });
      expect(await anyone.auth.status()).toMatchObject({ enabled: false });
      await anyone.auth.enable();
      expect(await admin.auth.status()).toMatchObject({ enabled: true });
    });
  });
});

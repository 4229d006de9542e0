/** Conformance: a server on which authentication is off, and the health service. */

import { expect } from "vitest";
import { HealthCheckResponse_ServingStatus as Serving } from "../../proto/gen/etcd/health.js";
import { status } from "../../proto/status.js";
import { conformance } from "./harness.js";
import { bytes, headerOf } from "./words.js";

conformance("Auth off", (test) => {
  test("status: not enabled, auth revision 1", async (t) => {
    const response = await t.client.authStatus();
    expect({ enabled: response.enabled, authRevision: response.authRevision }).toEqual({
      enabled: false,
      authRevision: 1n,
    });
    expect(headerOf(response).revision).toBe(t.base);
  });

  test("disable is fine", async (t) => {
    expect(headerOf(await t.client.authDisable()).revision).toBe(t.base);
  });

  test("enable needs the user root", async (t) => {
    await t.rejects(t.client.authEnable(), status.RootUserNotExist);
  });

  test("authenticate is refused", async (t) => {
    await t.rejects(t.client.authenticate({ name: "root", password: "secret" }), status.AuthNotEnabled);
    await t.rejects(t.client.authenticate(), status.AuthNotEnabled);
  });

  test("there are no users and no roles", async (t) => {
    expect((await t.client.userList()).users).toEqual([]);
    expect((await t.client.roleList()).roles).toEqual([]);
  });

  test("an unknown user is not found by any call", async (t) => {
    await t.rejects(t.client.userGet({ name: "nobody" }), status.UserNotFound);
    await t.rejects(t.client.userDelete({ name: "nobody" }), status.UserNotFound);
    await t.rejects(t.client.userChangePassword({ name: "nobody", password: "p" }), status.UserNotFound);
    await t.rejects(t.client.userGrantRole({ user: "nobody", role: "r" }), status.UserNotFound);
    await t.rejects(t.client.userRevokeRole({ name: "nobody", role: "r" }), status.UserNotFound);
  });

  test("an unknown role is not found by any call", async (t) => {
    await t.rejects(t.client.roleGet({ role: "none" }), status.RoleNotFound);
    await t.rejects(t.client.roleDelete({ role: "none" }), status.RoleNotFound);
    await t.rejects(t.client.roleRevokePermission({ role: "none", key: bytes("k") }), status.RoleNotFound);
    const perm = { permType: 0, key: bytes("k") } as const;
    await t.rejects(t.client.roleGrantPermission({ name: "none", perm }), status.RoleNotFound);
  });

  test("the role root is not found until it is added", async (t) => {
    await t.rejects(t.client.roleGet({ role: "root" }), status.RoleNotFound);
  });

  test("a user and a role need a name", async (t) => {
    await t.rejects(t.client.userAdd({ password: "p" }), status.UserEmpty);
    await t.rejects(t.client.roleAdd(), status.RoleEmpty);
  });

  test("a permission must be given and cover something", async (t) => {
    const grant = (perm?: { key?: Uint8Array; rangeEnd?: Uint8Array }) =>
      t.client.roleGrantPermission(perm === undefined ? { name: "none" } : { name: "none", perm });
    await t.rejects(grant(), status.PermissionNotGiven);
    await t.rejects(grant({}), status.InvalidAuthMgmt);
    await t.rejects(grant({ key: bytes("b"), rangeEnd: bytes("a") }), status.InvalidAuthMgmt);
    await t.rejects(grant({ key: bytes("b"), rangeEnd: bytes("b") }), status.InvalidAuthMgmt);
    await t.rejects(grant({ key: bytes("b"), rangeEnd: Buffer.from([0]) }), status.RoleNotFound);
  });

  for (const [name, metadata] of [
    ["token", { token: "garbage" }],
    ["authorization", { authorization: "garbage" }],
    ["Bearer authorization", { authorization: "Bearer garbage.1" }],
  ] as const) {
    test(`a ${name}, even garbage, is ignored`, async (t) => {
      await t.client.put({ key: t.key("a"), value: bytes("v") }, { metadata });
      expect((await t.client.range({ key: t.key("a") }, { metadata })).count).toBe(1n);
      expect((await t.client.authStatus({}, { metadata })).enabled).toBe(false);
    });
  }
});

conformance("Health service", (test) => {
  test("the server as a whole is SERVING", async (t) => {
    expect((await t.client.healthCheck()).status).toBe(Serving.SERVING);
  });

  for (const service of ["etcdserverpb.KV", "nothing"]) {
    test(`the name ${service} is not known`, async (t) => {
      await t.rejects(t.client.healthCheck({ service }), status.HealthServiceUnknown);
    });
  }

  test("watch tells SERVING and stays open", async (t) => {
    const stream = t.client.healthWatch();
    expect((await stream.next()).status).toBe(Serving.SERVING);
    await t.client.healthCheck();
    expect(stream.isOpen).toBe(true);
    stream.cancel();
    await stream.ended();
  });

  test("watch of another name tells SERVICE_UNKNOWN and stays open", async (t) => {
    const stream = t.client.healthWatch({ service: "nothing" });
    expect((await stream.next()).status).toBe(Serving.SERVICE_UNKNOWN);
    await t.client.healthCheck();
    expect(stream.isOpen).toBe(true);
    stream.cancel();
    await stream.ended();
  });
});

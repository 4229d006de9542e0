/** Auth on a server that has it off, and the health service. */
import { afterEach, describe, expect, it } from "vitest";
import { status } from "../../../proto/status.js";
import { bytes, like, next, open } from "./wire.js";
import { clusterId, memberId, worlds } from "./world.js";

const world = worlds(afterEach);
const header = { clusterId, memberId, revision: 1n, raftTerm: 2n };

describe("auth that is off", () => {
  it("says so, and can be switched off again", async () => {
    const { services, context } = world();
    expect(await services.auth.authStatus({}, context())).toEqual({ header, enabled: false, authRevision: 1n });
    expect(await services.auth.authDisable({}, context())).toEqual({ header });
  });

  it("knows no root user, and authenticates nobody, behind the barrier", async () => {
    const { services, context, replica } = world();
    await expect(services.auth.authEnable({}, context())).rejects.toMatchObject(like(status.RootUserNotExist));
    const login = () => services.auth.authenticate({ name: "root", password: "p" }, context());
    await expect(login()).rejects.toMatchObject(like(status.AuthNotEnabled));
    expect(replica.barriers).toBe(1);
    replica.refusal = status.Timeout;
    await expect(login()).rejects.toMatchObject(like(status.Timeout));
  });

  it("lists nobody and finds nobody", async () => {
    const { services, context } = world();
    const { auth } = services;
    expect(await auth.userList({}, context())).toEqual({ header, users: [] });
    expect(await auth.roleList({}, context())).toEqual({ header, roles: [] });
    const name = "alice";
    for (const call of [
      () => auth.userGet({ name }, context()),
      () => auth.userDelete({ name }, context()),
      () => auth.userChangePassword({ name, password: "p", hashedPassword: "" }, context()),
      () => auth.userGrantRole({ user: name, role: "r" }, context()),
      () => auth.userRevokeRole({ name, role: "r" }, context()),
    ]) {
      await expect(call()).rejects.toMatchObject(like(status.UserNotFound));
    }
    for (const call of [
      () => auth.roleGet({ role: "r" }, context()),
      () => auth.roleDelete({ role: "r" }, context()),
      () => auth.roleRevokePermission({ role: "r", key: bytes("a"), rangeEnd: bytes("") }, context()),
    ]) {
      await expect(call()).rejects.toMatchObject(like(status.RoleNotFound));
    }
  });

  it("wants a name for whatever is added", async () => {
    const { services, context } = world();
    const { auth } = services;
    const user = (name: string) =>
      auth.userAdd({ name, password: "p", options: undefined, hashedPassword: "" }, context());
    await expect(user("")).rejects.toMatchObject(like(status.UserEmpty));
    await expect(auth.roleAdd({ name: "" }, context())).rejects.toMatchObject(like(status.RoleEmpty));
  });

  it("checks a permission before the role", async () => {
    const { services, context } = world();
    const grant = (key: string | undefined, rangeEnd = "") => {
      const perm = key === undefined ? undefined : { permType: 0 as const, key: bytes(key), rangeEnd: bytes(rangeEnd) };
      return services.auth.roleGrantPermission({ name: "r", perm }, context());
    };
    await expect(grant(undefined)).rejects.toMatchObject(like(status.PermissionNotGiven));
    await expect(grant("")).rejects.toMatchObject(like(status.InvalidAuthMgmt));
    await expect(grant("b", "a")).rejects.toMatchObject(like(status.InvalidAuthMgmt));
    await expect(grant("b", open)).rejects.toMatchObject(like(status.RoleNotFound));
  });
});

describe("health", () => {
  it("is that of the server as a whole, and of no other service", async () => {
    const { services, context } = world();
    expect(await services.health.check({ service: "" }, context())).toEqual({ status: 1 });
    const other = services.health.check({ service: "etcdserverpb.KV" }, context());
    await expect(other).rejects.toMatchObject(like(status.HealthServiceUnknown));
  });

  it.each([
    ["", 1],
    ["other", 3],
  ])("of %j is watched until the caller leaves", async (service, serving) => {
    const { services, context } = world();
    const abort = new AbortController();
    const stream = services.health.watch({ service }, context(abort.signal))[Symbol.asyncIterator]();
    expect(await next(stream)).toEqual({ status: serving });
    const ending = stream.next();
    abort.abort();
    await expect(ending).rejects.toMatchObject(like(status.Canceled));
  });
});

/** Simple tokens: who has one, for how long, and how callers bring it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AuthUserAddRequest } from "../../../../proto/gen/etcd/rpc.js";
import { Command } from "../../../../proto/gen/internal/command.js";
import { status } from "../../../../proto/status.js";
import type { CallContext } from "../../../../src/server/api/types.js";
import { systemClock } from "../../../../src/server/runtime/clock.js";
import { like } from "../wire.js";
import { type ApiWorld, worlds } from "../world.js";

const ttlMs = 1000;
let nowMs = 0;
const clock = { ...systemClock, monotonicMs: () => nowMs };
const open = worlds(afterEach);
let world: ApiWorld;

beforeEach(async () => {
  nowMs = 5_000_000;
  world = open({ tokenTtlMs: ttlMs, clock });
  const { auth } = world.services;
  for (const name of ["root", "alice"]) {
    await auth.userAdd(AuthUserAddRequest.create({ name, password: `${name}'s secret` }), world.context());
  }
  await auth.userGrantRole({ user: "root", role: "root" }, world.context());
  await auth.authEnable({}, world.context());
});

async function login(name: string, password = `${name}'s secret`): Promise<string> {
  return (await world.services.auth.authenticate({ name, password }, world.context())).token;
}

/** What a harmless call of a user comes to. */
function use(token: string | undefined, metadata?: Readonly<Record<string, string>>): Promise<unknown> {
  const context: CallContext = world.context(undefined, token);
  const more = new Map(Object.entries(metadata ?? {}).map(([key, value]) => [key, [value]]));
  return world.services.cluster.memberList(
    { linearizable: false },
    { ...context, metadata: metadata === undefined ? context.metadata : more },
  );
}

const refused = like(status.InvalidAuthToken);

describe("a simple token", () => {
  it("is 16 letters and the index of the entry that gave it out", async () => {
    const token = await login("alice");
    expect(token).toMatch(/^[A-Za-z]{16}\.\d+$/);
    expect(token.split(".")[1]).toBe(String(world.state.reader.appliedIndex()));
    expect(await login("alice")).not.toBe(token);
    await use(token);
  });

  it("lives as long as it is used within its time, and no longer", async () => {
    const token = await login("alice");
    for (let uses = 0; uses < 5; uses += 1) {
      nowMs += ttlMs - 1;
      await use(token);
    }
    nowMs += ttlMs;
    await expect(use(token)).rejects.toMatchObject(refused);
    nowMs -= ttlMs;
    await expect(use(token)).rejects.toMatchObject(refused);
  });

  it("leaves nothing behind when its time is over and another one is given out", async () => {
    const tokens = [await login("alice"), await login("alice"), await login("alice")];
    nowMs += ttlMs - 1;
    await use(tokens[1]);
    nowMs += 1;
    await login("alice");
    expect(world.tokens.count).toBe(2);
  });

  it("dies with the password of its user, and leaves others alone", async () => {
    const [root, alice] = [await login("root"), await login("alice")];
    const change = { name: "alice", password: "new", hashedPassword: "" };
    await world.services.auth.userChangePassword(change, world.context(undefined, root));
    await expect(use(alice)).rejects.toMatchObject(refused);
    await use(root);
    await expect(login("alice")).rejects.toMatchObject(like(status.AuthFailed));
    await use(await login("alice", "new"));
  });

  it("dies with its user, and is no good for one who comes after under that name", async () => {
    const [root, alice] = [await login("root"), await login("alice")];
    const asRoot = world.context(undefined, root);
    await world.services.auth.userDelete({ name: "alice" }, asRoot);
    await world.services.auth.userAdd(AuthUserAddRequest.create({ name: "alice", password: "other" }), asRoot);
    await expect(use(alice)).rejects.toMatchObject(refused);
  });

  it("dies when authentication is switched off, even if it is on again", async () => {
    const root = await login("root");
    await world.services.auth.authDisable({}, world.context(undefined, root));
    await use("anything goes");
    await world.services.auth.authEnable({}, world.context());
    await expect(use(root)).rejects.toMatchObject(refused);
  });

  it("dies when the state is replaced: nobody knows what happened to its user in between", async () => {
    const alice = await login("alice");
    world.tokens.restored();
    await expect(use(alice)).rejects.toMatchObject(refused);
  });

  it("is not found by its index, nor by its letters with another index", async () => {
    const token = await login("alice");
    const [letters = "", index = ""] = token.split(".");
    const other = letters.replace(/^./, (letter) => (letter === "a" ? "b" : "a"));
    const guesses = [`${other}.${index}`, `${letters}.${Number(index) - 1}`, letters, `.${index}`, "", "a.b.c"];
    for (const guess of [...guesses, `${token}.`, ` ${token}`, `${letters}.0${"0".repeat(20)}${index}`]) {
      await expect(use(guess), guess).rejects.toMatchObject(refused);
    }
    await use(token);
  });

  it("of an entry that is not applied here yet is waited for with a barrier, and not longer", async () => {
    const { barriers } = world.replica;
    await expect(use("AbCdEfGhIjKlMnOp.999999999")).rejects.toMatchObject(refused);
    expect(world.replica.barriers).toBe(barriers + 1);
  });
});

describe("a caller brings his token", () => {
  it.each([
    ["as token", (token: string) => ({ token })],
    ["as authorization", (token: string) => ({ authorization: token })],
    ["as a bearer", (token: string) => ({ authorization: `Bearer ${token}` })],
    ["as a bearer in token", (token: string) => ({ token: `Bearer ${token}` })],
    ["as token, which counts more", (token: string) => ({ token, authorization: "garbage" })],
  ])("%s", async (_how, metadata) => {
    await use(undefined, metadata(await login("alice")));
  });

  it("or none, and then is nobody", async () => {
    await expect(use(undefined)).rejects.toMatchObject(like(status.UserEmpty));
    await expect(use(undefined, { Token: "x" })).rejects.toMatchObject(like(status.UserEmpty));
  });

  it("and a bad one is not made good by a good one elsewhere", async () => {
    const metadata = { token: "garbage", authorization: await login("alice") };
    await expect(use(undefined, metadata)).rejects.toMatchObject(refused);
  });
});

/** A call of somebody with a certificate. */
function named(certificateName: string, metadata: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const entries = Object.entries(metadata).map(([key, value]): [string, string[]] => [key, [value]]);
  const context = { ...world.context(), certificateName, metadata: new Map(entries) };
  return world.services.auth.userGet({ name: "alice" }, context);
}

describe("a caller with a certificate", () => {
  it("is the user of its common name", async () => {
    await named("alice");
    await named("root");
    await expect(named("bob")).rejects.toMatchObject(like(status.UserNotFound));
    await expect(named("")).rejects.toMatchObject(like(status.UserEmpty));
  });

  it("is who his token says, if he brings one", async () => {
    await world.services.auth.userAdd(
      AuthUserAddRequest.create({ name: "bob", password: "b" }),
      world.context(undefined, await login("root")),
    );
    await named("bob", { token: await login("alice") });
    await expect(named("root", { token: "garbage" })).rejects.toMatchObject(refused);
  });

  it("is nobody behind the gateway, whose certificate it is", async () => {
    await expect(named("root", { "grpcgateway-accept": "*/*" })).rejects.toMatchObject(like(status.UserEmpty));
  });
});

describe("what is written down", () => {
  it("holds no password and no token", async () => {
    const token = await login("alice");
    await world.services.auth.userChangePassword(
      { name: "alice", password: "alice's next secret", hashedPassword: "" },
      world.context(undefined, await login("root")),
    );
    const log = Buffer.concat(
      world.replica.proposed.map((body) => Command.encode({ ...Command.create(), body }).finish()),
    ).toString("latin1");
    expect(log).toContain("alice");
    for (const secret of ["secret", token, token.slice(0, 16)]) expect(log).not.toContain(secret);
  });
});

describe("a login", () => {
  it("that is refused says the same for a name that does not exist and for a password that is wrong", async () => {
    await expect(login("mallory")).rejects.toMatchObject(like(status.AuthFailed));
    await expect(login("alice", "wrong")).rejects.toMatchObject(like(status.AuthFailed));
    await expect(login("alice", "")).rejects.toMatchObject(like(status.AuthFailed));
  });

  it("looks at the password again if the store changed meanwhile, and does not take the former one", async () => {
    const root = world.context(undefined, await login("root"));
    const { passwords } = world;
    const matches = passwords.matches.bind(passwords);
    let looks = 0;
    passwords.matches = async (...args) => {
      const answer = await matches(...args);
      looks += 1;
      const change = { name: "alice", password: "new", hashedPassword: "" };
      if (looks === 1) await world.services.auth.userChangePassword(change, root);
      return answer;
    };
    await expect(login("alice")).rejects.toMatchObject(like(status.AuthFailed));
    expect(looks).toBe(2);
  });
});

/**
 * Differential: the same random changes of users and roles, and the same random uses of their rights, on a real etcd and on
 * ours; every answer must be the same, and so must be what the store holds in the end.
 */
import { describe, expect, it } from "vitest";
import { type CallExtras, type RawClient, rawClient } from "../support/raw-client.js";
import { realEtcdMissing } from "../support/real-etcd.js";
import { chosenTargets } from "../support/targets.js";
import { outcomeOf } from "./auth-calls.js";
import { Dice } from "./random-requests.js";

const STEPS = 500;
const users = ["root", "u1", "u2", "u3", "nobody"] as const;
const roles = ["root", "r1", "r2", "r3"] as const;
/** Whoever holds the role root may do everything, so it is rare. */
const usualRoles = [
  "r1",
  "r2",
  "r3",
  "r1",
  "r2",
  "r3",
  "r1",
  "r2",
  "r3",
  "r1",
  "r2",
  "r3",
  "r1",
  "r2",
  "r3",
  "root",
] as const;
/** Few, so that grants meet, touch and overlap. */
const keys = ["a", "b", "c", "c\0", "d", "e"] as const;

/** A call, and who makes it; everything in it is the same for both servers. */
interface Step {
  readonly words: string;
  readonly as: "root" | (typeof users)[number];
  readonly call: (client: RawClient, extras: CallExtras) => Promise<unknown>;
  /** Deletes a user or a role. */
  readonly deletes?: true;
}

interface KeyRange {
  readonly key: Buffer;
  readonly rangeEnd: Buffer;
}

/** One key, a range that is not reversed (3.5 answers those differently), or all from a key on. */
function randomRange(dice: Dice): KeyRange {
  const [from, to] = [dice.below(keys.length), dice.below(keys.length)].toSorted((a, b) => a - b);
  const key = Buffer.from(keys[from ?? 0] ?? "");
  const kind = dice.below(5);
  if (kind === 0) return { key, rangeEnd: Buffer.from([0]) };
  return { key, rangeEnd: kind < 3 || from === to ? Buffer.alloc(0) : Buffer.from(keys[to ?? 0] ?? "") };
}

/**
 * What a role may get at a key: always the same range. When a role has two ranges that begin at one key, 3.5 may find neither of
 * them again, and grants one twice instead of replacing it.
 */
function grantable(dice: Dice, role: (typeof roles)[number]): KeyRange {
  const at = dice.below(keys.length);
  const key = Buffer.from(keys[at] ?? "");
  const length = (3 * at + roles.indexOf(role)) % 5;
  if (length === 4) return { key, rangeEnd: Buffer.from([0]) };
  return { key, rangeEnd: length === 0 ? Buffer.alloc(0) : Buffer.from(keys[at + length] ?? "z") };
}

/** A change that root makes. */
function step(name: keyof RawClient, request: object): Step {
  const call = (client: RawClient, extras: CallExtras): Promise<unknown> =>
    (client[name] as (request: object, extras: CallExtras) => Promise<unknown>)(request, extras);
  return { words: `${name} ${JSON.stringify(request)}`, as: "root", call };
}

function randomChange(dice: Dice): Step {
  const user = dice.pick(users);
  const role = dice.pick(usualRoles);
  const perm = { permType: dice.pick([0, 1, 2] as const), ...grantable(dice, role) };
  const side = dice.below(40);
  if (side < 4) return step("userAdd", { name: user, password: user, options: { noPassword: user === "u3" } });
  if (side < 5) return { ...step("userDelete", { name: user }), deletes: true };
  if (side < 7) return step("userChangePassword", { name: user, password: user });
  if (side < 14) return step("userGrantRole", { user, role });
  if (side < 16) return step("userRevokeRole", { name: user, role });
  if (side < 20) return step("roleAdd", { name: role });
  if (side < 21) return { ...step("roleDelete", { role }), deletes: true };
  if (side < 34) return step("roleGrantPermission", { name: role, perm });
  if (side < 37) return step("roleRevokePermission", { role, key: perm.key, rangeEnd: perm.rangeEnd });
  if (side < 38) return step("userGet", { name: user });
  return step("roleGet", { role: dice.pick(["r1", "r2", "r3"]) });
}

function randomUse(dice: Dice): Step {
  const as = dice.pick(users);
  const range = randomRange(dice);
  const prevKv = dice.below(3) === 0;
  const words = `${as}: ${JSON.stringify({ ...range, prevKv })}`;
  const compare = [{ key: range.key, rangeEnd: range.rangeEnd }];
  switch (dice.below(4)) {
    case 0:
      return { words: `range ${words}`, as, call: (client, extras) => client.range(range, extras) };
    case 1:
      return { words: `put ${words}`, as, call: (client, extras) => client.put({ key: range.key, prevKv }, extras) };
    case 2:
      return {
        words: `delete ${words}`,
        as,
        call: (client, extras) => client.deleteRange({ ...range, prevKv }, extras),
      };
  }
  const put = { request: { $case: "requestPut" as const, value: { key: range.key, prevKv } } };
  return { words: `txn ${words}`, as, call: (client, extras) => client.txn({ compare, failure: [put] }, extras) };
}

/** Runs one seed on one server; one line a step, and the store at the end. */
class Run {
  private readonly client: RawClient;
  private readonly lines: string[] = [];

  constructor(endpoint: string) {
    this.client = rawClient(endpoint);
  }

  async lived(seed: number): Promise<readonly string[]> {
    const { client } = this;
    const dice = new Dice(seed);
    for (let at = 0; at < STEPS / 2; at += 1) await this.step(randomChange(dice), {});
    await this.step({ words: "enable", as: "root", call: () => client.authEnable() }, {});
    // Whatever the dice did: root can log in and authentication is on.
    await client.userAdd({ name: "root", password: "root" }).catch(() => undefined);
    await client.userChangePassword({ name: "root", password: "root" }).catch(() => undefined);
    await client.userGrantRole({ user: "root", role: "root" }).catch(() => undefined);
    await this.step({ words: "enable", as: "root", call: () => client.authEnable() }, {});
    for (let at = 0; at < STEPS / 2; at += 1) {
      const next = dice.below(4) === 0 ? randomChange(dice) : randomUse(dice);
      await this.step(next, await this.token(next.as));
    }
    await this.store(await this.token("root"));
    client.close();
    return this.lines;
  }

  /** A fresh one each time: what a login comes to is part of the comparison. */
  private async token(name: string): Promise<CallExtras> {
    let token = "";
    const login = async (): Promise<void> => {
      token = (await this.client.authenticate({ name, password: name })).token;
    };
    this.lines.push(`login ${name}: ${await outcomeOf(login())}`);
    return token === "" ? {} : { metadata: { token } };
  }

  private async step({ words, call, deletes }: Step, extras: CallExtras): Promise<void> {
    this.lines.push(`${words}: ${await outcomeOf(call(this.client, extras))}`);
    // 3.5 knows deleted users for another tenth of a second, unless it has to write everything down.
    if (deletes === true) await this.client.hash({}, extras);
  }

  private async store(root: CallExtras): Promise<void> {
    const { client, lines } = this;
    lines.push(`auth revision ${(await client.authStatus({}, root)).authRevision}`);
    for (const name of (await client.userList({}, root)).users) {
      lines.push(`${name} holds ${(await client.userGet({ name }, root)).roles.join()}`);
    }
    for (const role of (await client.roleList({}, root)).roles.filter((name) => name !== "root")) {
      const { perm } = await client.roleGet({ role }, root);
      const grants = perm.map(({ permType, key, rangeEnd }) =>
        [Buffer.from(key).toString("hex"), Buffer.from(rangeEnd).toString("hex"), permType].join(" "),
      );
      lines.push(`${role} grants ${grants.toSorted().join(", ")}`);
    }
  }
}

const targets = chosenTargets().filter(({ name, unavailable }) => name !== "process" && unavailable === undefined);
const incomplete = realEtcdMissing ?? (targets.length < 2 ? "two targets are needed" : undefined);

describe.skipIf(incomplete !== undefined)(
  `random users and roles${incomplete === undefined ? "" : ` (${incomplete})`}`,
  () => {
    it.each([1, 2, 3])(
      "seed %i comes to the same on both",
      async (seed) => {
        const servers = await Promise.all(targets.map((target) => target.start({ "bcrypt-cost": "4" })));
        try {
          const [ours = [], theirs = []] = await Promise.all(
            servers.map(({ endpoint }) => new Run(endpoint).lived(seed)),
          );
          expect(ours).toEqual(theirs);
          // Neither all refused nor all allowed: both sides are looked at.
          const count = (ending: string): number => ours.filter((line) => line.endsWith(ending)).length;
          expect(count("permission denied")).toBeGreaterThan(10);
          expect(count(": ok")).toBeGreaterThan(100);
        } finally {
          await Promise.all(servers.map((server) => server.close()));
        }
      },
      60_000,
    );
  },
);

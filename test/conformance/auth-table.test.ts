/**
 * Conformance: every call as every kind of caller. The table of outcomes stands in `auth-table.txt`, and a real etcd 3.5 must
 * give the same one, except for what is listed with its reason.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CallExtras, type RawClient, rawClient } from "../support/raw-client.js";
import { chosenTargets, type Target, type TargetServer } from "../support/targets.js";
import { outcomeOf, rows, type Scene } from "./auth-calls.js";
import { differences35 } from "./auth-differences.js";
import { bytes } from "./words.js";

const actors = [
  "no token",
  "bad token",
  "void token",
  "without rights",
  "reader",
  "writer",
  "with rights",
  "root",
] as const;
type Actor = (typeof actors)[number];

interface World {
  readonly client: RawClient;
  readonly extras: Readonly<Record<Actor, CallExtras>>;
}

const flags = { "bcrypt-cost": "4" };
let lastNumber = 0;

/**
 * Alice has rights to a/ and b/, bob to b/ only; rita may read what alice may, wendy may write it; carol's token is void
 * since her password was changed.
 */
const names = ["root", "alice", "rita", "wendy", "bob", "carol"] as const;

async function prepare(client: RawClient): Promise<World> {
  for (const name of names) await client.userAdd({ name, password: name });
  await client.userAdd({ name: "bare", options: { noPassword: true } });
  const grant = async (name: string, permType: 0 | 1 | 2, prefix: string): Promise<void> => {
    await client.roleGrantPermission({
      name,
      perm: { permType, key: bytes(`${prefix}/`), rangeEnd: bytes(`${prefix}0`) },
    });
  };
  for (const name of ["a", "b", "r", "w", "other"]) await client.roleAdd({ name });
  await grant("a", 2, "a");
  await grant("b", 2, "b");
  for (const prefix of ["a", "b"]) await grant("r", 0, prefix);
  for (const prefix of ["a", "b"]) await grant("w", 1, prefix);
  await client.userGrantRole({ user: "root", role: "root" });
  await client.userGrantRole({ user: "alice", role: "a" });
  await client.userGrantRole({ user: "rita", role: "r" });
  await client.userGrantRole({ user: "wendy", role: "w" });
  for (const user of ["alice", "bob"]) await client.userGrantRole({ user, role: "b" });
  await client.authEnable();
  const asUser = async (name: string): Promise<CallExtras> => {
    const { token } = await client.authenticate({ name, password: name });
    return { metadata: { token } };
  };
  const [root, alice, rita, wendy, bob, carol] = [
    await asUser("root"),
    await asUser("alice"),
    await asUser("rita"),
    await asUser("wendy"),
    await asUser("bob"),
    await asUser("carol"),
  ];
  await client.userChangePassword({ name: "carol", password: "other" }, root);
  const bad = { metadata: { token: "AbCdEfGhIjKlMnOp.1" } };
  const tokens = { "no token": {}, "bad token": bad, "void token": carol };
  const users = { "without rights": bob, reader: rita, writer: wendy, "with rights": alice, root };
  return { client, extras: { ...tokens, ...users } };
}

const targets = chosenTargets().filter(({ unavailable }) => unavailable === undefined);

describe.each(targets.map((target) => ({ name: target.name, target })))(
  "every call as everybody [$name]",
  ({ target }) => {
    let server: TargetServer;
    let world: World;
    beforeAll(async () => {
      server = await target.start(flags);
      world = await prepare(rawClient(server.endpoint));
    });
    afterAll(async () => {
      world.client.close();
      await server.close();
    });

    it("ends as the table says", async () => {
      const lines: string[] = [];
      for (const [name, call] of Object.entries(rows)) {
        lines.push(name);
        const scene: Scene = { client: world.client, root: world.extras.root, unique: () => (lastNumber += 1) };
        for (const actor of actors) {
          const outcome = await outcomeOf(call(scene, world.extras[actor]));
          lines.push(`  ${actor.padEnd(15)}${asOurs(target, `${name}: ${actor}`, outcome)}`);
        }
      }
      await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("./auth-table.txt");
    }, 60_000);
  },
);

const used = new Set<string>();

/** What a real etcd 3.5 says, in our words where the difference is known. */
function asOurs({ isEtcd35 }: Target, cell: string, outcome: string): string {
  const difference = isEtcd35 ? differences35.get(cell) : undefined;
  if (difference === undefined) return outcome;
  used.add(cell);
  return outcome === difference.theirs ? difference.ours : `${outcome} (expected of etcd 3.5: ${difference.theirs})`;
}

it.skipIf(!targets.some(({ isEtcd35 }) => isEtcd35))("every listed difference is one", () => {
  expect([...used].toSorted()).toEqual([...differences35.keys()].toSorted());
});

/** A server with users, roles and rights, and the table of how every call ends for every kind of caller. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CallExtras, type RawClient, rawClient } from "../support/raw-client.js";
import { chosenTargets, type Flags, type TargetServer } from "../support/targets.js";
import { outcomeOf, rows, type Scene } from "./auth-calls.js";
import type { Difference } from "./auth-differences.js";
import { bytes } from "./words.js";

export const userNames = ["root", "alice", "rita", "wendy", "bob", "carol"] as const;

/**
 * Users whose passwords are their names, and authentication on. Alice may read and write a/ and b/, bob only b/; rita may read
 * what alice may, wendy may write it; carol has no rights, and bare no password.
 */
export async function populate(client: RawClient): Promise<void> {
  for (const name of userNames) await client.userAdd({ name, password: name });
  await client.userAdd({ name: "bare", options: { noPassword: true } });
  const grant = async (name: string, permType: 0 | 1 | 2, prefix: string): Promise<void> => {
    const range = { key: bytes(`${prefix}/`), rangeEnd: bytes(`${prefix}0`) };
    await client.roleGrantPermission({ name, perm: { permType, ...range } });
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
}

/** A caller with a token for his password. */
export async function loggedIn(client: RawClient, name: string): Promise<CallExtras> {
  const { token } = await client.authenticate({ name, password: name });
  return { metadata: { token } };
}

/** Where credentials go stale with every change, they are made anew for each call. */
type Credentials = CallExtras | (() => Promise<CallExtras>);

/** What the rows are called with, by name; one is `root`, who also prepares what a row needs. */
export type Actors = Readonly<Record<string, Credentials>> & { readonly root: Credentials };

export interface AuthTable {
  readonly title: string;
  /** Where the table of outcomes stands. */
  readonly file: string;
  readonly flags: Flags;
  /** Left out where nothing depends on it. */
  readonly without?: "process";
  readonly actors: (client: RawClient) => Promise<Actors>;
  /** By `row: actor`. */
  readonly differences35: ReadonlyMap<string, Difference>;
}

/** Defines a test a target: all must give the same table, a real etcd 3.5 but for the differences. */
export function authTable({ title, file, flags, without, actors, differences35 }: AuthTable): void {
  const targets = chosenTargets().filter(({ name, unavailable }) => unavailable === undefined && name !== without);
  for (const target of targets) {
    describe(`${title} [${target.name}]`, () => {
      let server: TargetServer;
      let client: RawClient;
      beforeAll(async () => {
        server = await target.start(flags);
        client = rawClient(server.endpoint);
      });
      afterAll(async () => {
        client.close();
        await server.close();
      });

      it("every call ends as the table says", async () => {
        const differences = target.isEtcd35 ? differences35 : new Map<string, Difference>();
        const used: string[] = [];
        const lines: string[] = [];
        for (const { row, actor, outcome } of await outcomes(client, await actors(client))) {
          if (!lines.includes(row)) lines.push(row);
          const difference = differences.get(`${row}: ${actor}`);
          if (difference !== undefined) used.push(`${row}: ${actor}`);
          lines.push(`  ${actor.padEnd(16)}${difference === undefined ? outcome : translated(outcome, difference)}`);
        }
        expect(used.toSorted()).toEqual([...differences.keys()].toSorted());
        await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot(file);
      }, 60_000);
    });
  }
}

interface Cell {
  readonly row: string;
  readonly actor: string;
  readonly outcome: string;
}

async function outcomes(client: RawClient, actors: Actors): Promise<Cell[]> {
  let lastNumber = 0;
  const cells: Cell[] = [];
  for (const [row, call] of Object.entries(rows)) {
    for (const [actor, credentials] of Object.entries(actors)) {
      const scene: Scene = { client, root: await extrasOf(actors.root), unique: () => (lastNumber += 1) };
      cells.push({ row, actor, outcome: await outcomeOf(call(scene, await extrasOf(credentials))) });
    }
  }
  return cells;
}

async function extrasOf(credentials: Credentials): Promise<CallExtras> {
  return typeof credentials === "function" ? credentials() : credentials;
}

/** What a real etcd 3.5 says, in our words if it is what is known of it. */
function translated(outcome: string, { theirs, ours }: Difference): string {
  return outcome === theirs ? ours : `${outcome} (expected of etcd 3.5: ${theirs})`;
}

/**
 * The frame of the conformance suite: a case is written once and runs against every chosen target. Cases of one
 * file share a server per target and keep to their own key prefix; a case that needs a store of its own says `fresh`.
 */

import { afterAll, beforeAll, describe, it } from "vitest";
import { chosenTargets, type Flags, type Target, type TargetServer } from "../support/targets.js";
import { Context, type Origin } from "./context.js";

export interface CaseOptions {
  /** A server for this case alone, with these flags; a function where they are only known then (free ports). */
  readonly fresh?: true | Flags | (() => Promise<Flags>);
  /** Why the case does not run on a real etcd 3.5 (it would crash, or lacks the feature). */
  readonly oursOnly?: string;
}

type Body = (t: Context) => Promise<void>;

export type DefineCase = (name: string, body: Body, options?: CaseOptions) => void;

/** The servers that cases of this file share, by target and flags. */
const sharedServers = new Map<string, Promise<TargetServer>>();
let caseCount = 0;

afterAll(async () => {
  for (const server of await Promise.all(sharedServers.values())) await server.close();
});

function sharedServer(target: Target, flags: Flags): Promise<TargetServer> {
  const key = JSON.stringify([target.name, flags]);
  const server = sharedServers.get(key) ?? target.start(flags);
  sharedServers.set(key, server);
  return server;
}

/** Cases about one area; `flags` are those of the shared server. */
export function conformance(area: string, define: (test: DefineCase) => void, flags: Flags = {}): void {
  for (const target of chosenTargets()) {
    describe(`${area} [${target.name}]`, () => {
      if (target.unavailable === undefined) defineOn(target, define, flags);
      else reportUnavailable(target.unavailable);
    });
  }
}

function reportUnavailable(reason: string): void {
  if (process.env["CI"] !== "true") {
    it.skip(`skipped: ${reason}`, () => undefined);
    return;
  }
  it("has its target", () => {
    throw new Error(reason);
  });
}

function defineOn(target: Target, define: (test: DefineCase) => void, flags: Flags): void {
  beforeAll(async () => {
    await sharedServer(target, flags);
  });
  define((name, body, { fresh, oursOnly } = {}) => {
    caseCount += 1;
    const prefix = `case${caseCount}/`;
    if (target.isEtcd35 && oursOnly !== undefined) {
      it.skip(`${name} (not on etcd 3.5: ${oursOnly})`, () => undefined);
      return;
    }
    it(name, async () => {
      if (fresh !== undefined) await onFreshServer(target, { flags: await flagsOf(fresh), prefix, body });
      else await runCase({ target, flags, server: await sharedServer(target, flags), prefix }, body);
    });
  });
}

async function onFreshServer(
  target: Target,
  { flags, prefix, body }: { flags: Flags; prefix: string; body: Body },
): Promise<void> {
  const server = await target.start(flags);
  try {
    await runCase({ target, flags, server, prefix }, body);
  } finally {
    await server.close();
  }
}

async function flagsOf(fresh: true | Flags | (() => Promise<Flags>)): Promise<Flags> {
  if (fresh === true) return {};
  return typeof fresh === "function" ? fresh() : fresh;
}

async function runCase(origin: Origin, body: Body): Promise<void> {
  const context = await Context.open(origin);
  try {
    await body(context);
  } finally {
    await context.close();
  }
}

/** A block of tests for each server the SDK is tested against: one server for all of them, each with a name of its own. */
import { afterAll, beforeAll, describe } from "vitest";
import { createClient, type EtcdClient } from "../../../src/client/index.js";
import type { RealEtcd } from "../../support/real-etcd.js";
import { blockName, skips, targets } from "../targets.js";

export interface Stage {
  readonly server: RealEtcd;
  /** Reaches the server without a fault. */
  readonly client: EtcdClient;
  /** A name that no other test uses. */
  name(): string;
}

export function onTargets(what: string, tests: (stage: Stage) => void): void {
  describe.each(targets)(what, (target) => {
    describe.skipIf(skips(target))(blockName(what, target), { timeout: 30_000 }, () => {
      let server: RealEtcd | undefined;
      let client: EtcdClient | undefined;
      let count = 0;
      beforeAll(async () => {
        server = await target.start();
        client = createClient({ endpoints: server.endpoint });
      });
      afterAll(async () => {
        await client?.close();
        await server?.stop();
      });
      tests({
        get server() {
          if (server === undefined) throw new Error("the server runs only while the tests do");
          return server;
        },
        get client() {
          if (client === undefined) throw new Error("the client is there only while the tests run");
          return client;
        },
        name: () => `${what} ${++count}`,
      });
    });
  });
}

/** What the process was warned of while the work was done, as of listeners that pile up. */
export async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = [];
  const listener = (warning: Error): void => void warnings.push(warning.name);
  process.on("warning", listener);
  try {
    await work();
    // Warnings are told a turn later.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("warning", listener);
  }
  return warnings;
}

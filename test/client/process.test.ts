/** Whole processes that use the SDK: they end when they have nothing to do, and are not fooled by having been stopped. */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient } from "../../src/client/index.js";
import type { RealEtcd } from "../support/real-etcd.js";
import { blockName, skips, targets } from "./targets.js";

const run = promisify(execFile);
let directory: string;

function sourceOf(path: string): string {
  return JSON.stringify(fileURLToPath(new URL(`../../src/client/${path}`, import.meta.url)));
}

/** What a program of these tests may use, as one file that Node runs without help. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "litecd-process-"));
  const contents = `export * from ${sourceOf("index.ts")}; export * from ${sourceOf("concurrency/index.ts")};`;
  const stdin = { contents, resolveDir: directory, loader: "ts" } as const;
  const node = { platform: "node", target: "node20", format: "cjs", logLevel: "error" } as const;
  await build({ ...node, stdin, bundle: true, outfile: join(directory, "sdk.cjs") });
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** The body of an async function that has `createClient`, `lock` and `endpoint`; returns the path of a script. */
async function program(name: string, body: string): Promise<string> {
  const path = join(directory, `${name}.cjs`);
  const head = `const { createClient, lock } = require("./sdk.cjs");\nconst endpoint = process.argv[2];\n`;
  await writeFile(path, `${head}(async () => {${body}})();\n`);
  return path;
}

describe.each(targets)("a process", (target) => {
  describe.skipIf(skips(target))(blockName("a process", target), { timeout: 30_000 }, () => {
    let server: RealEtcd;
    let direct: EtcdClient;
    beforeAll(async () => {
      server = await target.start();
      direct = createClient({ endpoints: server.endpoint });
    });
    afterAll(async () => {
      await direct.close();
      await server.stop();
    });

    it.each<[string, string]>([
      ["was only created", "createClient({ endpoints: endpoint });"],
      ["was created and closed", "await createClient({ endpoints: endpoint }).close();"],
      [
        "was used and closed, with a lease, a watch and a lock still open",
        `const client = createClient({ endpoints: [endpoint, endpoint.replace("127.0.0.1", "localhost")], syncIntervalMs: 1000 });
         await client.leases.grant(60);
         await client.watch("k").started;
         await lock(client, "used");
         await client.close();`,
      ],
    ])("ends by itself if its client %s", async (_what, body) => {
      const path = await program("ends", `${body} console.log("done");`);
      // A handle that is left open keeps it alive until it is killed here, and then this rejects.
      expect((await run(process.execPath, [path, server.endpoint], { timeout: 10_000 })).stdout).toBe("done\n");
    });

    it("that was stopped for longer than a TTL sees what it has lost before it acts", async () => {
      const path = await program("stopped", suspended);
      const child = spawn(process.execPath, [path, server.endpoint], { stdio: ["ignore", "pipe", "inherit"] });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      try {
        const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
        expect((await lines.next()).value).toBe("ready");
        child.kill("SIGSTOP");
        await expect.poll(() => direct.count({ prefix: "stopped/" })).toBe(0);
        const goneAtMs = Date.now();
        child.kill("SIGCONT");
        const { ticks, put, fenced }: Report = JSON.parse((await lines.next()).value as string) as Report;
        expect(ticks.filter(({ claims }) => claims.length > 0).length).toBeGreaterThan(0);
        expect(ticks.filter(({ atMs, claims }) => atMs >= goneAtMs && claims.length > 0)).toEqual([]);
        expect(put).toEqual({ code: "LeaseLost", outcome: "not-applied" });
        expect(fenced).toBe(false);
        expect(await direct.count({ prefix: "stopped/" })).toBe(0);
        expect(await ended).toBe(0);
      } finally {
        child.kill("SIGKILL");
        await ended;
      }
    });
  });
});

/** What the stopped process saw: when, and what it could believe to have. */
interface Report {
  readonly ticks: readonly { readonly atMs: number; readonly claims: readonly string[] }[];
  /** How a put under the lease failed that it made at once. */
  readonly put: { readonly code: string; readonly outcome: string };
  /** Whether a write under the lock's guard was made. */
  readonly fenced: boolean;
}

/** Its timer is due long before those of the lease, so it looks first when it goes on. */
const suspended = `
  const client = createClient({ endpoints: endpoint });
  const lease = await client.leases.grant(2);
  await client.put("stopped/lease", "1", { lease });
  const held = await lock(client, "stopped/lock", { ttl: 2 });
  const ticks = [];
  const act = async () => {
    const put = await client.put("stopped/put", "1", { lease }).catch(({ code, outcome }) => ({ code, outcome }));
    const operation = { kind: "put", key: "stopped/fenced", value: "1", options: {} };
    const { succeeded: fenced } = await client.txn({ if: [held.guard()], then: [operation] });
    console.log(JSON.stringify({ ticks, put, fenced }));
    await held.release();
    await client.close();
  };
  const timer = setInterval(() => {
    const atMs = Date.now();
    const claims = [
      ...(lease.signal.aborted ? [] : ["lease.signal"]),
      ...(lease.state === "held" ? ["lease.state"] : []),
      ...(lease.remainingMs > 0 ? ["lease.remainingMs"] : []),
      ...(held.signal.aborted ? [] : ["held.signal"]),
    ];
    ticks.push({ atMs, claims });
    if (ticks.length === 3) console.log("ready");
    if (claims.length > 0) return;
    clearInterval(timer);
    void act();
  }, 20);
`;

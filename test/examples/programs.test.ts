/** The examples do what they say at their top. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EtcdClient } from "../../src/client/index.js";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";
import { Program, removePrograms } from "./program.js";

let server: TestServer;
let client: EtcdClient;
let programs: Program[];

beforeEach(async () => {
  server = await startTestServer();
  client = server.client();
  programs = [];
});
afterEach(async () => {
  await Promise.all(programs.map((program) => program.kill()));
  await server.close();
});

afterAll(removePrograms);

function start(name: string, ...args: string[]): Program {
  const program = new Program(name, { args, endpoint: server.endpoint });
  programs.push(program);
  return program;
}

async function portOf(program: Program): Promise<string> {
  return (await program.says(/^listening on \d+/)).replace("listening on ", "");
}

describe("service discovery", { timeout: 30_000 }, () => {
  it("calls all that serve, and forgets the one that ends", async () => {
    const servers = [start("service-discovery", "serve", "shop"), start("service-discovery", "serve", "shop")];
    await Promise.all(servers.map((one) => one.says(/^serving at/)));
    const caller = start("service-discovery", "call", "shop");
    await caller.says(/^2 serving/);
    const greetings = new Set([
      await caller.says(/^hello from/),
      await caller.says(/^hello from/, caller.lines.length),
    ]);
    expect(greetings.size).toBe(2);
    expect(await servers[0]?.stop()).toBe(0);
    await caller.says(/^1 serving/);
    expect(await servers[1]?.stop()).toBe(0);
    await caller.says(/^nobody serves/);
    expect(await caller.stop()).toBe(0);
  });
});

describe("the leader-elected worker", { timeout: 30_000 }, () => {
  it("does each job once, and another goes on when it ends", async () => {
    await client.put("jobs/1", "old work");
    const first = start("leader-elected-worker");
    await first.says(/leads$/);
    await first.says(/old work/);
    const second = start("leader-elected-worker");
    await second.says(/stands by/);
    await client.put("jobs/2", "new work");
    await first.says(/new work/);
    expect(await first.stop()).toBe(0);
    await second.says(/leads$/);
    await client.put("jobs/3", "later work");
    await second.says(/later work/);
    expect(await client.count({ prefix: "jobs/" })).toBe(0);
    expect(await client.count({ prefix: "done/" })).toBe(3);
    expect(second.lines.filter((line) => /old|new/.test(line))).toEqual([]);
    expect(await second.stop()).toBe(0);
  });
});

describe("the configuration", { timeout: 30_000 }, () => {
  it("changes while the program runs, unless it does not fit", async () => {
    const program = start("config-reload");
    await program.says(/^nothing is configured: port 80/);
    await client.put("config/server", '{"port":8080,"greeting":"hello"}');
    await program.says(/^in force: port 8080, "hello"/);
    await client.put("config/server", '{"port":"eighty"}');
    await program.says(/^refused: .*a config has a port/);
    await program.says(/^still in force: port 8080/);
    await client.delete("config/server");
    await program.says(/^removed; still in force: port 8080/);
    expect(await program.stop()).toBe(0);
  });
});

describe("the cron", { timeout: 30_000 }, () => {
  it("runs each beat once on one of three", async () => {
    const runners = [1, 2, 3].map(() => start("distributed-cron", "1"));
    const beats = (): string[] =>
      runners
        .flatMap(({ lines }) => lines.map((line) => /beat (\d+)$/.exec(line)?.[1] ?? ""))
        .filter((beat) => beat !== "");
    await expect.poll(() => beats().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(4);
    expect(await Promise.all(runners.map((runner) => runner.stop()))).toEqual([0, 0, 0]);
    expect(new Set(beats()).size).toBe(beats().length);
    expect(beats().length).toBe(await client.count({ prefix: "cron/report/" }));
  });
});

describe("the rate limiter", { timeout: 30_000 }, () => {
  it("counts one caller's requests over all servers", async () => {
    // A window that no test outlives.
    const ports = await Promise.all([1, 2].map(() => portOf(start("rate-limiter", "5", "100000"))));
    const ask = async (caller: string, at: number): Promise<number> =>
      (await fetch(`http://127.0.0.1:${ports[at % 2]}/?caller=${caller}`)).status;
    const statuses = await Promise.all(Array.from({ length: 12 }, (_, at) => ask("alice", at)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(7);
    expect(await ask("bob", 0)).toBe(200);
    expect(await Promise.all(programs.map((program) => program.stop()))).toEqual([0, 0]);
  });
});

describe("the feature flags", { timeout: 30_000 }, () => {
  it("are on for their share of users, everywhere, and stay while etcd is away", async () => {
    const port = await portOf(start("feature-flags"));
    const count = async (): Promise<number> => {
      const answers = Array.from({ length: 40 }, async (_, user) => {
        return (await fetch(`http://127.0.0.1:${port}/?flag=dark-mode&user=${user}`)).text();
      });
      return (await Promise.all(answers)).filter((answer) => answer === "on\n").length;
    };
    expect(await count()).toBe(0);
    await client.put("flags/dark-mode", '{"percent":100}');
    await expect.poll(count).toBe(40);
    await client.put("flags/dark-mode", '{"percent":50}');
    await expect.poll(count).toBeLessThan(40);
    const half = await count();
    expect(half).toBeGreaterThan(5);
    await server.members[0]?.stop();
    expect(await count()).toBe(half);
    expect(await programs[0]?.stop()).toBe(0);
  });
});

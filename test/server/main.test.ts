/** The program: texts, one line of error, exit codes, signals. In this process, and as the process that people run. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ServerConfig } from "../../src/server/config/config.js";
import { InvariantError } from "../../src/server/invariant.js";
import { main, type Program, type World } from "../../src/server/main.js";
import { litecd, Member } from "../support/member.js";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "litecd-main-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A process that is none. */
class FakeWorld implements World {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  out = "";
  err = "";
  exitCode: World["exitCode"];
  readonly exits: number[] = [];
  readonly stdout = { write: (text: string) => (this.out += text) };
  readonly stderr = { write: (text: string) => (this.err += text) };
  private readonly listeners = new Map<string, (reason: unknown) => void>();

  constructor(line: string, env: Readonly<Record<string, string>> = {}) {
    this.argv = ["node", "litecd", ...line.split(" ").filter((word) => word !== "")];
    this.env = env;
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  on(event: string, listener: (reason: unknown) => void): void {
    this.listeners.set(event, listener);
  }

  emit(event: string, reason?: unknown): void {
    this.listeners.get(event)?.(reason);
  }

  /** Lines of the log by message. */
  get log(): readonly Readonly<Record<string, unknown>>[] {
    return this.err
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  line(message: string): Readonly<Record<string, unknown>> | undefined {
    return this.log.find(({ msg }) => msg === message);
  }
}

type StartOptions = Parameters<Program["startServer"]>[0];

type Started = Awaited<ReturnType<Program["startServer"]>>;
const never = new Promise<void>(() => undefined);

/** A server that does what the test says; nobody removes it unless the test does. */
function program(
  startServer: (options: StartOptions) => Promise<Pick<Started, "close"> & Partial<Started>>,
): () => Promise<Program> {
  return async () => ({ startServer: async (options) => ({ removed: never, ...(await startServer(options)) }) });
}

const neverStarted = program(async () => {
  throw new Error("nothing should have been started");
});

describe("texts", () => {
  it("prints the version or the help on stdout and starts nothing", async () => {
    for (const [line, start] of [
      ["--version", "etcd Version: 3.7.0\n"],
      ["--help", "Usage: litecd [flags]\n"],
    ] as const) {
      const world = new FakeWorld(line);
      await main(world, neverStarted);
      expect(world.out.slice(0, start.length)).toBe(start);
      expect([world.err, world.exitCode, world.exits]).toEqual(["", undefined, []]);
    }
  });
});

describe("errors", () => {
  it("answer an unknown flag with one plain line and code 2", async () => {
    const world = new FakeWorld("--bogus");
    await main(world, neverStarted);
    expect(world.err).toBe("litecd: there is no flag --bogus (litecd --help lists them all)\n");
    expect([world.exitCode, world.out]).toEqual([2, ""]);
  });

  it("answer a bad combination with one line of log and code 1", async () => {
    const world = new FakeWorld("--election-timeout=200");
    await main(world, neverStarted);
    expect(world.log).toHaveLength(1);
    expect(world.log[0]).toMatchObject({
      level: "error",
      msg: "failed to verify flags",
      error: "--election-timeout (200 ms) must be at least 5 times --heartbeat-interval (100 ms)",
    });
    expect(world.exitCode).toBe(1);
  });

  it("answer a log file that cannot be written with code 1", async () => {
    const world = new FakeWorld(`--log-outputs ${join(directory, "none", "log")}`);
    await main(world, neverStarted);
    expect(world.line("failed to open a log output")?.["error"]).toContain("ENOENT");
    expect(world.exitCode).toBe(1);
  });

  it("answer a start that fails with its reason and code 1", async () => {
    const world = new FakeWorld("");
    await main(
      world,
      program(() => Promise.reject(Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" }))),
    );
    expect(world.line("the member ends with an error")?.["error"]).toBe("listen EADDRINUSE");
    expect(world.exits).toEqual([1]);
  });

  it.each([
    ["a storage failure", Object.assign(new Error("disk"), { name: "StorageFailure", exitCode: 70 })],
    ["a broken invariant", new InvariantError("cannot be", {})],
  ])("answer %s with code 70", async (_what, error) => {
    const world = new FakeWorld("");
    await main(
      world,
      program(() => Promise.reject(error)),
    );
    expect(world.exits).toEqual([70]);
  });
});

describe("a member", () => {
  it("gets its config, from the file if one is named", async () => {
    const path = join(directory, "litecd.yaml");
    writeFileSync(path, "name: from-file\nmax-wals: 7\n");
    const world = new FakeWorld(`--config-file ${path}`);
    const configs: ServerConfig[] = [];
    const running = main(
      world,
      program(async ({ config }) => (configs.push(config), { close: async () => undefined })),
    );
    world.emit("SIGTERM");
    await running;
    expect(configs.map(({ name }) => name)).toEqual(["from-file"]);
    expect(world.line("this flag has no meaning here and is ignored")).toMatchObject({
      level: "warn",
      flag: "--max-wals",
    });
  });

  it.each(["SIGTERM", "SIGINT"])("closes on %s and ends with code 0", async (signal) => {
    const world = new FakeWorld("");
    let closed = 0;
    const running = main(
      world,
      program(async () => ({ close: async () => void (closed += 1) })),
    );
    await expect.poll(() => world.line("starting litecd")).toBeDefined();
    expect([closed, world.exits]).toEqual([0, []]);
    world.emit(signal);
    await running;
    expect([closed, world.exits]).toEqual([1, [0]]);
    expect(world.line("received a signal")).toMatchObject({ signal });
  });

  it("starts before it closes when the signal comes early", async () => {
    const world = new FakeWorld("");
    const events: string[] = [];
    const running = main(
      world,
      program(async () => {
        world.emit("SIGTERM");
        events.push("started");
        return { close: async () => void events.push("closed") };
      }),
    );
    await running;
    expect(events).toEqual(["started", "closed"]);
  });

  it("calls off a start that waits, and ends with code 0", async () => {
    const world = new FakeWorld("");
    const running = main(
      world,
      program(
        ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
            world.emit("SIGTERM");
          }),
      ),
    );
    await running;
    expect(world.exits).toEqual([0]);
    expect(world.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("says that it serves, and ends, when it has a channel to who started it", async () => {
    const said: string[] = [];
    const world = Object.assign(new FakeWorld(""), { send: (message: string) => said.push(message) });
    let closed = 0;
    const running = main(
      world,
      program(async () => ({ close: async () => void (closed += 1) })),
    );
    await expect.poll(() => said).toEqual(["ready"]);
    world.emit("disconnect");
    await running;
    expect([closed, world.exits]).toEqual([1, [0]]);
  });

  it.each(["while it runs", "before"])("ends with code 0 and etcd's words when it was removed %s", async (when) => {
    const world = new FakeWorld("--data-dir d");
    let closed = 0;
    await main(
      world,
      program(async () => {
        if (when === "before") throw Object.assign(new Error("gone"), { reason: "memberRemoved", exitCode: 0 });
        return { removed: Promise.resolve(), close: async () => void (closed += 1) };
      }),
    );
    expect([closed, world.exits]).toEqual([when === "before" ? 0 : 1, [0]]);
    expect(world.line("server error")).toMatchObject({
      level: "warn",
      error: "the member has been permanently removed from the cluster",
    });
    expect(world.line("data-dir used by this member must be removed")).toMatchObject({ "data-dir": "d" });
  });

  it("ends at once on the second signal", async () => {
    const world = new FakeWorld("");
    const closing = main(
      world,
      program(async () => ({ close: () => new Promise<void>(() => undefined) })),
    );
    await expect.poll(() => world.line("starting litecd")).toBeDefined();
    world.emit("SIGINT");
    expect(world.exits).toEqual([]);
    world.emit("SIGTERM");
    expect(world.exits).toEqual([143]);
    expect(closing).toBeInstanceOf(Promise); // it waits for ever, as a process that is gone does not
  });

  it.each(["uncaughtException", "unhandledRejection"])("ends with code 70 on %s", async (event) => {
    const world = new FakeWorld("");
    const running = main(
      world,
      program(async () => ({ close: async () => undefined })),
    );
    world.emit(event, new Error("a bug"));
    expect(world.exits).toEqual([70]);
    expect(world.log.at(-1)).toMatchObject({ level: "error", error: expect.stringContaining("a bug") as string });
    world.emit("SIGTERM");
    await running;
  });

  it("ends with code 70 when the server says that it cannot go on", async () => {
    const world = new FakeWorld("");
    const running = main(
      world,
      program(async ({ onFatal }) => (onFatal(new Error("lost")), { close: async () => undefined })),
    );
    await expect.poll(() => world.exits).toEqual([70]);
    world.emit("SIGTERM");
    await running;
  });

  it("logs where it is told to, at the level it is told", async () => {
    const path = join(directory, "log");
    const world = new FakeWorld(`--log-outputs stdout,${path} --log-level warn --max-wals 1`);
    const running = main(
      world,
      program(async ({ logger }) => (logger.warn("a warning"), { close: async () => undefined })),
    );
    world.emit("SIGTERM");
    await running;
    expect(world.err).toBe("");
    expect(world.out).toBe(readFileSync(path, "utf8"));
    expect(world.out.split("\n").filter(Boolean)).toHaveLength(2);
    expect(world.out).toContain("a warning");
  });

  it("logs for people when told to", async () => {
    const world = new FakeWorld("--log-format console");
    const running = main(
      world,
      program(async () => ({ close: async () => undefined })),
    );
    world.emit("SIGTERM");
    await running;
    expect(world.err).toMatch(/^\S+\tinfo\tmain\tstarting litecd\t\{"version"/);
  });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(...flags: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(litecd.command, [...litecd.args, ...flags], { cwd: directory, timeout: 15_000 });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

describe.skipIf(!existsSync(fileURLToPath(new URL("../../dist/server/main.js", import.meta.url))))(
  "as a process (needs npm run build)",
  () => {
    it("exits with etcd's codes", async () => {
      expect(await run("--version")).toMatchObject({ code: 0, err: "" });
      expect(await run("--bogus")).toMatchObject({ code: 2, out: "" });
      expect(await run("--max-txn-ops=abc")).toMatchObject({
        code: 2,
        err: "litecd: --max-txn-ops=abc: must be a whole number not less than 0\n",
      });
      expect(await run("--name", "n1", "--initial-cluster", "n2=http://localhost:2380")).toMatchObject({
        code: 1,
        err: expect.stringContaining("couldn't find local name") as string,
      });
      expect(existsSync(join(directory, "n1.etcd", "member"))).toBe(false);
    });

    it("serves, and ends with code 0 on SIGTERM", async () => {
      await using member = await Member.create(litecd);
      await member.start();
      const version = (await (await fetch(`http://${member.endpoint}/version`)).json()) as object;
      expect(version).toMatchObject({ etcdserver: "3.7.0", etcdcluster: "3.7.0" });
      expect(await member.end("SIGTERM")).toBe(0);
    });

    it("says which port is taken and ends with code 1", async () => {
      await using member = await Member.create(litecd);
      await member.start();
      const flags = [
        `--listen-client-urls=http://${member.endpoint}`,
        `--advertise-client-urls=http://${member.endpoint}`,
      ];
      const ended = await run("--data-dir", join(directory, "other"), ...flags);
      expect(ended.code).toBe(1);
      expect(ended.err).toContain(`EADDRINUSE: address already in use ${member.endpoint}`);
    });
  },
);

/** litectl on a real terminal: nothing dangerous reaches it, Ctrl-C leaves it as it was, and errors say what to do. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.js";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";
import { type Bundled, bundledLitectl } from "./bundled.js";
import { onTerminal, type Typing } from "./on-terminal.js";

const run = promisify(execFile);
const dangerous = Buffer.from("\u001b[31mred\u0007\r\u001b]0;title\u0007 \u009b2J\n\ttext");
let bundled: Bundled;
let server: TestServer;

beforeAll(async () => {
  [bundled, server] = await Promise.all([bundledLitectl(), startTestServer()]);
  await using client = createClient({ endpoints: server.endpoint });
  await client.raw.kv.put({ key: Buffer.from("dangerous"), value: dangerous });
  await client.put("large", "x".repeat(1_000_000));
}, 60_000);
afterAll(async () => {
  await server.close();
  await bundled[Symbol.asyncDispose]();
});

const litectl = (args: readonly string[], typings: readonly Typing[] = [], endpoint = server.endpoint) =>
  onTerminal([bundled.litectl, ...args], { env: { ETCDCTL_ENDPOINTS: endpoint }, typings });

describe("a value that could steer a terminal", () => {
  it.each([
    ["simple", ["get", "dangerous"]],
    ["protobuf", ["get", "dangerous", "-w", "protobuf"]],
    ["json", ["get", "dangerous", "-w", "json"]],
    ["fields", ["get", "dangerous", "-w", "fields"]],
  ])("reaches it spelt out as %s", async (_, args) => {
    const { exitCode, output } = await litectl(args);
    expect(exitCode).toBe(0);
    expect(output.length).toBeGreaterThan(20);
    const steering = Array.from(Buffer.from(output, "latin1")).filter((byte) => {
      return byte === 0x7f || (byte < 0x20 && byte !== 0x0a && byte !== 0x09);
    });
    expect(steering).toEqual([]);
  });

  it("reaches a pipe as it is", async () => {
    const args = ["get", "dangerous", "--print-value-only", "--endpoints", server.endpoint];
    const { stdout } = await run(bundled.litectl, args, { encoding: "buffer" });
    expect(stdout).toEqual(Buffer.concat([dangerous, Buffer.from("\n")]));
  });

  it("cannot come in by an error either", async () => {
    const { output } = await litectl(["get", "k", "--\u001b[31mflag"]);
    expect(output).toContain("unknown flag: --\\x1b[31mflag");
    expect(output).not.toContain("\u001b");
  });
});

describe("Ctrl-C", () => {
  it.each<[string, readonly string[], readonly Typing[], number]>([
    ["a watch", ["watch", "w", "--progress-notify", "--debug"], [["ETCDCTL_WRITE_OUT", "\u0003"]], 130],
    ["a password's prompt", ["user", "add", "bob"], [["Password of bob: ", "\u0003"]], 130],
    ["a question", ["del", "", "--prefix"], [["Delete all keys?", "\u0003"]], 130],
  ])("ends %s at once and leaves the terminal as it was", async (_, args, typings, exitCode) => {
    expect(await litectl(args, typings)).toMatchObject({ exitCode, isSane: true });
  });

  it("ends a call to a server that is not there", async () => {
    const args = ["lease", "list", "--debug"];
    const typings: Typing[] = [["ETCDCTL_WRITE_OUT", "\u0003"]];
    expect(await litectl(args, typings, "127.0.0.1:1")).toMatchObject({ exitCode: 130, isSane: true });
  });
});

describe("an error on a terminal", () => {
  it("names the endpoint, the cause and the flag if nobody answers", async () => {
    const { exitCode, output } = await litectl(["get", "k", "--command-timeout=3s"], [], "127.0.0.1:1");
    expect(exitCode).toBe(1);
    expect(output).toMatch(/^Error: context deadline exceeded\n {2}.*127\.0\.0\.1:1.*\n {2}--endpoints/);
    expect(output).toContain("ECONNREFUSED");
  });

  it.each([
    [["get"], "  'litectl help get' shows what the command takes.\n"],
    [["mem", "rem"], "  'litectl help member remove' shows what the command takes.\n"],
    [["get", "k", "-w", "yaml"], "  --write-out is one of simple, fields, json, protobuf and table.\n"],
    [["get", "k", "--rev", "999"], "  That revision is not reached yet: "],
    [["lease", "revoke", "1234"], "  It has expired or was revoked: 'litectl lease list' shows the living ones.\n"],
    [["gett"], "Did you mean this?\n\tget\n"],
  ])("of %j says what to try", async (args, advice) => {
    const { output } = await litectl(args);
    expect(output).toMatch(/^Error: /);
    expect(output).toContain(advice);
  });
});

describe("a terminal that calls itself dumb", () => {
  it("is told etcdctl's words and no more", async () => {
    const { exitCode, output } = await onTerminal([bundled.litectl, "get"], { env: { TERM: "dumb" } });
    const text = "get command needs one argument as key and an optional argument as range_end";
    expect({ exitCode, output }).toEqual({ exitCode: 128, output: `Error: ${text}\n` });
  });
});

describe("a reader that goes away", () => {
  it("ends the command without a word", async () => {
    const child = spawn(bundled.litectl, ["get", "large", "--endpoints", server.endpoint], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stderr: Buffer[] = [];
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdout.once("data", () => child.stdout.destroy());
    const [exitCode] = (await once(child, "close")) as [number];
    expect([exitCode, Buffer.concat(stderr).toString()]).toEqual([141, ""]);
  });
});

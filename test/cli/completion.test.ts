/** What `__complete` offers at the cursor, and what `completion SHELL` prints. */
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type CommandClass,
  commandTree,
  type Group,
  type HelpNode,
  type Leaf,
  type Root,
} from "../../src/cli/command-tree.js";
import { argumentKind, argumentNames, valueKind } from "../../src/cli/completion/kinds.js";
import { createClient, type EtcdClient } from "../../src/client/index.js";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";
import { litectl } from "./captured.js";

/** No cluster: what is offered stands in the commands themselves. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const { stdout, stderr, exitCode } = await litectl(["__complete", ...words], { LITECTL_COMPLETION_TIMEOUT: "0" });
  expect([exitCode, stderr]).toEqual([0, ""]);
  return stdout.trimEnd().split("\n");
}
const wordsOf = (lines: readonly string[]): string[] => lines.map((line) => line.split("\t")[0] ?? "");

describe("a command line", () => {
  it("begins with a command, which is offered with what it does", async () => {
    const lines = await offered("");
    expect(wordsOf(lines)).toEqual([...Object.keys(commandTree.children), ":4"]);
    expect(lines).toContain("get\tGets the key or a range of keys");
    expect(lines.filter((line) => !line.startsWith(":") && !/^\S+\t\S/.test(line))).toEqual([]);
  });

  it.each([
    [["mem"], ["member", ":4"]],
    [
      ["member", ""],
      ["add", "list", "promote", "remove", "update", ":4"],
    ],
    [
      ["mem", "p"],
      ["promote", ":4"],
    ],
    [
      ["-w", "json", "--hex", "member", "p"],
      ["promote", ":4"],
    ],
    [
      ["help", "lease", "g"],
      ["grant", ":4"],
    ],
    [["lease", "nosuch", ""], [":4"]],
    [["nosuch", ""], [":4"]],
    [
      ["del", "--pre"],
      ["--prefix", "--prev-kv", ":4"],
    ],
    [
      ["endpoint", "status", "--clu"],
      ["--cluster", ":4"],
    ],
    [
      ["get", "--command-t"],
      ["--command-timeout", ":4"],
    ],
    [
      ["get", "--consistency", ""],
      ["l", "s", ":4"],
    ],
    [
      ["get", "--consistency="],
      ["--consistency=l", "--consistency=s", ":4"],
    ],
    [
      ["get", "--hex="],
      ["--hex=true", "--hex=false", ":4"],
    ],
    [
      ["get", "-w", "js"],
      ["json", ":4"],
    ],
    [
      ["--write-out", "p"],
      ["protobuf", ":4"],
    ],
    [
      ["get", "--sort-by", "V"],
      ["VALUE", "VERSION", ":4"],
    ],
    [
      ["completion", ""],
      ["bash", "zsh", "fish", "powershell", ":4"],
    ],
    [
      ["role", "grant-permission", "r", "r"],
      ["read", "readwrite", ":4"],
    ],
    [["snapshot", "save", ""], [":0"]],
    [["--cacert", ""], [":0"]],
    [["watch", "k", "--", ""], [":0"]],
    [["role", "add", ""], [":4"]],
  ])("%j goes on with %j", async (words, expected) => {
    expect(wordsOf(await offered(...words))).toEqual(expected);
  });

  it("is completed without remarks for shells that show none", async () => {
    const { stdout } = await litectl(["__completeNoDesc", "memb"]);
    expect(stdout).toBe("member\n:4\n");
  });
});

describe("the cluster", () => {
  let server: TestServer;
  let client: EtcdClient;
  beforeAll(async () => {
    server = await startTestServer();
    client = createClient({ endpoints: server.endpoint });
    for (const key of ["/app/db/host", "/app/db/port", "/app/name", "with space", "tab\tkey", "\u001b[31m"]) {
      await client.put(key, "v");
    }
    await client.put(Uint8Array.of(0xff, 0x61), "no text");
    await client.raw.auth.userAdd({ name: "alice", password: "secret" });
    await client.raw.auth.roleAdd({ name: "reader" });
  });
  afterAll(async () => {
    await client.close();
    await server.close();
  });

  const ask = async (words: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const all = { ETCDCTL_ENDPOINTS: server.endpoint, LITECTL_COMPLETION_TIMEOUT: "1h", ...env };
    const { exitCode, stdout, stderr } = await litectl(["__complete", ...words], all);
    expect([exitCode, stderr]).toEqual([0, ""]);
    return stdout.trimEnd().split("\n");
  };

  it.each([
    [
      ["get", "/app/d"],
      ["/app/db/host", "/app/db/port", ":36"],
    ],
    [
      ["get", "--prefix", "--rev", "3", "/app/n"],
      ["/app/name", ":36"],
    ],
    [
      ["get", "/app/", "/app/n"],
      ["/app/name", ":36"],
    ],
    [
      ["watch", "w"],
      ["with space", ":36"],
    ],
    [["get", "nosuch"], [":36"]],
    [
      ["user", "get", ""],
      ["alice", ":36"],
    ],
    [
      ["user", "grant-role", "alice", ""],
      ["reader", ":36"],
    ],
    [
      ["role", "delete", "r"],
      ["reader", ":36"],
    ],
  ])("completes %j to %j", async (words, expected) => {
    expect(wordsOf(await ask(words))).toEqual(expected);
  });

  it("is not told keys that no command line can hold", async () => {
    const words = wordsOf(await ask(["get", ""]));
    expect(words).toEqual(["/app/db/host", "/app/db/port", "/app/name", "with space", ":36"]);
  });

  it("knows its members by id, name and address, and its leases", async () => {
    const { members } = await client.raw.cluster.memberList({});
    const id = members[0]?.ID.toString(16);
    expect(await ask(["member", "remove", ""])).toEqual([expect.stringMatching(`^${id}\t.*http://`), ":36"]);
    expect(wordsOf(await ask(["move-leader", ""]))).toEqual([id, ":36"]);
    const { ID } = await client.raw.lease.leaseGrant({ TTL: 600n });
    const lease = ID.toString(16).padStart(16, "0");
    expect(await ask(["lease", "revoke", ""])).toEqual([lease, ":36"]);
    expect(await ask(["put", "k", "v", "--lease="])).toEqual([`--lease=${lease}`, ":36"]);
  });

  it("takes the endpoint from the line rather than from the environment, and minds no variable of the wrong kind", async () => {
    const words = ["get", "--endpoints", server.endpoint, "/app/n"];
    const env = { ETCDCTL_ENDPOINTS: "127.0.0.1:1", ETCDCTL_NOSUCH: "x", ETCDCTL_HEX: "maybe" };
    expect(await ask(words, env)).toEqual(["/app/name", ":36"]);
  });

  it("is not asked when a password would have to be typed, and answers a wrong one with nothing", async () => {
    expect(await ask(["get", "/app/n"], { ETCDCTL_USER: "alice" })).toEqual([":36"]);
    expect(await ask(["get", "--command-timeout", "abc", "/app/n"])).toEqual([":4"]);
  });
});

describe("a server that says nothing", () => {
  let silent: Server;
  let port: number;
  beforeAll(async () => {
    silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    port = (silent.address() as { port: number }).port;
  });
  afterAll(() => void silent.close());

  it.each(["20ms", "0"])("is waited for %s and no longer", async (limit) => {
    // The limit counts from the start of the process, which is long ago here.
    const elapsed = limit === "0" ? limit : `${Math.ceil(performance.now()) + 20}ms`;
    const { exitCode, stdout, stderr } = await litectl(["__complete", "get", "a"], {
      ETCDCTL_ENDPOINTS: `127.0.0.1:${port}`,
      LITECTL_COMPLETION_TIMEOUT: elapsed,
    });
    expect({ exitCode, stdout, stderr }).toMatchObject({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/^:(?:4|36)\n$/);
  });
});

/** Every command with its class, at any depth. */
async function commands(
  node: Root | Group | Leaf | HelpNode,
  path: readonly string[] = [],
): Promise<[path: readonly string[], CommandClass][]> {
  if (node.kind === "help") return [];
  if (node.kind === "command") return [[path, (await node.load()).default]];
  const below = Object.entries(node.children).map(([name, child]) => commands(child, [...path, name]));
  return (await Promise.all(below)).flat();
}

/** Names of arguments that nothing can be offered for: they are new, or free, or belong to another program. */
const free = new Set([
  "TARGET_VERSION",
  "arguments...",
  "destination",
  "election-name",
  "lockname",
  "memberName",
  "proposal",
  "revision",
  "ttl",
  "user name or user:password",
  "value",
]);

describe("the usage of every command", () => {
  it("names its arguments with words that completion knows", async () => {
    const all = await commands(commandTree);
    expect(all.length).toBeGreaterThan(45);
    const unknown = all.flatMap(([path, { usage }]) =>
      argumentNames([usage ?? ""].flat().join("\n")).filter((name, index) => {
        const isMaker = path.at(-1) === "add";
        return (
          !isMaker && !free.has(name) && argumentKind(path, [usage ?? ""].flat().join("\n"), index).kind === "nothing"
        );
      }),
    );
    expect(unknown).toEqual([]);
  });

  it("has flags whose values are files where they are named so", () => {
    expect(valueKind("cert", false)).toEqual({ kind: "files" });
    expect(valueKind("dest-cacert", false)).toEqual({ kind: "files" });
    expect(valueKind("data-dir", false)).toEqual({ kind: "directories" });
    expect(valueKind("rev", false)).toEqual({ kind: "nothing" });
  });
});

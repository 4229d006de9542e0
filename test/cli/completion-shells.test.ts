/** The scripts of `completion SHELL` in the shells that they are for, as far as those are installed; bash has to be. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.js";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";
import { type Bundled, bundledLitectl } from "./bundled.js";
import { litectl } from "./captured.js";
import { isInstalled } from "./programs.js";

const run = promisify(execFile);
let bundled: Bundled;
let server: TestServer;

beforeAll(async () => {
  [bundled, server] = await Promise.all([bundledLitectl(), startTestServer()]);
  await using client = createClient({ endpoints: server.endpoint });
  for (const key of ["/app/db", "/app/name", "a:b:c", "a:b:d", "it's $HOME"]) await client.put(key, "v");
}, 60_000);
afterAll(async () => {
  await server.close();
  await bundled[Symbol.asyncDispose]();
});

/** Runs a shell's script with litectl in its PATH and resolves with the lines that it prints. */
async function lines(shell: string, args: readonly string[]): Promise<string[]> {
  const env = {
    PATH: `${bundled.directory}:${process.env["PATH"]}`,
    HOME: bundled.directory,
    LC_ALL: "C.UTF-8",
    TERM: "dumb",
    ETCDCTL_ENDPOINTS: server.endpoint,
    LITECTL_COMPLETION_TIMEOUT: "60s",
  };
  const { stdout, stderr } = await run(shell, [...args], { env, timeout: 60_000 });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

/** The words as readline splits them: at blanks, and at = and : which are words of their own. */
function completeInBash(line: string, words: readonly string[]): Promise<string[]> {
  const script = `
    source <(litectl completion bash)
    COMP_LINE=$1 COMP_POINT=\${#1}; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    __litectl_complete
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return lines("bash", ["--norc", "--noprofile", "-c", script, "bash", line, ...words]);
}

describe("bash", () => {
  it.each([
    ["litectl mem", ["litectl", "mem"], ["member"]],
    ["litectl member ", ["litectl", "member", ""], ["add", "list", "promote", "remove", "update"]],
    ["litectl get --write-out=j", ["litectl", "get", "--write-out", "=", "j"], ["json"]],
    [
      "litectl get --write-out=",
      ["litectl", "get", "--write-out", "="],
      ["simple", "fields", "json", "protobuf", "table"],
    ],
    ["litectl get /app/", ["litectl", "get", "/app/"], ["/app/db", "/app/name"]],
    ["litectl get a:b", ["litectl", "get", "a", ":", "b"], ["b:c", "b:d"]],
    ["litectl get a:b:", ["litectl", "get", "a", ":", "b", ":"], ["c", "d"]],
    ['litectl get "a:', ["litectl", "get", '"a:'], ["a:b:c", "a:b:d"]],
    ["litectl get it", ["litectl", "get", "it"], ["it\\'s\\ \\$HOME"]],
    ["litectl get it\\'s\\ ", ["litectl", "get", "it\\'s\\ "], ["it\\'s\\ \\$HOME"]],
    ["litectl nosuch ", ["litectl", "nosuch", ""], []],
  ])("completes %j", async (line, words, expected) => {
    expect(await completeInBash(line, words)).toEqual(expected);
  });

  it("completes etcdutl, which stands for litectl utl", async () => {
    const script = `
      source <(litectl utl completion bash)
      COMP_LINE="etcdutl snapshot st" COMP_POINT=19 COMP_WORDS=(etcdutl snapshot st) COMP_CWORD=2
      __etcdutl_complete
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(await lines("bash", ["--norc", "--noprofile", "-c", script])).toEqual(["status"]);
  });

  it("evaluates nothing that stands on the line", async () => {
    const line = 'litectl get "$(echo surprise >&2)" `echo surprise >&2` ';
    expect(await completeInBash(line, ["litectl", "get", '"$(echo surprise >&2)"', "`echo surprise >&2`", ""])).toEqual(
      [],
    );
  });

  it("is told how to complete litectl, and an alias of it", async () => {
    const script = "shopt -s expand_aliases\nalias etcdctl=litectl\nsource <(litectl completion bash)\ncomplete -p";
    expect(await lines("bash", ["--norc", "--noprofile", "-c", script])).toEqual([
      "complete -o default -F __litectl_complete etcdctl",
      "complete -o default -F __litectl_complete litectl",
    ]);
  });
});

describe.skipIf(!isInstalled("zsh"))("zsh", () => {
  it.each([
    [
      ["litectl", "member", "p"],
      "litectl member p",
      ["promote  -- Promotes a non-voting member in the cluster", "promote"],
    ],
    [["litectl", "get", "/app/"], "litectl get /app/", ["/app/db", "/app/name", "/app/db", "/app/name"]],
    [["litectl", "get", "it\\'s"], "litectl get it\\'s", ["it's $HOME", "it's $HOME"]],
  ])("completes %j", async (words, _, expected) => {
    // What zle would set, and a compadd that shows what it was given.
    const script = `
      compdef() { :; }; _files() { print files; }
      compadd() { print -rl -- "\${shown[@]}" "\${candidates[@]}"; }
      source <(litectl completion zsh)
      words=("$@"); CURRENT=$#; PREFIX=$words[-1]
      _litectl`;
    const [shown, ...rest] = await lines("zsh", ["-f", "-c", script, "zsh", ...words]);
    expect([shown?.replace(/ {2}-- .*/, ""), ...rest]).toEqual(expected.map((line) => line.replace(/ {2}-- .*/, "")));
  });

  it("offers files where files are wanted", async () => {
    const script = `
      compdef() { print -- "$@"; }; _files() { print files "$@"; }
      source <(litectl completion zsh)
      words=(litectl snapshot save ""); CURRENT=4; PREFIX=""
      _litectl`;
    expect(await lines("zsh", ["-f", "-c", script])).toEqual(["_litectl litectl", "files"]);
  });
});

describe.skipIf(!isInstalled("fish"))("fish", () => {
  it.each([
    ["litectl member p", [expect.stringMatching(/^promote\t\S/)]],
    ["litectl get /app/", ["/app/db", "/app/name"]],
    ["litectl get --write-out=j", ["--write-out=json"]],
    ["litectl get it\\'s", ["it's $HOME"]],
    ["litectl snapshot save litec", ["litectl"]],
  ])("completes %j", async (line, expected) => {
    const script = `cd $HOME; litectl completion fish | source; complete -C $argv[1]`;
    expect(await lines("fish", ["--no-config", "-c", script, line])).toEqual(expected);
  });
});

describe("PowerShell", () => {
  it("is given a script whose brackets close, which calls the helper with the words", async () => {
    const { stdout } = await litectl(["completion", "powershell"]);
    expect(stdout).toMatch(/^Register-ArgumentCompleter -Native -CommandName 'litectl' -ScriptBlock \{$/m);
    expect(stdout).toContain("litectl __complete @typed 2>$null");
    expect(unclosed(stdout)).toBe("");
  });
});

/** What is open at the end of a script, leaving out comments and quoted text. */
function unclosed(script: string): string {
  const code = script.replace(/^\s*#.*$/gm, "").replace(/"(?:`.|[^"`])*"|'[^']*'/g, "");
  let open = "";
  for (const bracket of code.match(/[(){}[\]]/g) ?? []) {
    const pair = { ")": "(", "}": "{", "]": "[" }[bracket];
    if (pair === undefined) open += bracket;
    else if (open.endsWith(pair)) open = open.slice(0, -1);
    else return open + bracket;
  }
  return open;
}

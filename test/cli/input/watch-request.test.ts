/** What to watch: arguments, environment, interactive lines. */
import { describe, expect, it } from "vitest";
import { parseCommandLine, valuesOf } from "../../../src/cli/input/command-line.js";
import { parseWatchLine, watchEnvironment, watchFlags, watchOrder } from "../../../src/cli/input/watch-request.js";
import { readable } from "../readable.js";

const noEnvironment = { key: "", rangeEnd: "" };

function order(words: readonly string[], env = noEnvironment) {
  const line = parseCommandLine(words, watchFlags);
  const { request, command } = watchOrder(line, valuesOf(watchFlags, line.given), env);
  return { key: text(request.key), end: text(request.rangeEnd), revision: request.startRevision, command };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

describe("a watch", () => {
  it.each([
    [["k"], { key: "k", end: "" }],
    [["a", "c"], { key: "a", end: "c" }],
    [["k", "--prefix"], { key: "k", end: "l" }],
    [["", "--prefix"], { key: "\0", end: "\0" }],
    [["k", "--rev", "7"], { revision: 7n }],
    [["k", "--", "sh", "-c", "echo"], { key: "k", command: ["sh", "-c", "echo"] }],
    [["a", "b", "--", "env"], { key: "a", end: "b", command: ["env"] }],
  ])("of %j is understood", (words, expected) => {
    expect(order(words)).toMatchObject(expected);
  });

  it("of three keys watches the first alone, as the real tool does", () => {
    expect(order(["a", "b", "c"])).toMatchObject({ key: "a", end: "" });
  });

  it("takes its keys from the environment", () => {
    expect(order([], { key: "k", rangeEnd: "" })).toMatchObject({ key: "k", end: "" });
    expect(order(["--", "env"], { key: "k", rangeEnd: "m" })).toMatchObject({ key: "k", end: "m", command: ["env"] });
  });

  it.each([
    [[], noEnvironment, "bad number of arguments"],
    [["--", "x"], noEnvironment, "bad number of arguments"],
    [["k", "--"], noEnvironment, "bad number of arguments (found separator --, but no commands)"],
    [["k"], { key: "e", rangeEnd: "" }, "bad number of arguments (found conflicting environment key)"],
    [["a", "b", "--prefix"], noEnvironment, "`range_end` and `--prefix` are mutually exclusive"],
  ])("of %j in %j is refused", (words, env, message) => {
    expect(() => order(words, env)).toThrow(expect.objectContaining({ message, exitCode: 128 }));
  });

  it("needs the key variable for the end variable", () => {
    expect(watchEnvironment({ ETCDCTL_WATCH_KEY: "k", ETCDCTL_WATCH_RANGE_END: "m" })).toEqual({
      key: "k",
      rangeEnd: "m",
    });
    expect(() => watchEnvironment({ ETCDCTL_WATCH_RANGE_END: "x" })).toThrow(
      'ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="x"',
    );
  });
});

describe("an interactive line", () => {
  it("starts a watch with its own flags and command", () => {
    expect(readable(parseWatchLine('watch --rev 3 "a b" --prev-kv -- echo hi', noEnvironment))).toMatchObject({
      kind: "watch",
      order: { request: { key: "a b", startRevision: 3n, prevKv: true }, command: ["echo", "hi"] },
    });
  });

  it("may ask for progress", () => {
    expect(parseWatchLine(" progress ", noEnvironment)).toEqual({ kind: "progress" });
  });

  it.each([
    ["", "Invalid command:  (watch and progress supported)"],
    ["nonsense foo", "Invalid command nonsense foo (only support watch)"],
    ["watch -- echo", "Invalid command watch -- echo (bad number of arguments)"],
    ["watch", "Invalid command watch (command type or key is not provided)"],
    ["watch a b --prefix", "Invalid command watch a b --prefix (`range_end` and `--prefix` are mutually exclusive)"],
  ])("%j is wrong but harmless", (line, message) => {
    expect(parseWatchLine(line, noEnvironment)).toEqual({ kind: "wrong", message });
  });

  it.each([
    ["watch k --", noEnvironment, "bad number of arguments (found separator --, but no commands)"],
    ["watch --rev=2", noEnvironment, "bad number of arguments"],
    ["watch k --nosuch", noEnvironment, "unknown flag: --nosuch"],
    ["watch k", { key: "e", rangeEnd: "" }, "bad number of arguments (found conflicting environment key)"],
  ])("%j ends the command", (line, env, message) => {
    expect(() => parseWatchLine(line, env)).toThrow(expect.objectContaining({ message, exitCode: 128 }));
  });

  it("needs no key when the environment has one", () => {
    expect(parseWatchLine("watch", { key: "e", rangeEnd: "" })).toMatchObject({ kind: "watch" });
  });
});

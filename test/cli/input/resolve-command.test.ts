/** Which command a line means. */
import { describe, expect, it } from "vitest";
import { commandTree, type Group, type HelpNode, type Leaf, type Root } from "../../../src/cli/command-tree.js";
import { resolveCommand, suggestions } from "../../../src/cli/input/resolve-command.js";

function resolved(...argv: string[]) {
  const { path, words } = resolveCommand<Root | Group | Leaf | HelpNode>(commandTree, argv);
  return { path: path.join(" "), words };
}

describe("a command name", () => {
  it.each([
    [["get", "k"], "get", ["k"]],
    [["lease", "grant", "60"], "lease grant", ["60"]],
    [["pu", "k", "v"], "put", ["k", "v"]],
    [["mem", "li"], "member list", []],
    [["end", "hea"], "endpoint health", []],
    [["user", "get", "get"], "user get", ["get"]],
    [["lease", "nosuch"], "lease", ["nosuch"]],
    [["lease"], "lease", []],
    [[], "", []],
    [["-w", "json", "get", "k"], "get", ["-w", "json", "k"]],
    [["--hex", "get", "k"], "get", ["--hex", "k"]],
    [["--write-out=json", "get", "k"], "get", ["--write-out=json", "k"]],
    [["endpoint", "--cluster", "status"], "endpoint status", ["--cluster"]],
    [["--", "get"], "", ["--", "get"]],
  ])("is found in %j", (argv, path, words) => {
    expect(resolved(...argv)).toEqual({ path, words });
  });

  it("may be the value of a flag without being meant", () => {
    expect(resolved("--user", "get", "put", "k")).toEqual({ path: "put", words: ["--user", "get", "k"] });
  });

  it("is not found behind an unknown flag, which is taken to have a value", () => {
    expect(() => resolved("--nosuch", "get", "foo")).toThrow('unknown command "foo" for "etcdctl"');
  });
});

describe("an unknown command", () => {
  it("draws names that are near", () => {
    expect(() => resolved("gett", "foo")).toThrow(
      'unknown command "gett" for "etcdctl"\n\nDid you mean this?\n\tget\n',
    );
  });

  it("that is an ambiguous prefix draws all it could be", () => {
    expect(suggestions("l", Object.keys(commandTree.children))).toEqual(["del", "lease", "lock"]);
  });

  it("draws nothing when nothing is near", () => {
    expect(() => resolved("nosuch")).toThrow(/^unknown command "nosuch" for "etcdctl"$/);
  });
});

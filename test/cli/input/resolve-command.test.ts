/** Which command a line means. */
import { describe, expect, it } from "vitest";
import { commandTree, type Group, type HelpNode, type Leaf, type Root } from "../../../src/cli/command-tree.js";
import { resolveCommand } from "../../../src/cli/input/resolve-command.js";

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
    expect(() => resolved("l")).toThrow("\n\nDid you mean this?\n\tdel\n\tlease\n\tlock\n");
  });

  it("never draws the name of another program's tree, which no prefix stands for either", () => {
    expect(() => resolved("utll")).toThrow(/^unknown command "utll" for "etcdctl"$/);
    expect(resolved("u").path).toBe("user");
    expect(resolved("utl", "version").path).toBe("utl version");
  });

  it("draws nothing when nothing is near", () => {
    expect(() => resolved("nosuch")).toThrow(/^unknown command "nosuch" for "etcdctl"$/);
  });
});

/** Command lines that end before a server is asked: usage errors, help, versions, formats, connection settings. */
import { describe, expect, it } from "vitest";
import { litectl } from "./captured.js";

describe("a usage error", () => {
  it("is told once on stderr with the usage after it, and exits with 1", async () => {
    const { exitCode, stdout, stderr } = await litectl(["get", "foo", "--nosuch"]);
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr.split("\n").slice(0, 2)).toEqual(["Error: unknown flag: --nosuch", "Usage:"]);
  });

  it("of an unknown command points to the help", async () => {
    await expect(litectl(["gett"])).resolves.toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        'Error: unknown command "gett" for "etcdctl"\n\nDid you mean this?\n\tget\n\n' +
        "Run 'etcdctl --help' for usage.\n",
    });
  });

  it("of a group's flag is one too", async () => {
    const { exitCode, stderr } = await litectl(["lease", "--nosuch"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^Error: unknown flag: --nosuch\nUsage:\n/);
  });
});

describe("help", () => {
  it.each([[[]], [["help"]], [["--help"]], [["help", "nosuch"]]])("%j lists all commands", async (argv) => {
    const { exitCode, stdout, stderr } = await litectl(argv);
    expect([exitCode, stderr]).toEqual([0, ""]);
    for (const name of ["get", "txn", "lease", "member", "move-leader", "elect", "role", "version"]) {
      expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
    }
  });

  it.each([
    [["lease"], "keep-alive"],
    [["lease", "nosuch"], "keep-alive"],
    [["help", "lease"], "keep-alive"],
    [["get", "--help"], "--print-value-only"],
    [["get", "-h"], "--print-value-only"],
    [["help", "get"], "--print-value-only"],
    [["endpoint", "status", "--help"], "--cluster"],
  ])("%j says what there is to know", async (argv, word) => {
    const { exitCode, stdout } = await litectl(argv);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(word);
  });

  it("says that a topic is unknown", async () => {
    const { stdout } = await litectl(["help", "nosuch"]);
    expect(stdout.split("\n")[0]).toBe("Unknown help topic [`nosuch`]");
  });
});

describe("version", () => {
  it("names etcdctl's level, our own version behind it, and the API", async () => {
    const { exitCode, stdout } = await litectl(["version", "ignored"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^etcdctl version: 3\.7\.0\+litectl\.\d+\.\d+\.\d+\nAPI version: 3\.7\n$/);
  });

  it("is no flag", async () => {
    await expect(litectl(["--version"])).resolves.toMatchObject({ exitCode: 1 });
  });
});

describe("arguments", () => {
  it.each([
    [["get"], 128, "get command needs one argument as key and an optional argument as range_end"],
    [["compaction"], 128, "compaction command needs 1 argument"],
    [["compaction", "abc"], 1, 'strconv.ParseInt: parsing "abc": invalid syntax'],
    [["lease", "grant"], 128, "lease grant command needs TTL argument"],
    [["lease", "grant", "x"], 128, 'bad TTL (strconv.ParseInt: parsing "x": invalid syntax)'],
    [["lease", "revoke"], 128, "lease revoke command needs 1 argument"],
    [["lease", "timetolive"], 128, "lease timetolive command needs lease ID as argument"],
    [["lease", "keep-alive"], 128, "lease keep-alive command needs lease ID as argument"],
    [["txn", "x"], 128, "txn command does not accept argument"],
    [["alarm", "list", "x"], 128, "alarm list command accepts no arguments"],
    [["alarm", "disarm", "x"], 128, "alarm disarm command accepts no arguments"],
    [["snapshot", "save"], 128, "snapshot save expects one argument <filename>"],
    [["move-leader"], 128, "move-leader command needs 1 argument"],
    [["member", "add"], 128, "member name not provided"],
    [["member", "add", "m2", "HTTP://a:1"], 128, "too many arguments, did you mean --peer-urls=HTTP://a:1"],
    [["member", "list", "--consistency=x"], 4, 'unknown consistency flag "l"'],
    [["lock"], 128, "lock takes a lock name argument and an optional command to execute"],
    [["elect"], 128, "elect takes one election name argument and an optional proposal argument"],
    [["elect", "e"], 128, "no proposal argument but -l not set"],
    [["elect", "e", "p", "-l"], 128, "proposal given but -l is set"],
    [["auth", "enable", "x"], 128, "auth enable command does not accept any arguments"],
    [["user", "add"], 128, "user add command requires user name as its argument"],
    [["user", "add", ":pw"], 128, "empty user name is not allowed"],
    [["user", "grant-role", "u"], 128, "user grant command requires user name and role name as its argument"],
    [["role", "list", "x"], 128, "role list command requires no arguments"],
    [["role", "grant-permission", "r", "admin", "k"], 128, "invalid permission type: admin"],
    [["downgrade", "enable"], 128, "TARGET_VERSION not provided"],
  ])("%j are checked before anything is connected", async (argv, exitCode, message) => {
    await expect(litectl(argv)).resolves.toEqual({ exitCode, stdout: "", stderr: `Error: ${message}\n` });
  });
});

describe("the output format", () => {
  it.each([
    [["get", "k", "-w", "yaml"], "unsupported output format"],
    [["put", "k", "v", "-w", "table"], "table not supported as output format"],
    [["endpoint", "status", "-w", "protobuf"], "protobuf not supported as output format"],
    [["member", "remove", "1", "-w", "fields"], "fields not supported as output format"],
  ])("of %j is refused before a request is sent", async (argv, message) => {
    await expect(litectl(argv)).resolves.toEqual({ exitCode: 4, stdout: "", stderr: `Error: ${message}\n` });
  });

  it.each([
    [["get", "k", "--count-only"], "--count-only is only for `--write-out=fields`"],
    [["get", "k", "--print-value-only", "-w", "json"], "print-value-only is only for `--write-out=simple`"],
  ])("does not fit the flags of %j", async (argv, message) => {
    await expect(litectl(argv)).resolves.toEqual({ exitCode: 128, stdout: "", stderr: `Error: ${message}\n` });
  });
});

describe("the environment", () => {
  it("ends the command when a flag says the same", async () => {
    const { exitCode, stdout, stderr } = await litectl(["get", "k", "-w", "json"], { ETCDCTL_WRITE_OUT: "json" });
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(JSON.parse(stderr)).toMatchObject({ level: "fatal", "environment-variable": "ETCDCTL_WRITE_OUT" });
  });

  it("is not looked at by commands that fail on their arguments", async () => {
    const env = { ETCDCTL_WRITE_OUT: "nosuch", ETCDCTL_NOSUCH: "x" };
    await expect(litectl(["get"], env)).resolves.toMatchObject({
      exitCode: 128,
      stderr: expect.stringMatching(/^Error: get command/),
    });
  });

  it("draws a warning that keeps the value of a mistyped variable to itself", async () => {
    const { stderr } = await litectl(["get", "k", "-w", "table"], { ETCDCTL_PASSWRD: "secret" });
    expect(stderr).not.toContain("secret");
    expect(JSON.parse(stderr.split("\n")[0] ?? "")).toMatchObject({
      level: "warn",
      msg: "unrecognized environment variable",
      "environment-variable": "ETCDCTL_PASSWRD",
    });
  });
});

describe("the connection", () => {
  it.each([
    [["--cert="], "empty string is passed to --cert option"],
    [["--cacert", ""], "empty string is passed to --cacert option"],
    [["--cert", "/nowhere/a.crt"], "KeyFile and CertFile must both be present[key: , cert: /nowhere/a.crt]"],
    [["--cacert", "/nowhere/ca.crt"], "open /nowhere/ca.crt: no such file or directory"],
  ])("with %j is refused", async (flags, message) => {
    await expect(litectl(["get", "k", ...flags])).resolves.toEqual({
      exitCode: 128,
      stdout: "",
      stderr: `Error: ${message}\n`,
    });
  });

  it("needs an endpoint, except for commands that go through the list", async () => {
    await expect(litectl(["get", "k", "--endpoints="])).resolves.toMatchObject({
      exitCode: 2,
      stderr: "Error: etcdclient: no available endpoints\n",
    });
    await expect(litectl(["endpoint", "health", "--endpoints="])).resolves.toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "",
    });
  });

  it("of a snapshot goes to exactly one endpoint", async () => {
    await expect(litectl(["snapshot", "save", "f", "--endpoints=a:1,b:2"])).resolves.toEqual({
      exitCode: 5,
      stdout: "",
      stderr: "Error: snapshot must be requested to one selected node, not multiple [a:1 b:2]\n",
    });
  });

  it("that is refused is a deadline, and a log line after it tells the cause", async () => {
    const argv = ["get", "k", "--endpoints=127.0.0.1:1", "--command-timeout=100ms"];
    const { exitCode, stdout, stderr } = await litectl(argv);
    const [error, log = ""] = stderr.split("\n");
    expect([exitCode, stdout, error]).toEqual([1, "", "Error: context deadline exceeded"]);
    expect(JSON.parse(log)).toMatchObject({ level: "warn", error: expect.stringContaining("127.0.0.1:1") });
  });

  it("has no time at all when the timeout is zero", async () => {
    const argv = ["get", "k", "--endpoints=127.0.0.1:1", "--command-timeout=0"];
    await expect(litectl(argv)).resolves.toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^Error: context deadline exceeded\n/),
    });
  });
});

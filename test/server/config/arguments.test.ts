/** The command line as etcd reads it. */
import { describe, expect, it } from "vitest";
import { configOf, errorOf, parse, warningsOf } from "./parse.js";

const urls = "--listen-client-urls http://127.0.0.1:1 --advertise-client-urls http://127.0.0.1:1";

describe("a command line", () => {
  it("takes a value after a space or an equals sign, and one dash or two", () => {
    for (const line of ["--name a", "--name=a", "-name a", "-name=a"]) expect(configOf(line).name).toBe("a");
  });

  it("lets the last of several settings win", () => {
    expect(configOf("--max-txn-ops=1 --max-txn-ops=2").maxTxnOps).toBe(2);
  });

  it("takes switches alone or with =, in every spelling that Go knows", () => {
    expect(configOf("--pre-vote").preVote).toBe(true);
    for (const no of ["false", "f", "F", "0", "False", "FALSE"])
      expect(configOf(`--pre-vote=${no}`).preVote).toBe(false);
    expect(errorOf("--pre-vote=maybe")).toBe("2 --pre-vote=maybe: must be true or false");
  });

  it("does not take the next word as the value of a switch", () => {
    expect(errorOf("--pre-vote false")).toBe('1 "false" is not a flag, and nothing else is taken');
  });

  it("refuses a flag that does not exist with exit code 2 and its name", () => {
    expect(errorOf("--bogus")).toMatch(/^2 there is no flag --bogus /);
    expect(errorOf("--bogus=1 --name a")).toMatch(/^2 .*--bogus /);
  });

  it("refuses a flag without its value", () => {
    expect(errorOf("--name")).toBe("2 --name needs a value");
  });

  it.each(["---name=a", "--=a", "-"])("refuses %s", (word) => {
    expect(errorOf(word)).toMatch(word === "-" ? /^1 "-" is not a flag/ : /^2 this is no flag: /);
  });

  it("refuses words that are no flags with exit code 1", () => {
    expect(errorOf("start")).toMatch(/^1 "start" is not a flag/);
    expect(errorOf("--name a -- more")).toMatch(/^1 "more" is not a flag/);
  });

  it.each([
    ["--max-txn-ops=abc", "must be a whole number not less than 0"],
    ["--max-txn-ops=-1", "must be a whole number not less than 0"],
    ["--max-txn-ops=1.5", "must be a whole number not less than 0"],
    ["--max-concurrent-streams=4294967296", "must be a whole number from 0 to 4294967295"],
    ["--quota-backend-bytes=9999999999999999999", "must be a whole number not less than -9007199254740991"],
    ["--grpc-keepalive-min-time=5", 'must be a duration such as "300ms" or "1h30m"'],
    ["--initial-cluster-state=foo", 'must be one of "new", "existing"'],
    ["--metrics=foo", 'must be one of "basic", "extensive"'],
    ["--log-level=foo", 'must be one of "info", "debug", "warn", "error", "panic", "fatal"'],
    [
      "--listen-peer-urls=ftp://127.0.0.1:1",
      'holds "ftp://127.0.0.1:1", whose scheme is none of http, https, unix, unixs',
    ],
    ["--listen-peer-urls=127.0.0.1:1", 'holds "127.0.0.1:1", which is no URL'],
    ["--listen-peer-urls=http://127.0.0.1", 'holds "http://127.0.0.1", which is not scheme://host:port'],
    ["--listen-peer-urls=http://127.0.0.1:1/", 'holds "http://127.0.0.1:1/", which has a path'],
    ["--listen-peer-urls=http://127.0.0.1:99999", 'holds "http://127.0.0.1:99999", which is not scheme://host:port'],
    ["--feature-gates=Nonsense=true", "names a gate that does not exist: Nonsense"],
    ["--feature-gates=LeaseCheckpoint", 'holds "LeaseCheckpoint", which is not Gate=true or Gate=false'],
  ])("refuses %s with exit code 2 and one line", (line, complaint) => {
    expect(errorOf(line)).toBe(`2 ${line}: ${complaint}`);
  });

  it("accepts the flags of a distant past and says nothing", () => {
    expect(warningsOf("--force --snapshot=true -v --peer-election-timeout=1 --name a")).toEqual([]);
    expect(configOf("-v --name a").name).toBe("a");
  });

  it("accepts etcd 3.5's spelling of flags that were experimental", () => {
    expect(configOf("--experimental-watch-progress-notify-interval=1s").watchProgressNotifyIntervalMs).toBe(1000);
    expect(configOf("--experimental-snapshot-catchup-entries 7").snapshotCatchUpEntries).toBe(7);
    for (const line of ["--corrupt-check-time=4h", "--experimental-corrupt-check-time 4h"]) {
      expect([configOf(line).corruptCheckIntervalMs, warningsOf(line)]).toEqual([4 * 3_600_000, []]);
    }
    expect(warningsOf("--experimental-initial-corrupt-check")).toEqual([
      "this feature gate has no effect in this version yet: InitialCorruptCheck",
    ]);
  });

  it("knows a switch that became a feature gate, also together with the gates", () => {
    const line = "--feature-gates=LeaseCheckpointPersist=true --experimental-enable-lease-checkpoint=true";
    expect(parse(line).kind).toBe("config");
    expect(errorOf("--experimental-enable-lease-checkpoint-persist")).toBe(
      "1 --feature-gates: LeaseCheckpointPersist needs LeaseCheckpoint",
    );
  });

  it("refuses one flag under two spellings", () => {
    expect(errorOf("--max-learners=1 --experimental-max-learners=2")).toBe(
      "1 --max-learners and --experimental-max-learners are the same flag; set one of them",
    );
  });

  it("says of each flag without effect that it has none, once", () => {
    expect(warningsOf("--max-wals=3 --wal-dir=w --max-wals=4")).toEqual([
      "this flag has no meaning here and is ignored: --max-wals",
      "this flag has no effect in this version yet: --wal-dir",
    ]);
    expect(warningsOf("--feature-gates=LeaseCheckpoint=true,CompactHashCheck=true")).toEqual([
      "this feature gate has no effect in this version yet: CompactHashCheck",
    ]);
    expect(warningsOf(`--name a --logger zap --log-level debug ${urls}`)).toEqual([]);
  });
});

describe("values that are rarely meant", () => {
  it("are obeyed with a warning above the recommended maximum, and without one at it", () => {
    const line = "--quota-backend-bytes=8589934593 --max-request-bytes=10485761";
    expect(warningsOf(line)).toEqual([
      "this flag is above the recommended maximum: --quota-backend-bytes 8589934593 8589934592",
      "this flag is above the recommended maximum: --max-request-bytes 10485761 10485760",
    ]);
    expect(warningsOf("--quota-backend-bytes=8589934592 --max-request-bytes=10485760")).toEqual([]);
  });
});

describe("help and version", () => {
  it("prints etcd's version line first", () => {
    const parsed = parse("--version");
    expect(parsed.kind === "version" && parsed.text.split("\n")[0]).toBe("etcd Version: 3.7.0");
    expect(parsed.kind === "version" && parsed.text).toMatch(/\nlitecd Version: \d+\.\d+\.\d+\n/);
  });

  it.each(["--help", "-h", "-help", "--name a --help"])("prints the help for %s", (line) => {
    expect(parse(line).kind).toBe("help");
  });

  it("describes every flag in lines that fit a terminal", () => {
    const parsed = parse("--help");
    const help = parsed.kind === "help" ? parsed.text : "";
    expect(help).toContain("  --max-txn-ops <number>\n    Most operations in a transaction. Default: 128\n");
    expect(help.match(/^ {2}--/gm)?.length).toBeGreaterThan(110);
    expect(help.split("\n").filter((line) => line.length > 100)).toEqual([]);
  });
});

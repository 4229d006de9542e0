/** etcdutl's commands on files: what they say of good ones, and how they refuse the others. Needs `dist`. */
import { existsSync, readdirSync } from "node:fs";
import { copyFile, mkdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { realEtcdMissing, startRealEtcd } from "../../support/real-etcd.js";
import { litectl } from "../captured.js";
import { ask, FilledMember, run } from "./worlds.js";

let source: FilledMember;
beforeAll(async () => {
  source = await FilledMember.start();
}, 30_000);
afterAll(() => source[Symbol.asyncDispose]());

/** A copy of the snapshot, changed. */
async function altered(name: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const path = source.path(name);
  await writeFile(path, change(await readFile(source.snapshot)));
  return path;
}

const utl = (...argv: string[]) => litectl(["utl", ...argv]);
const status = (...argv: string[]) => utl("snapshot", "status", ...argv);
const restore = (...argv: string[]) => utl("snapshot", "restore", ...argv);
const defrag = (dir: string) => utl("defrag", "--timeout=10ms", "--data-dir", dir);
const migrate = (dir: string, version: string) => utl("migrate", "--data-dir", dir, "--target-version", version);
const missing = async (...argv: string[]) => (await utl(...argv)).stderr.split("\n")[0];
const stateHash = async (path: string) => (await run("utl", "snapshot", "status", path)).split(",")[0];

/** The last line of stderr: log lines come first. */
async function failure(...argv: string[]): Promise<unknown> {
  const { exitCode, stderr } = await restore(...argv);
  return [exitCode, stderr.trimEnd().split("\n").at(-1)];
}

const refusal = (exitCode: number, message: string) => ({ exitCode, stdout: "", stderr: `Error: ${message}\n` });

describe("snapshot status", () => {
  it("says hash, revision, live keys, size and version in every format", async () => {
    const said = JSON.parse(await run("utl", "snapshot", "status", source.snapshot, "-w", "json")) as {
      hash: number;
      totalSize: number;
    };
    const { size } = await stat(source.snapshot);
    expect(said).toEqual({
      hash: expect.any(Number),
      revision: 7,
      totalKey: 2,
      totalSize: size - 32,
      version: "3.7.0",
    });
    const { hash, totalSize } = said;
    expect(await run("utl", "snapshot", "status", source.snapshot)).toBe(
      `${hash.toString(16)}, 7, 2, ${Math.round(totalSize / 1000)} kB, 3.7.0\n`,
    );
    expect(await run("utl", "snapshot", "status", source.snapshot, "-w", "fields")).toBe(
      `"Hash" : ${hash}\n"Revision" : 7\n"Keys" : 2\n"Size" : ${totalSize}\n"Version" : 3.7.0\n`,
    );
    expect(await run("utl", "snapshot", "status", "-w", "table", source.snapshot)).toContain(
      "│ TOTAL KEYS │ TOTAL SIZE │",
    );
  });

  it("leaves nothing beside the file", async () => {
    await run("utl", "snapshot", "status", source.snapshot);
    expect(readdirSync(source.directory).filter((name) => name.startsWith("s.db-"))).toEqual([]);
  });

  it("gives two snapshots of one state the same hash, and another state another one", async () => {
    await run("snapshot", "save", source.path("again.db"), "--endpoints", source.member.endpoint);
    await run("put", "added", "v", "--endpoints", source.member.endpoint);
    await run("snapshot", "save", source.path("other.db"), "--endpoints", source.member.endpoint);
    const one = await stateHash(source.snapshot);
    const two = await stateHash(source.path("again.db"));
    const other = await stateHash(source.path("other.db"));
    expect(two).toBe(one);
    expect(other).not.toBe(one);
  });

  it("is etcdctl's command too, with a remark on stderr", async () => {
    const { stdout, stderr } = await litectl(["snapshot", "status", source.snapshot]);
    expect(stdout).toBe(await run("utl", "snapshot", "status", source.snapshot));
    expect(stderr).toBe("Deprecated: Use `etcdutl snapshot status` instead.\n\n");
  });

  it.each([
    ["a changed page", (bytes: Buffer) => bytes.fill(0xff, 4096 + 2000, 4096 + 4096)],
    ["half a file", (bytes: Buffer) => bytes.subarray(0, 4096 * 3)],
  ])("finds %s", async (name, change) => {
    const path = await altered(`${name}.db`, change);
    const { exitCode, stderr } = await litectl(["utl", "snapshot", "status", path]);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("snapshot file integrity check failed. ")]);
  });

  it("refuses what it cannot read, or print", async () => {
    await writeFile(source.path("text.db"), "no database\n".repeat(1000));
    expect(await status()).toEqual(refusal(128, "snapshot status requires exactly one argument"));
    expect(await status(source.path("none.db"))).toEqual(
      refusal(1, `stat ${source.path("none.db")}: no such file or directory`),
    );
    expect(await status(source.path("text.db"))).toEqual(refusal(1, "invalid database"));
    expect(await status(source.snapshot, "-w", "protobuf")).toEqual(
      refusal(4, "protobuf not supported as output format"),
    );
    expect(await status(source.snapshot, "-w", "yaml")).toEqual(refusal(4, "unsupported output format"));
  });
});

describe("snapshot restore", () => {
  const localhost = "default=http://localhost:2380";

  it.each([
    [[], 128, "snapshot restore requires exactly one argument"],
    [["f", "--bump-revision=1"], 128, "--mark-compacted required if --revision-bump > 0"],
    [["f", "--mark-compacted"], 128, "--mark-compacted required if --revision-bump > 0"],
    [["f", "--name=other"], 1, `couldn't find local name "other" in the initial cluster configuration`],
    [
      ["f", "--initial-advertise-peer-urls=http://127.0.0.1:1"],
      1,
      `--initial-cluster has ${localhost} but missing from --initial-advertise-peer-urls=http://127.0.0.1:1 ` +
        `(resolved urls: "http://127.0.0.1:1" != "http://localhost:2380")`,
    ],
    [
      ["f", `--initial-cluster=${localhost},default=http://localhost:1`],
      1,
      "--initial-cluster has default=http://localhost:1 but missing from " +
        "--initial-advertise-peer-urls=http://localhost:2380 " +
        `(len(["http://localhost:2380"]) != len(["http://localhost:1" "http://localhost:2380"]))`,
    ],
    [
      ["f", "--initial-advertise-peer-urls=http://localhost:2380,http://a:1"],
      1,
      `--initial-advertise-peer-urls has http://a:1 but missing from --initial-cluster=${localhost}`,
    ],
    [
      ["f", `--initial-cluster=${localhost},b=http://localhost:2380`],
      1,
      `initial cluster b=http://localhost:2380,${localhost} has duplicate url`,
    ],
    [["f", "--initial-cluster=default=ftp://a:1"], 1, "URL scheme must be http, https, unix, or unixs: ftp://a:1"],
  ])("%j are checked before a file is opened", async (argv, exitCode, message) => {
    expect(await restore(...argv)).toEqual(refusal(exitCode, message));
  });

  it.each([
    ["bump-revision", "-1", "invalid syntax"],
    ["bump-revision", "18446744073709551616", "value out of range"],
  ])("--%s is no negative and no large number", async (flag, value, reason) => {
    const { stderr } = await restore("f", `--${flag}=${value}`);
    const parsing = `strconv.ParseUint: parsing "${value}": ${reason}`;
    expect(stderr.split("\n")[0]).toBe(`Error: invalid argument "${value}" for "--${flag}" flag: ${parsing}`);
  });

  it("refuses a snapshot that is not as it was saved, and leaves nothing behind", async () => {
    const dataDir = source.path("never");
    const at = ["--data-dir", dataDir];
    const flipped = await altered("flipped.db", (bytes) => bytes.fill(bytes.readUInt8(5000) ^ 1, 5000, 5001));
    const short = await altered("short.db", (bytes) => bytes.subarray(0, 4096 + 32));
    const tiny = await altered("tiny.db", (bytes) => bytes.subarray(0, 10));
    const bare = await altered("bare.db", (bytes) => bytes.subarray(0, -32));
    const sha = /^Error: expected sha256 \[\d+(?: \d+){31}\], got \[\d+(?: \d+){31}\]$/;
    expect(await failure(flipped, ...at)).toEqual([1, expect.stringMatching(sha)]);
    expect(await failure(short, ...at)).toEqual([1, expect.stringMatching(sha)]);
    expect(await failure(short, ...at, "--skip-hash-check")).toEqual([
      1,
      expect.stringContaining("snapshot file integrity check failed. "),
    ]);
    expect(await failure(tiny, ...at)).toEqual([1, `Error: seek ${tiny}: invalid argument`]);
    expect(await failure(bare, ...at)).toEqual([1, "Error: snapshot missing hash but --skip-hash-check=false"]);
    expect(await failure(source.path("none.db"), ...at)).toEqual([
      1,
      `Error: open ${source.path("none.db")}: no such file or directory`,
    ]);
    expect(await failure(source.snapshot, ...at, "--bump-revision=9223372036854775807", "--mark-compacted")).toEqual([
      4,
      expect.stringContaining("revision 7 cannot be raised by 9223372036854775807"),
    ]);
    expect(existsSync(dataDir)).toBe(false);
  });

  it("writes into no directory that holds something, and knows no WAL directory", async () => {
    const full = source.path("full");
    await mkdir(full);
    await writeFile(join(full, "file"), "");
    expect(await failure(source.snapshot, "--data-dir", full)).toEqual([
      1,
      `Error: data-dir "${full}" not empty or could not be read`,
    ]);
    expect(readdirSync(full)).toEqual(["file"]);
    const fresh = ["--data-dir", source.path("fresh")];
    expect(await failure(source.snapshot, ...fresh, "--wal-dir", full)).toEqual([1, `Error: wal-dir "${full}" exists`]);
    expect(await failure(source.snapshot, ...fresh, "--wal-dir", source.path("wal"))).toEqual([
      4,
      "Error: --wal-dir cannot be used: litecd keeps its log in member/raft.db of the data directory and has no WAL files",
    ]);
  });
});

describe("hashkv", () => {
  interface Hash {
    readonly hash: number;
    readonly hashRevision: number;
    readonly compactRevision: number;
  }
  const hashOf = async (...argv: string[]) => JSON.parse(await run("utl", "hashkv", ...argv, "-w", "json")) as Hash;

  it("says of a snapshot what the server says, at any revision that is left", async () => {
    for (const rev of ["4", "5", "7"]) {
      const [{ HashKV }] = (await ask(source.member.endpoint, "endpoint", "hashkv", "--rev", rev)) as unknown as [
        { HashKV: { hash: number } },
      ];
      expect(await hashOf(source.snapshot, "--rev", rev)).toEqual({
        hash: HashKV.hash,
        hashRevision: Number(rev),
        compactRevision: 4,
      });
    }
    const { hash } = await hashOf(source.snapshot);
    expect(await run("utl", "hashkv", source.snapshot)).toBe(`${hash}, 7, 4\n`);
    expect(await run("utl", "hashkv", source.snapshot, "-w", "fields")).toBe(
      `"Hash" : ${hash}\n"Hash revision" : 7\n"Compact revision" : 4\n`,
    );
  });

  it("refuses revisions that are not there", async () => {
    expect(await utl("hashkv", source.snapshot, "--rev=99")).toEqual(
      refusal(1, "mvcc: required revision is a future revision"),
    );
    expect(await utl("hashkv", source.snapshot, "--rev=3")).toEqual(
      refusal(1, "mvcc: required revision has been compacted"),
    );
  });
});

describe("a data directory", () => {
  it("is left alone while its member runs, and can be hashed and defragmented afterwards", async () => {
    await using own = await FilledMember.start();
    const { dataDir, endpoint } = own.member;
    expect(await defrag(dataDir)).toEqual(
      refusal(
        1,
        `Failed to defragment etcd data[${dataDir}] (data directory ${dataDir}/member is in use by another litecd process)`,
      ),
    );
    const { exitCode, stderr } = await litectl(["utl", "hashkv", dataDir]);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("in use by another process")]);
    await run("put", "big", "x".repeat(1_000_000), "--endpoints", endpoint);
    await run("del", "big", "--endpoints", endpoint);
    await run("compaction", "9", "--endpoints", endpoint);
    const [{ HashKV }] = (await ask(endpoint, "endpoint", "hashkv")) as unknown as [{ HashKV: { hash: number } }];
    await own.member.end("SIGTERM");
    const files = () => readdirSync(join(dataDir, "member")).filter((name) => name.startsWith("state-"));
    const sizeOf = async () => (await stat(join(dataDir, "member", files()[0] ?? ""))).size;
    const before = await sizeOf();
    const hash = await run("utl", "hashkv", dataDir);
    expect(hash).toBe(`${HashKV.hash}, 9, 9\n`);
    expect(await run("utl", "defrag", "--data-dir", dataDir)).toBe("");
    expect(files()).toEqual(["state-2.db"]);
    expect(await sizeOf()).toBeLessThan(before - 900_000);
    expect(await run("utl", "hashkv", dataDir)).toBe(hash);
    await own.member.start();
    expect(await run("get", "foo", "--endpoints", endpoint)).toBe("foo\nbaz\n");
  });

  it("has one storage version, which migrate confirms", async () => {
    const { dataDir } = source.member;
    const confirmed = await migrate(dataDir, "3.7");
    expect([confirmed.exitCode, confirmed.stdout]).toEqual([0, ""]);
    expect(JSON.parse(confirmed.stderr)).toMatchObject({ level: "info", msg: "storage version up-to-date" });
    expect(await migrate(dataDir, "3.6")).toEqual(
      refusal(4, "litecd's SQLite store has storage version 3.7.0 only, and cannot be migrated to 3.6"),
    );
    expect(await migrate(dataDir, "3.4")).toEqual(refusal(128, 'target version "3.4" not supported. Minimal "3.5"'));
    expect(await migrate(dataDir, "3")).toEqual(refusal(128, 'wrong target version format, expected "X.Y", got "3"'));
    expect(await migrate(dataDir, "x.y")).toEqual(
      refusal(128, "failed to parse target version: invalid semantic version"),
    );
    const none = source.path("nothing");
    expect(await migrate(none, "3.7")).toEqual(refusal(1, `stat ${none}/member/snap/db: no such file or directory`));
  });

  it("that is missing is named, and so are missing flags", async () => {
    const none = source.path("nothing");
    expect(await defrag(none)).toEqual(
      refusal(1, `Failed to defragment etcd data[${none}] (stat ${none}/member/snap/db: no such file or directory)`),
    );
    expect(await missing("defrag")).toBe('Error: required flag(s) "data-dir" not set');
    expect(await missing("migrate")).toBe('Error: required flag(s) "data-dir", "target-version" not set');
    expect(await missing("hashkv")).toBe("Error: accepts 1 arg(s), received 0");
  });
});

describe.skipIf(realEtcdMissing !== undefined)("files of a real etcd (LITECD_TEST_ETCD)", () => {
  it("are recognised and refused", async () => {
    await using etcd = await startRealEtcd();
    await run("snapshot", "save", source.path("bbolt.db"), "--endpoints", etcd.endpoint);
    const bbolt = source.path("bbolt.db");
    const text =
      `${bbolt} is a bbolt database of an etcd; ` +
      "only snapshots and files of litecd, which are SQLite, can be read yet";
    expect(await litectl(["utl", "snapshot", "status", bbolt])).toEqual(refusal(4, text));
    expect(await litectl(["utl", "hashkv", bbolt])).toEqual(refusal(4, text));
    const restored = await litectl(["utl", "snapshot", "restore", bbolt, "--data-dir", source.path("no")]);
    expect(restored).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`Error: ${text}\n`) });
    expect(existsSync(source.path("no"))).toBe(false);
    const dataDir = source.path("etcd-data");
    await mkdir(join(dataDir, "member", "snap"), { recursive: true });
    await copyFile(bbolt, join(dataDir, "member", "snap", "db"));
    await truncate(join(dataDir, "member", "snap", "db"), (await stat(bbolt)).size - 32);
    expect(await litectl(["utl", "defrag", "--data-dir", dataDir])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining("is a bbolt database of an etcd; use etcd's own etcdutl for it"),
    });
  });
});

describe("the tree of etcdutl", () => {
  it("is a program of its own, which no prefix stands for: unknown commands and flags are errors, groups and help are not", async () => {
    expect(await litectl(["utl", "nosuch"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `Error: unknown command "nosuch" for "etcdutl"\nRun 'etcdutl --help' for usage.\n`,
    });
    expect((await litectl(["utl", "version", "--endpoints=x"])).stderr).toMatch(
      /^Error: unknown flag: --endpoints\nUsage:\n {2}etcdutl version\n/,
    );
    expect(await run("utl", "version")).toMatch(
      /^etcdutl version: 3\.7\.0\+litectl\.\d+\.\d+\.\d+\nAPI version: 3\.7\n$/,
    );
    for (const argv of [["utl"], ["utl", "help"], ["help", "utl"]]) {
      expect(await run(...argv)).toMatch(/Usage:\n {2}etcdutl \[command\]/);
    }
    expect(await run("u")).toContain("etcdctl user [command]");
    expect(await run("utl", "snapshot", "nosuch")).toContain("etcdutl snapshot [command]");
    expect(await run("utl", "help", "snapshot", "restore")).toContain("--bump-revision");
  });
});

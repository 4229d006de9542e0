/** `make-mirror` from one server to another: what arrives, in which revisions, and how it ends. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createClient, type EtcdClient, op } from "../../src/client/index.js";
import { type Background, litectl as program, Session } from "../interop/session.js";
import { Member } from "../support/member.js";
import { litectl } from "./captured.js";
import { serverTargets } from "./servers.js";

const testMsMax = 60_000;

describe("the arguments", () => {
  it.each([
    [["make-mirror"], "make-mirror takes one destination argument"],
    [["make-mirror", "a", "b"], "make-mirror takes one destination argument"],
    [
      ["make-mirror", "a", "--dest-prefix=x", "--no-dest-prefix"],
      "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
    ],
    [["make-mirror", "a", "--dest-key=/nowhere"], "KeyFile and CertFile must both be present[key: /nowhere, cert: ]"],
    [["make-mirror", "a", "--dest-cacert=/nowhere"], "open /nowhere: no such file or directory"],
  ])("%j are refused", async (argv, message) => {
    await expect(litectl(argv)).resolves.toEqual({ exitCode: 128, stdout: "", stderr: `Error: ${message}\n` });
  });

  it("have a number of operations without a sign", async () => {
    const { exitCode, stderr } = await litectl(["make-mirror", "a", "--max-txn-ops=-1"]);
    expect(exitCode).toBe(1);
    expect(stderr.split("\n")[0]).toBe(
      'Error: invalid argument "-1" for "--max-txn-ops" flag: strconv.ParseUint: parsing "-1": invalid syntax',
    );
  });
});

describe.each(serverTargets)("between two of $name", ({ program: server, missing }) => {
  if (missing !== undefined) {
    it.skip(`keeps a copy (${missing})`, () => undefined);
    return;
  }
  let members: readonly [Member, Member];
  let source: EtcdClient;
  let copy: EtcdClient;
  let tool: Session;

  beforeAll(async () => {
    members = [await Member.create(server), await Member.create(server)];
    await Promise.all(members.map((member) => member.start()));
    source = createClient({ endpoints: members[0].endpoint });
    copy = createClient({ endpoints: members[1].endpoint });
  }, testMsMax);

  afterEach(() => tool.close());

  afterAll(async () => {
    await Promise.all([source.close(), copy.close()]);
    await Promise.all(members.map((member) => member.dispose()));
  });

  function start(...flags: readonly string[]): Background {
    tool = new Session(program, { endpoint: members[0].endpoint, directory: members[0].directory });
    return tool.start(["make-mirror", members[1].endpoint, ...flags]);
  }

  /** Resolves to the key when it is at the destination with this value. */
  async function arrived(key: string, value: string) {
    await using watch = copy.watch(key, { from: 1n });
    for await (const { events } of watch) {
      for (const event of events) if (event.type === "put" && event.kv.value === value) return event.kv;
    }
    throw new Error(`${key} never became ${value}`);
  }

  it("copies one key after the other, and then every revision as one", { timeout: testMsMax }, async () => {
    await source.put("base/1", "a");
    await source.put("base/2", "b");
    await source.put("other", "c");
    const mirror = start("--prefix=base/");
    const second = await arrived("base/2", "b");
    const first = await arrived("base/1", "a");
    expect(second.modRevision).toBe(first.modRevision + 1n);
    await source.txn({
      then: [op.put("base/3", "d"), op.delete("base/1"), op.put("base/4", "e"), op.put("away", "f")],
    });
    const [third, fourth] = [await arrived("base/3", "d"), await arrived("base/4", "e")];
    expect(third.modRevision).toBe(fourth.modRevision);
    await tool.end(mirror, "SIGINT");
    expect(tool.transcript).toMatchObject([{ stdout: "", errors: [], exit: "SIGINT" }]);
    const keys = (await copy.list({ all: true })).kvs.map(({ key }) => key);
    expect(keys).toEqual(["base/2", "base/3", "base/4"]);
  });

  it("splits a revision that has more operations than a transaction may", { timeout: testMsMax }, async () => {
    start("--prefix=split/", "--dest-prefix=halves/", "--max-txn-ops=2");
    const names = ["1", "2", "3", "4", "5"];
    await source.put("split/0", "ready");
    await arrived("halves/0", "ready");
    await source.txn({ then: names.map((name) => op.put(`split/${name}`, "x")) });
    const revisions: bigint[] = [];
    for (const name of names) revisions.push((await arrived(`halves/${name}`, "x")).modRevision);
    const start0 = revisions[0] ?? 0n;
    expect(revisions.map((revision) => revision - start0)).toEqual([0n, 0n, 1n, 1n, 2n]);
  });

  it("keeps the prefix when it begins at a revision, and copies nothing older", { timeout: testMsMax }, async () => {
    await source.put("rev/old", "1");
    const { header } = await source.put("rev/new", "2");
    await source.put("rev/newer", "3");
    start("--prefix=rev/", `--rev=${header.revision}`);
    await arrived("rev/newer", "3");
    const keys = (await copy.list({ prefix: "rev/" })).kvs.map(({ key }) => key);
    expect(keys).toEqual(["rev/new", "rev/newer"]);
  });

  it("strips the prefix", { timeout: testMsMax }, async () => {
    await source.put("strip/me", "1");
    start("--prefix=strip/", "--no-dest-prefix");
    await arrived("me", "1");
  });

  it("ends when the history that it needs is compacted", { timeout: testMsMax }, async () => {
    const { header } = await source.put("compact/1", "x");
    await source.compact(header.revision);
    const mirror = start("--rev=2");
    await tool.end(mirror);
    expect(tool.transcript).toMatchObject([
      { stdout: "", errors: ["Error: etcdserver: mvcc: required revision has been compacted"], exit: 1 },
    ]);
  });

  it("ends with the error of the destination", { timeout: testMsMax }, async () => {
    await source.put("whole", "x");
    const mirror = start("--prefix=whole", "--no-dest-prefix");
    await tool.end(mirror);
    expect(tool.transcript).toMatchObject([
      { stdout: "", errors: ["Error: etcdserver: key is not provided"], exit: 1 },
    ]);
  });

  it("names the side that does not answer, after the dial timeout", { timeout: testMsMax }, async () => {
    const { exitCode, stdout, stderr } = await litectl([
      "make-mirror",
      "127.0.0.1:1",
      `--endpoints=${members[0].endpoint}`,
      "--dial-timeout=100ms",
    ]);
    const [error, log = ""] = stderr.split("\n");
    expect([exitCode, stdout, error]).toEqual([1, "", "Error: context deadline exceeded"]);
    expect(JSON.parse(log)).toMatchObject({ error: expect.stringContaining("127.0.0.1:1") });
  });
});

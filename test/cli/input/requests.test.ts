/** Arguments and flags of get, put, del, and of the commands with ids, URLs and permissions. */
import { describe, expect, it } from "vitest";
import { parseCommandLine, valuesOf } from "../../../src/cli/input/command-line.js";
import { deleteFlags, deletion } from "../../../src/cli/input/delete-request.js";
import { downgradeTarget } from "../../../src/cli/input/downgrade-target.js";
import { getFlags, getRequest } from "../../../src/cli/input/get-request.js";
import { leaseIdArgument, singleMemberId, transfereeArgument } from "../../../src/cli/input/ids.js";
import { prefixEnd } from "../../../src/cli/input/key-range.js";
import { peerUrls } from "../../../src/cli/input/peer-urls.js";
import { permissionRange } from "../../../src/cli/input/permission-range.js";
import { putFlags, putRequest } from "../../../src/cli/input/put-request.js";
import { readable } from "../readable.js";

function get(...words: string[]) {
  const { args, given } = parseCommandLine(words, getFlags);
  return getRequest(args, valuesOf(getFlags, given));
}

function put(words: readonly string[], stdin = "") {
  const { args, given } = parseCommandLine(words, putFlags);
  return putRequest(args, valuesOf(putFlags, given), () => Promise.resolve(Buffer.from(stdin))).then(readable);
}

function del(...words: string[]) {
  const { args, given } = parseCommandLine(words, deleteFlags);
  return deletion(args, valuesOf(deleteFlags, given));
}

const failsWith = (message: string, exitCode: number) => expect.objectContaining({ message, exitCode });

describe("get", () => {
  it.each([
    [["k"], { key: "k", rangeEnd: "", serializable: false }],
    [["a", "c"], { key: "a", rangeEnd: "c" }],
    [["a", "c", "ignored"], { key: "a", rangeEnd: "c" }],
    [["k", "--prefix"], { key: "k", rangeEnd: "l" }],
    [["", "--prefix"], { key: "\0", rangeEnd: "\0" }],
    [["k", "--from-key"], { key: "k", rangeEnd: "\0" }],
    [["", "--from-key"], { key: "\0", rangeEnd: "\0" }],
    [["k", "--rev=-5"], { revision: 0n }],
    [["k", "--rev=5"], { revision: 5n }],
    [["k", "--limit=-1"], { limit: -1n }],
    [["k", "--consistency=s"], { serializable: true }],
    [["k", "--order=descend"], { sortOrder: 2, sortTarget: 0 }],
    [["k", "--order=ascend", "--sort-by=key"], { sortOrder: 0, sortTarget: 0 }],
    [["k", "--sort-by=modify"], { sortOrder: 0, sortTarget: 3 }],
    [["k", "--sort-by=VALUE", "--order=ASCEND"], { sortOrder: 1, sortTarget: 4 }],
    [["k", "--keys-only"], { keysOnly: true, countOnly: false }],
    [["k", "--min-mod-rev=2", "--max-mod-rev=4"], { minModRevision: 2n, maxModRevision: 4n }],
    [["k", "--min-create-rev=9"], { minCreateRevision: 9n, maxCreateRevision: 0n }],
  ])("%j asks for the right range", (words, request) => {
    expect(readable(get(...words))).toMatchObject(request);
  });

  it.each([
    [[], "get command needs one argument as key and an optional argument as range_end", 128],
    [
      ["a", "b", "--prefix"],
      "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
      128,
    ],
    [["a", "--prefix", "--from-key"], "`--prefix` and `--from-key` cannot be set at the same time, choose one", 128],
    [
      ["a", "--keys-only", "--count-only"],
      "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
      128,
    ],
    [["a", "--order=UP"], "bad sort order UP", 4],
    [["a", "--sort-by=SIZE"], "bad sort target SIZE", 4],
    [["a", "--consistency=S"], 'unknown consistency flag "S"', 4],
    [["a", "--min-mod-rev=9", "--max-mod-rev=3"], "getMinModRev(=9) > getMaxModRev(=3)", 4],
    [["a", "--min-create-rev=9", "--max-create-rev=3"], "getMinCreateRev(=9) > getMaxCreateRev(=3)", 4],
  ])("%j is refused", (words, message, exitCode) => {
    expect(() => get(...words)).toThrow(failsWith(message, exitCode));
  });
});

describe("put", () => {
  it("takes the value from the arguments, or else all of stdin, byte for byte", async () => {
    await expect(put(["k", "v", "ignored"], "stdin")).resolves.toMatchObject({ value: "v" });
    await expect(put(["k", ""], "stdin")).resolves.toMatchObject({ value: "" });
    await expect(put(["k"], "line\n")).resolves.toMatchObject({ value: "line\n" });
  });

  it("does not read stdin when the value is to be kept", async () => {
    const given = valuesOf(putFlags, new Map([["ignore-value", true]]));
    const request = putRequest(["k"], given, () => Promise.reject(new Error(`stdin was read, ${given.lease}`)));
    await expect(request).resolves.toMatchObject({ ignoreValue: true });
  });

  it("reads the lease in hex", async () => {
    await expect(put(["k", "v", "--lease=1f"])).resolves.toMatchObject({ lease: 0x1fn });
    await expect(put(["k", "v", "--lease=-1"])).resolves.toMatchObject({ lease: -1n });
  });

  it.each([
    [[], "put command needs 1 argument and input from stdin or 2 arguments"],
    [["k"], "put command needs 1 argument and input from stdin or 2 arguments"],
    [["k", "v", "--ignore-value"], "put command needs only 1 argument when 'ignore-value' is set"],
    [["k", "v", "--lease=xyz"], 'bad lease ID (strconv.ParseInt: parsing "xyz": invalid syntax), expecting ID in Hex'],
  ])("%j is refused", async (words, message) => {
    await expect(put(words)).rejects.toMatchObject({ message, exitCode: 128 });
  });
});

describe("del", () => {
  it("warns of a range unless --range confirms it", () => {
    expect(del("k").warning).toBeUndefined();
    expect(del("k", "--prefix").warning).toBeUndefined();
    expect(del("a", "c", "--range").warning).toBeUndefined();
    expect(del("a", 'c"').warning).toBe(
      'Warning: Keys between "a" and "c\\"" will be deleted. Please interrupt the command within next 2 seconds ' +
        "to cancel. You can provide `--range` flag to avoid the delay.",
    );
  });

  it.each([
    [[], "del command needs one argument as key and an optional argument as range_end"],
    [["a", "b", "c"], "del command needs one argument as key and an optional argument as range_end"],
    [["a", "b", "--from-key"], "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"],
    [["a", "--prefix", "--from-key"], "`--prefix` and `--from-key` cannot be set at the same time, choose one"],
  ])("%j is refused", (words, message) => {
    expect(() => del(...words)).toThrow(failsWith(message, 128));
  });
});

describe("the end of a prefix", () => {
  it.each([
    [[0x61], [0x62]],
    [[0x61, 0xff], [0x62]],
    [
      [0x61, 0xff, 0x01, 0xff],
      [0x61, 0xff, 0x02],
    ],
    [[0xff, 0xff], [0]],
    [[], [0]],
  ])("%j is %j", (prefix, end) => {
    expect([...prefixEnd(Uint8Array.from(prefix))]).toEqual(end);
  });
});

describe("ids", () => {
  it("are hex, and each command has its own words for a bad one", () => {
    expect(leaseIdArgument("1f")).toBe(0x1fn);
    expect(singleMemberId(["ffffffffffffffff"])).toBe(2n ** 64n - 1n);
    const syntax = 'parsing "xyz": invalid syntax';
    expect(() => leaseIdArgument("xyz")).toThrow(
      failsWith(`bad lease ID arg (strconv.ParseInt: ${syntax}), expecting ID in Hex`, 128),
    );
    expect(() => singleMemberId(["xyz"])).toThrow(
      failsWith(`bad member ID arg (strconv.ParseUint: ${syntax}), expecting ID in Hex`, 128),
    );
    expect(() => singleMemberId(["1", "2"])).toThrow(failsWith("member ID is not provided", 128));
    expect(() => transfereeArgument("xyz")).toThrow(failsWith(`strconv.ParseUint: ${syntax}`, 128));
  });
});

describe("peer URLs", () => {
  it("are split at commas and kept as written", () => {
    expect(peerUrls("http://a:1,https://[::1]:2,unix://x")).toEqual(["http://a:1", "https://[::1]:2", "unix://x"]);
  });

  it.each([
    ["127.0.0.1:1", 'parse "127.0.0.1:1": first path segment in URL cannot contain colon'],
    [":1", 'parse ":1": missing protocol scheme'],
    ["foo", "URL scheme must be http, https, unix, or unixs: foo"],
    ["ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"],
    ["http://foo", 'URL address does not have the form "host:port": http://foo'],
    ["http:a:1", 'URL address does not have the form "host:port": http:a:1'],
    ["http://foo:1/x", "URL must not contain a path: http://foo:1/x"],
    ["http://a:b", 'parse "http://a:b": invalid port ":b" after host'],
    ["http://a b:1", 'parse "http://a b:1": invalid character " " in host name'],
    ["%zz", 'parse "%zz": invalid URL escape "%zz"'],
  ])("do not include %s", (url, message) => {
    expect(() => peerUrls(url)).toThrow(failsWith(message, 1));
  });

  it("must be given", () => {
    expect(() => peerUrls("")).toThrow(failsWith("member peer urls not provided", 128));
  });
});

describe("a permission", () => {
  const one = { prefix: false, "from-key": false };
  it.each([
    [["k"], one, "k", ""],
    [["a", "c"], one, "a", "c"],
    [["a"], { ...one, prefix: true }, "a", "b"],
    [["a"], { ...one, "from-key": true }, "a", "\0"],
    [[""], { ...one, prefix: true }, "\0", "\0"],
    [[""], one, "\0", ""],
  ])("of %j with %j covers %j to %j", (args, flags, key, end) => {
    const range = permissionRange(args, flags);
    expect([Buffer.from(range.key).toString(), Buffer.from(range.rangeEnd).toString()]).toEqual([key, end]);
  });

  it.each([
    [["a", "b"], { ...one, prefix: true }, "unexpected endkey argument with --prefix flag"],
    [["a", "b"], { ...one, "from-key": true }, "unexpected endkey argument with --from-key flag"],
    [["a"], { prefix: true, "from-key": true }, "--from-key and --prefix flags are mutually exclusive"],
  ])("of %j with %j is refused", (args, flags, message) => {
    expect(() => permissionRange(args, flags)).toThrow(failsWith(message, 128));
  });
});

describe("a downgrade target", () => {
  it.each([
    [[], "TARGET_VERSION not provided"],
    [["3.6", "3.5"], "too many arguments"],
    [[""], "target version not provided"],
  ])("%j is refused", (args, message) => {
    expect(() => downgradeTarget(args)).toThrow(failsWith(message, 128));
  });
});

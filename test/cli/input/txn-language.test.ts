/** The txn language, line by line. */
import { describe, expect, it } from "vitest";
import { parseCompare, parseRequest } from "../../../src/cli/input/txn-language.js";
import { splitWords } from "../../../src/cli/input/words.js";
import { readable } from "../readable.js";

async function parsed(line: string): Promise<unknown> {
  return readable(await parseRequest(line));
}

describe("words", () => {
  it.each([
    ["put key value", ["put", "key", "value"]],
    ["put \"a b\" 'c\\n d'", ["put", "a b", "c\\n d"]],
    ['put "a\\tb" ""', ["put", "a\tb", ""]],
    ['put a"b c', ["put", 'a"b', "c"]],
    ['put a "bc', ["put", "a", "bc"]],
    ["put a 'bc", ["put", "a", "bc"]],
    ["   ", []],
  ])("of %s are split as etcdctl splits them", (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  it("with a bad escape are refused", () => {
    expect(() => splitWords('put a "\\q"')).toThrow(
      expect.objectContaining({ message: "invalid syntax", exitCode: 3 }),
    );
  });
});

describe("a compare", () => {
  it.each([
    ['ver("k") = "1"', { target: 0, result: 0, targetUnion: { $case: "version", value: 1n } }],
    ['version("k") > "0"', { target: 0, result: 1, targetUnion: { $case: "version", value: 0n } }],
    ['c("k") < "9"', { target: 1, result: 2, targetUnion: { $case: "createRevision", value: 9n } }],
    ['create("k") != "9"', { target: 1, result: 3, targetUnion: { $case: "createRevision", value: 9n } }],
    ['m("k") = "-1"', { target: 2, result: 0, targetUnion: { $case: "modRevision", value: -1n } }],
    ['mod("k")\t=\t"3"', { target: 2, result: 0, targetUnion: { $case: "modRevision", value: 3n } }],
    ['val("k") = "v" and more', { target: 3, result: 0, targetUnion: { $case: "value", value: "v" } }],
    ["value(`k`) = `v`", { target: 3, result: 0, targetUnion: { $case: "value", value: "v" } }],
    ['lease("k") = "1f"', { target: 4, result: 0, targetUnion: { $case: "lease", value: 0x1fn } }],
  ])("%s is understood", (line, compare) => {
    expect(readable(parseCompare(line))).toEqual({ ...compare, key: "k", rangeEnd: "" });
  });

  it("keeps keys and values that are no UTF-8", () => {
    const { key, targetUnion } = parseCompare('val("a\\xff") = "\\x00\\377"');
    expect(Buffer.from(key).toString("hex")).toBe("61ff");
    expect(targetUnion).toEqual({ $case: "value", value: Buffer.of(0, 0xff) });
  });

  it.each([
    ["foo", "malformed comparison: foo"],
    ['ver("k")="1"', 'malformed comparison: ver("k")="1"; got ver("k")  ""'],
    ['ver("k") =', 'malformed comparison: ver("k") =; got ver("k") = ""'],
    ['ver("k") = 1', 'malformed comparison: ver("k") = 1; got ver("k") = ""'],
    ['ver(k) = "1"', 'malformed comparison: ver(k) = "1"; got ver("")  ""'],
    ["ver('k') = '1'", "malformed comparison: ver('k') = '1'; got ver(\"\")  \"\""],
    ['foo("k") = "1"', 'malformed comparison: foo("k") = "1" (unknown target foo)'],
    ['VER("k") = "1"', 'malformed comparison: VER("k") = "1" (unknown target VER)'],
    ['ver("k") = "x"', 'invalid txn compare request: ver("k") = "x"'],
    ['lease("k") = "0x1"', 'invalid txn compare request: lease("k") = "0x1"'],
    ['ver("k") ~ "1"', 'malformed comparison: ver("k") ~ "1" (unknown operator ~)'],
  ])("%s is told why it is none", (line, message) => {
    expect(() => parseCompare(line)).toThrow(expect.objectContaining({ message, exitCode: 3 }));
  });
});

describe("a request", () => {
  it("is a put, a get or a del with their own flags, and their names may be shortened", async () => {
    await expect(parsed('pu "a b" c --prev-kv')).resolves.toMatchObject({
      op: { request: { $case: "requestPut", value: { key: "a b", value: "c", prevKv: true } } },
    });
    await expect(parsed("g --prefix k --limit=2")).resolves.toMatchObject({
      op: { request: { $case: "requestRange", value: { key: "k", rangeEnd: "l", limit: 2n } } },
    });
    await expect(parsed("del a b --range")).resolves.toMatchObject({
      op: { request: { $case: "requestDeleteRange", value: { key: "a", rangeEnd: "b" } } },
      warning: undefined,
    });
  });

  it("that deletes a range without --range comes with the warning", async () => {
    const { warning } = await parseRequest("del a b");
    expect(warning).toMatch(/^Warning: Keys between "a" and "b" will be deleted\./);
  });

  it.each([
    ["put", "invalid txn compare request: put", 3],
    ["foo bar", "invalid txn request: foo bar", 3],
    ["get k --nosuch", "invalid txn request: get k --nosuch", 3],
    ["get k -w json", "invalid txn request: get k -w json", 3],
    ["get --help k", "invalid txn request: get --help k", 3],
    ["put k", "put command needs 1 argument and input from stdin or 2 arguments", 128],
    ["get k --order=UP", "bad sort order UP", 4],
  ])("%s is refused", async (line, message, exitCode) => {
    await expect(parseRequest(line)).rejects.toMatchObject({ message, exitCode });
  });
});

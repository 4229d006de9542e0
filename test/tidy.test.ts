/** Holds the tree to the rules of the house, and shows that each rule can fail by planting what it forbids. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { checkHouse, describe as inWords, linesMax, type Rule, unfinishedWords } from "./tidy/house.js";
import { roomOf } from "./tidy/rooms.js";
import type { HouseFile } from "./tidy/source.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run"];

function tree(): HouseFile[] {
  const found = ["src", "proto", "test", "bench", "scripts"].flatMap((folder) => walk(join(root, folder)));
  return [...found, ...documents.map((name) => join(root, name))].map((path) => ({
    path: relative(root, path).split(sep).join("/"),
    text: readFileSync(path, "utf8"),
  }));
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js|sh|proto)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** The rules that a planted file breaks, each once. The purpose line is added unless the plant is about it. */
function broken(path: string, text: string): Rule[] {
  const whole = text.startsWith("/**") || text.startsWith("#!") ? text : `/** A planted file. */\n${text}`;
  return [...new Set(checkHouse([{ path, text: whole }]).map((violation) => violation.rule))];
}

/** A lawful file of exactly `count` lines. */
function lines(count: number): string {
  return `/** Long. */\n${"export {};\n".repeat(count - 1)}`;
}

describe("the tree", () => {
  it("follows every rule of the house", () => {
    expect(checkHouse(tree()).map(inWords)).toEqual([]);
  });

  it("is read whole", () => {
    const paths = tree().map((file) => file.path);
    for (const known of ["src/server/invariant.ts", "proto/gen/etcd/rpc.ts", "proto/status.ts", "test/tidy.test.ts"]) {
      expect(paths).toContain(known);
    }
  });
});

describe("layering", () => {
  it.each([
    ["src/server/raft/core.ts", 'import { machine } from "../state/machine.js";'],
    ["src/server/raft/core.ts", 'import type { KeyValue } from "../../../proto/gen/etcd/kv.js";'],
    ["src/server/storage/log-store.ts", 'import { RaftCore } from "../raft/core.js";'],
    ["src/server/state/machine.ts", 'import { systemClock } from "../runtime/clock.js";'],
    ["src/server/watch/hub.ts", 'import { Replica } from "../replica/replica.js";'],
    ["src/server/replica/replica.ts", 'import { Hub } from "../watch/hub.js";'],
    ["src/server/replica/replica.ts", 'export { Peers } from "../peer/peers.js";'],
    ["src/server/peer/send.ts", 'import { RaftCore } from "../raft/core.js";'],
    ["src/server/api/kv.ts", 'import { serve } from "../rpc/serve.js";'],
    ["src/server/rpc/serve.ts", 'import { Replica } from "../replica/replica.js";'],
    ["src/server/http/health.ts", 'const replica = await import("../replica/replica.js");'],
    ["src/server/listen/port.ts", 'import { invariant } from "../invariant.js";'],
    ["src/client/kv.ts", 'import { startServer } from "../server/index.js";'],
    ["src/cli/commands/get.ts", 'import { kv } from "../../client/kv.js";'],
    ["src/cli/main.ts", 'import { startServer } from "../server/index.js";'],
    ["src/server/server.ts", 'import { connect } from "../client/index.js";'],
    ["proto/status.ts", 'import { invariant } from "../src/server/invariant.js";'],
    ["src/server/replica/workers.ts", 'new Worker(new URL("../api/worker.js", import.meta.url));'],
    ["src/server/raft/core.ts", 'type Machine = import("../state/types.js").Machine;'],
  ])("refuses %s with %s", (path, text) => {
    expect(broken(path, text)).toContain("layering");
  });

  it("refuses a file that belongs to no room", () => {
    expect(broken("src/server/cupboard/box.ts", "export const box = 1;")).toEqual(["layering"]);
  });

  it.each([
    ["src/server/raft/core.ts", 'import { invariant } from "../invariant.js";'],
    ["src/server/storage/log-store.ts", 'import type { Entry } from "../raft/types.js";'],
    ["src/server/state/mvcc/write.ts", 'import { statuses } from "../../../../proto/status.js";'],
    ["src/cli/commands/lease/grant.ts", 'import { connect } from "../../../client/index.js";'],
    ["src/server/server.ts", 'import { Hub } from "./watch/hub.js";'],
    ["src/server/api/kv.ts", '// import { serve } from "../rpc/serve.js";'],
    ["src/server/api/kv.ts", `const note = 'import { serve } from "../rpc/serve.js"';`],
  ])("lets %s have %s", (path, text) => {
    expect(broken(path, text)).toEqual([]);
  });

  it("goes by the longest prefix", () => {
    expect(roomOf("src/server/server.ts")?.prefix).toBe("src/server/server.ts");
    expect(roomOf("src/server/state/mvcc/read.ts")?.prefix).toBe("src/server/state/");
  });
});

describe("packages", () => {
  it.each([
    ["src/server/api/kv.ts", 'import { status } from "@grpc/grpc-js";'],
    ["src/client/kv.ts", 'import type { ServiceError } from "@grpc/grpc-js";'],
    ["src/server/rpc/serve.ts", 'import { Server } from "@grpc/grpc-js";'],
    ["proto/gen/etcd/rpc.ts", 'import { Client } from "@grpc/grpc-js";'],
    ["src/server/state/machine.ts", 'import Database from "better-sqlite3";'],
    ["src/client/index.ts", 'export { Command } from "@oclif/core";'],
    ["src/server/raft/core.ts", 'import { map } from "lodash/fp";'],
    ["src/server/http/json.ts", 'import { readFileSync } from "fs";'],
  ])("keeps %s from %s", (path, text) => {
    expect(broken(path, text)).toEqual(["package"]);
  });

  it.each([
    ["src/client/connection/grpc-transport.ts", 'import { Client } from "@grpc/grpc-js";'],
    ["src/server/rpc/serve.ts", 'import { createServer } from "node:http2";'],
    ["src/server/storage/database.ts", 'const Database = require("better-sqlite3");'],
    ["src/server/state/machine.ts", 'import { BinaryReader } from "@bufbuild/protobuf/wire";'],
  ])("lets %s have %s", (path, text) => {
    expect(broken(path, text)).toEqual([]);
  });
});

describe("purity", () => {
  it.each([
    ["src/server/raft/core.ts", "const now = Date.now();"],
    ["src/server/raft/core.ts", "const now = performance.now();"],
    ["src/server/raft/core.ts", "const draw = Math.random();"],
    ["src/server/state/machine.ts", "const id = process.pid;"],
    ["src/server/state/machine.ts", "const started = new Date();"],
    ["src/server/state/lease.ts", "const id = crypto.randomUUID();"],
    ["src/server/state/lease.ts", 'console.log("granted");'],
    ["src/server/state/mvcc/read.ts", "keys.sort((a, b) => a.localeCompare(b));"],
    ["src/server/raft/log.ts", 'import { readFileSync } from "node:fs";'],
    ["src/server/state/machine.ts", 'import { randomBytes } from "node:crypto";'],
    ["src/server/state/machine.ts", "const text = `at ${Date.now()}`;"],
    ["src/server/state/machine.ts", "const page = fetch(url);"],
  ])("refuses in %s: %s", (path, text) => {
    expect(broken(path, text)).toEqual(["purity"]);
  });

  it.each([
    ["src/server/state/machine.ts", 'import { crc32 } from "node:zlib";'],
    ["src/server/raft/core.ts", "// Not a Date, not a process: the tick comes in as an event."],
    ["src/server/raft/core.ts", 'invariant(ok, "process the Date of performance");'],
    ["src/server/raft/core.ts", "this.process(event); const row = { process: 1 };"],
    ["src/server/state/mvcc/read.ts", "interface Source { fetch(order: Order, rowsMax: number): Row[] }"],
    ["src/server/replica/replica.ts", "const now = Date.now();"],
  ])("lets %s have %s", (path, text) => {
    expect(broken(path, text)).toEqual([]);
  });
});

describe("suspension", () => {
  it.each([
    ["src/server/raft/core.ts", "export async function campaign() {}"],
    ["src/server/storage/log-store.ts", "const done = new Promise((resolve) => resolve(1));"],
    ["src/server/state/machine.ts", "const apply = async () => {};"],
    ["src/server/watch/hub.ts", "await flush();"],
    ["src/server/watch/hub.ts", "flush().then(() => undefined);"],
    ["src/server/storage/state-store.ts", "setImmediate(() => checkpoint());"],
  ])("refuses in %s: %s", (path, text) => {
    expect(broken(path, text)).toContain("suspension");
  });

  it.each([
    ["src/server/replica/turn.ts", "export async function turn(): Promise<void> {}"],
    ["src/server/storage/log-store.ts", "// The caller must await nothing: no Promise here."],
    ["src/server/raft/core.ts", 'invariant(ok, "async append is still under way");'],
  ])("lets %s have %s", (path, text) => {
    expect(broken(path, text)).toEqual([]);
  });
});

describe("size", () => {
  it("refuses a source file one line over the limit and takes one at the limit", () => {
    expect(broken("src/server/raft/core.ts", lines(linesMax.source + 1))).toEqual(["size"]);
    expect(broken("src/server/raft/core.ts", lines(linesMax.source))).toEqual([]);
  });

  it("gives tests twice the room, and generated code all it wants", () => {
    expect(broken("test/server/raft/core.test.ts", lines(linesMax.test + 1))).toEqual(["size"]);
    expect(broken("test/server/raft/core.test.ts", lines(linesMax.test))).toEqual([]);
    expect(broken("proto/gen/etcd/rpc.ts", lines(10_000))).toEqual([]);
  });
});

describe("purpose", () => {
  it.each([
    "#!/usr/bin/env node\nexport const a = 1;\n",
    "/** */\nexport const a = 1;\n",
    "/**\n */\nexport const a = 1;\n",
  ])("refuses a file that opens with %j", (text) => {
    expect(broken("src/server/raft/core.ts", text)).toEqual(["purpose"]);
  });

  it("refuses a file that opens with code", () => {
    const violations = checkHouse([{ path: "src/client/kv.ts", text: "export const a = 1;\n" }]);
    expect(violations.map((violation) => violation.rule)).toEqual(["purpose"]);
  });

  it.each([
    "/** What it is for. */\n",
    "/**\n * What it is for.\n */\n",
    "#!/usr/bin/env node\n/** What it is for. */\n",
  ])("takes %j", (text) => {
    expect(broken("src/server/raft/core.ts", text)).toEqual([]);
  });
});

describe("names and exports", () => {
  it.each(["utils", "util", "common", "shared", "helpers", "misc"])("refuses a file called %s.ts", (base) => {
    expect(broken(`src/client/${base}.ts`, "export const a = 1;")).toEqual(["name"]);
  });

  it.each([
    ["src/client/index.ts", 'export * from "./client.js";'],
    ["src/client/client.ts", "export default class Client {}"],
    ["src/client/client.ts", "export { Client as default };"],
    ["src/cli/commands/get.ts", 'export * from "../base-command.js";'],
  ])("refuses in %s: %s", (path, text) => {
    expect(broken(path, text)).toEqual(["export"]);
  });

  it("lets an oclif command export its class by default", () => {
    expect(broken("src/cli/commands/lease/grant.ts", "export default class Grant {}")).toEqual([]);
  });
});

describe("text", () => {
  it.each(unfinishedWords)("refuses the word %s, in comments and in documents", (word) => {
    expect(broken("src/client/kv.ts", `// ${word}: later`)).toEqual(["unfinished"]);
    expect(broken("README.md", `Some day (${word}).`)).toEqual(["unfinished"]);
  });

  it.each(["work", "opt", "root", "home", "tmp", "Users"])("refuses a path of somebody's machine under %s", (top) => {
    expect(broken("src/client/kv.ts", `const path = "/${top}/somewhere/file";`)).toEqual(["machine"]);
    expect(broken("CONTRIBUTING.md", `Look in /${top}/somewhere.`)).toEqual(["machine"]);
  });

  it("takes an API path and a folder of the tree", () => {
    expect(broken("README.md", "POST /v3/kv/put, GET /health; see src/server/raft/ and test/tmp/x.")).toEqual([]);
  });
});

describe("reading a source", () => {
  it("is not fooled by quotes in regular expressions, by templates in templates or by escapes", () => {
    const tricky = [
      "const quote = /[\"'`]/g.exec(text);",
      "const half = total / 2; const third = total / 3;",
      "const deep = `a ${`b ${c} d`} e`;",
      'const escaped = "a \\" async await Promise";',
      "const object = { a: `${x}`, b: 1 };",
    ].join("\n");
    expect(broken("src/server/raft/core.ts", tricky)).toEqual([]);
    expect(broken("src/server/raft/core.ts", `${tricky}\nconst late = Date.now();`)).toEqual(["purity"]);
  });
});

/** What a user gets from npm who wants the SDK only: it compiles nothing, loads little, and fits every way of importing. */
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Format } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../../src/server/testing/index.js";
import { type Project, root, sdkOnlyProject } from "./installed.js";

let project: Project;
let server: TestServer;

beforeAll(async () => {
  project = await sdkOnlyProject();
  server = await startTestServer();
}, 180_000);
afterAll(async () => {
  await server.close();
  await project[Symbol.asyncDispose]();
});

/** Prints the URL of every module that is loaded, whichever way. */
const tracer = `
import { register } from "node:module";
import Module from "node:module";
register("data:text/javascript," + encodeURIComponent(
  'import { writeSync } from "node:fs"; export async function load(url, context, next) { writeSync(2, url + "\\\\n"); return next(url, context); }'));
const original = Module._load;
Module._load = function (request, ...rest) { process.stderr.write("require:" + request + "\\n"); return original.call(this, request, ...rest); };
`;

/** A program that writes a key and reads it back. */
const roundTrip = (imports: string): string => `
${imports}
async function main() {
  const client = createClient({ endpoints: ${JSON.stringify(server.endpoint)} });
  await client.put("from-the-package", "hello");
  console.log((await client.get("from-the-package"))?.value);
  await client.close();
}
main();
`;

describe("an installation without what is optional", () => {
  it("has no native code and no SQLite", async () => {
    expect(existsSync(join(project.directory, "node_modules/better-sqlite3"))).toBe(false);
    const files = await readdir(join(project.directory, "node_modules"), { recursive: true });
    expect(files.filter((file) => file.endsWith(".node"))).toEqual([]);
    expect(files.length).toBeGreaterThan(100);
  });

  it("loads neither oclif nor SQLite nor gRPC for importing the root", async () => {
    await project.command(process.execPath, [
      "-e",
      `require("fs").writeFileSync("tracer.mjs", ${JSON.stringify(tracer)})`,
    ]);
    const { stderr } = await project.node("import.mjs", 'import "litecd";', ["--import", "./tracer.mjs"]);
    const loaded = stderr.split("\n");
    expect(loaded.some((url) => url.includes("litecd/dist/lib/index.js"))).toBe(true);
    expect(loaded.filter((url) => /oclif|sqlite|grpc-js|inquirer/.test(url))).toEqual([]);
  });

  it("talks to a server as an ES module", async () => {
    const { stdout, stderr } = await project.node("esm.mjs", roundTrip('import { createClient } from "litecd";'));
    expect({ stdout, stderr }).toEqual({ stdout: "hello\n", stderr: "" });
  });

  it("talks to a server by require(), without a warning", async () => {
    const { stdout, stderr } = await project.node(
      "common.cjs",
      roundTrip('const { createClient } = require("litecd");'),
    );
    expect({ stdout, stderr }).toEqual({ stdout: "hello\n", stderr: "" });
  });

  it("is one copy, whether required or imported", async () => {
    const code = `
      const required = require("litecd");
      import("litecd").then((imported) => console.log(required.EtcdError === imported.EtcdError));
    `;
    expect((await project.node("both.cjs", code)).stdout).toBe("true\n");
  });

  it.each(["concurrency", "cache", "mirror", "discovery", "otel"])("loads litecd/%s", async (name) => {
    const code = `import * as all from "litecd/${name}"; console.log(Object.keys(all).length > 0);`;
    expect((await project.node(`${name}.mjs`, code)).stdout).toBe("true\n");
  });

  it("says what to do when a server is wanted", async () => {
    const code = `
      import { startTestServer } from "litecd/testing";
      await startTestServer().catch((error) => console.log(error.message));
    `;
    expect((await project.node("testing.mjs", code)).stdout).toMatch(/better-sqlite3.*npm install/s);
  });

  it("has a litectl that works", async () => {
    const litectl = join(project.directory, "node_modules/.bin/litectl");
    const put = await project.command(litectl, ["put", "by", "litectl", "--endpoints", server.endpoint]);
    expect(put.stdout).toBe("OK\n");
  });
});

describe("the types", () => {
  it.each([
    { module: "nodenext", resolution: "nodenext" },
    { module: "preserve", resolution: "bundler" },
  ])("stand up to a strict program that resolves as $resolution does", async ({ module, resolution }) => {
    const flags =
      `--noEmit --strict --skipLibCheck false --exactOptionalPropertyTypes --target es2023 --lib es2023,esnext.disposable ` +
      `--types node --module ${module} --moduleResolution ${resolution}`;
    const types = join(root, "node_modules/@types");
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    const compile = [compiler, ...flags.split(" "), "--typeRoots", types, "user.ts"];
    await writeFile(join(project.directory, "user.ts"), typedProgram);
    const { stdout } = await project.command(process.execPath, compile).catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  });
});

/** Every way in, and a type that would be \`any\` if a declaration could not be found. */
const typedProgram = `
import { createClient, type KeyValue } from "litecd";
import * as cache from "litecd/cache";
import * as concurrency from "litecd/concurrency";
import * as discovery from "litecd/discovery";
import * as mirror from "litecd/mirror";
import * as otel from "litecd/otel";
import * as server from "litecd/server";
import * as testing from "litecd/testing";
const client = createClient({ endpoints: "127.0.0.1:2379" });
export const kv: Promise<KeyValue<string> | undefined> = client.get("a");
// @ts-expect-error: a revision is a bigint
export const revision: Promise<number> = client.put("a", "b").then(({ header }) => header.revision);
export const faces: readonly object[] = [cache, concurrency, discovery, mirror, otel, server, testing];
`;

describe("a bundle made by esbuild", () => {
  it.each<{ format: Format; file: string }>([
    { format: "esm", file: "bundled.mjs" },
    { format: "cjs", file: "bundled.cjs" },
  ])("runs as $format, alone", async ({ format, file }) => {
    await build({
      stdin: {
        contents: roundTrip('import { createClient } from "litecd";'),
        resolveDir: project.directory,
      },
      bundle: true,
      platform: "node",
      target: "node20",
      format,
      outfile: join(project.directory, "alone", file),
      logLevel: "silent",
      ...(format === "esm" ? { banner: { js: requireForEsm } } : {}),
    });
    const { stdout } = await project.command(process.execPath, [join("alone", file)]);
    expect(stdout).toBe("hello\n");
  });
});

/** grpc-js is CommonJS: a bundle that is an ES module has to bring a \`require\` for Node's own modules. */
const requireForEsm =
  'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);';

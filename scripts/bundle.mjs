#!/usr/bin/env node
/**
 * Bundles the two programs, `litectl` into dist/cli and `litecd` with the files that its threads run into dist/server, and
 * what the package exports into dist/lib. A short command, the start of a member and an import would spend much of their
 * time on finding and reading small modules.
 */
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const threadsDirectory = "src/server/replica/threads";
const threads = {
  "log-thread": `${threadsDirectory}/log-thread.ts`,
  "state-thread": `${threadsDirectory}/state-thread.ts`,
  "helper-thread": `${threadsDirectory}/helper-thread.ts`,
};
const program = {
  // They bring a native library or are large and seldom needed, and are optional.
  external: ["better-sqlite3"],
  // Packages that are CommonJS ask for Node's own modules with `require`, which an ES module does not have.
  banner: {
    js: 'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);',
  },
  minifySyntax: true,
  minifyWhitespace: true,
};
// The user's package manager brings the other packages, once for all who need them. Of protobuf only two small files are
// used, which come along: to find them takes longer than to read them.
const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const library = {
  external: Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }).filter(
    (name) => name !== "@bufbuild/protobuf",
  ),
};

await Promise.all([
  bundle("dist/cli", { main: "src/cli/main.ts" }, program),
  bundle("dist/server", { main: "src/server/main.ts", ...threads }, program),
  bundle(
    "dist/lib",
    {
      index: "src/client/index.ts",
      ...Object.fromEntries(
        ["cache", "concurrency", "discovery", "mirror", "otel"].map((name) => [name, `src/client/${name}/index.ts`]),
      ),
      server: "src/server/index.ts",
      testing: "src/server/testing/index.ts",
      proto: "proto/index.ts",
      ...threads,
    },
    library,
  ),
]);

async function bundle(outdir, entryPoints, options) {
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints,
    outdir,
    bundle: true,
    // What is loaded only when it is needed, and what entries share, stays in files of its own.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
    ...options,
  });
}

#!/usr/bin/env node
/**
 * Bundles the two programs: `litectl` into dist/cli, `litecd` and the files that its threads run into dist/server. A short
 * command, and the start of a member, would spend much of their time on finding and reading small modules.
 */
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const threads = "src/server/replica/threads";
const programs = {
  "dist/cli": { main: "src/cli/main.ts" },
  "dist/server": {
    main: "src/server/main.ts",
    "log-thread": `${threads}/log-thread.ts`,
    "state-thread": `${threads}/state-thread.ts`,
    "helper-thread": `${threads}/helper-thread.ts`,
  },
};
// Packages that are CommonJS ask for Node's own modules with `require`, which an ES module does not have.
const banner =
  'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);';

await Promise.all(Object.entries(programs).map(([outdir, entryPoints]) => bundle(entryPoints, outdir)));

async function bundle(entryPoints, outdir) {
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints,
    outdir,
    bundle: true,
    // What a program loads only when it needs it stays in files of its own.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    // It brings a native library, and is optional.
    external: ["better-sqlite3"],
    banner: { js: banner },
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: "warning",
  });
}

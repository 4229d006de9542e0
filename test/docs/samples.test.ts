/** Runs every program in the README and the guides as it stands there, each against a server of its own. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer } from "../../src/server/testing/index.js";
import { type Sample, samplesIn } from "./samples.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Inside the package, so that \`import "litecd"\` means this one, as built. */
const directory = join(root, "dist/samples");

const files = [
  "README.md",
  ...readdirSync(join(root, "docs/guides"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/guides/${name}`),
];

beforeAll(() => {
  mkdirSync(directory, { recursive: true });
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a program whose endpoint is that of a new server; resolves with what it printed. */
async function run({ name, code }: Sample): Promise<string> {
  await using server = await startTestServer();
  const here = code.replaceAll("127.0.0.1:2379", server.endpoint);
  const options = { loader: "ts", target: "node20", format: "esm", supported: { "top-level-await": true } } as const;
  const program = join(directory, `${name.replaceAll(/[^\w]/g, "-")}.mjs`);
  writeFileSync(program, (await transform(here, options)).code);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
    cwd: directory,
    timeout: 20_000,
  });
  expect(stderr).toBe("");
  return stdout;
}

describe.each(files)("%s", (file) => {
  const samples = samplesIn(root, file);
  it.skipIf(samples.length === 0).concurrent.each(samples)("$name", { timeout: 30_000 }, async (sample) => {
    const printed = await run(sample);
    if (sample.prints !== undefined) expect(printed).toBe(sample.prints);
  });
});

/** The recipes for test suites, run as their users run them: in this process, and against an etcd that runs already. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { realEtcdMissing, startRealEtcd } from "../support/real-etcd.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

const recipes = {
  vitest: { args: ["node_modules/vitest/vitest.mjs", "run", "--root", "examples/testing/vitest"], passed: /3 passed/ },
  jest: {
    args: ["--experimental-vm-modules", "node_modules/jest/bin/jest.js", "--rootDir", "examples/testing/jest"],
    passed: /2 passed/,
  },
} as const;
const names = ["vitest", "jest"] as const;

/** What the runner said; rejects if a test failed. What this run is told about itself is not handed on. */
async function run(name: keyof typeof recipes, endpoint: string): Promise<string> {
  const own = Object.entries(process.env).filter(([key]) => !/^(VITEST|NODE_ENV|JEST)/.test(key));
  const env = { ...Object.fromEntries(own), ETCD_ENDPOINT: endpoint, NO_COLOR: "1" };
  const options = { cwd: root, env, timeout: 60_000 };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...recipes[name].args], options);
  return stdout + stderr;
}

describe("the recipe", () => {
  it.each(names)("for %s passes with a server of its own", { timeout: 70_000 }, async (name) => {
    expect(await run(name, "")).toMatch(recipes[name].passed);
  });

  it.skipIf(realEtcdMissing !== undefined).each(names)(
    "for %s passes against an etcd that runs already",
    { timeout: 70_000 },
    async (name) => {
      const etcd = await startRealEtcd();
      try {
        expect(await run(name, etcd.endpoint)).toMatch(recipes[name].passed);
      } finally {
        await etcd.stop();
      }
    },
  );
});

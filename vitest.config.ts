import { defineConfig } from "vitest/config";

/** They start clusters and simulations that need the whole machine: alone, one file after the other, when all else is done. */
const heavy = ["test/chaos/**/*.test.ts", "test/cluster/**/*.test.ts", "test/sim/**/*.test.ts"];
/**
 * The SDK and what shows it, and a few others: these mostly wait, for leases and for servers of their own, so more of them fit
 * side by side.
 */
const waiting = [
  ...["client", "docs", "examples", "interop", "package", "server/testing"].map((room) => `test/${room}/**/*.test.ts`),
  "test/conformance/lease-life.test.ts",
];

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // A condition is waited for as long as a test may take: how busy the machine is says nothing of it.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    projects: [
      {
        extends: true,
        test: {
          name: "house",
          include: ["test/**/*.test.ts"],
          exclude: [...heavy, ...waiting],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: "sdk", include: waiting, maxWorkers: 4, sequence: { groupOrder: 1 } } },
      {
        extends: true,
        test: { name: "worlds", include: heavy, maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 2 } },
      },
    ],
  },
});

import { defineConfig } from "vitest/config";

/** They start clusters and simulations that need the whole machine: alone, one file after the other, when all else is done. */
const heavy = ["test/chaos/**/*.test.ts", "test/cluster/**/*.test.ts", "test/sim/**/*.test.ts"];

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 20_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "house",
          include: ["test/**/*.test.ts"],
          exclude: heavy,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "worlds", include: heavy, maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});

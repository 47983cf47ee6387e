import { defineConfig } from "vitest/config";

/** Two cores are what CI has; more forks only make each other's I/O slower. */
const FORKS_MAX = 2;

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: FORKS_MAX,
    passWithNoTests: true,
    projects: [
      {
        extends: true,
        test: {
          name: "parts",
          include: ["test/{unit,golden,contract,property}/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          // Suites that run a whole array, or several, under load: one after the other, after everything else.
          name: "array",
          include: ["test/{conformance,simulation}/**/*.test.ts"],
          maxWorkers: 1,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

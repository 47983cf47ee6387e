import { defineConfig } from "vitest/config";

/** Two cores are what CI has; more forks only make each other's I/O slower. */
const FORKS_MAX = 2;

/** Suites that ask whether answers are right, and neither how long they take nor what a load meets: two arrays at a time. */
const SIDE_BY_SIDE = [
  "bad-input",
  "crash-mutants",
  "damage",
  "director-restart",
  "image",
  "journal-mirror",
  "lba-status",
  "libiscsi",
  "pdulint",
  "pool-moves",
  "powerloss",
  "powerloss-mutants",
  "raid-levels",
  "replace-drive",
].map((name) => `test/conformance/${name}.test.ts`);

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: FORKS_MAX,
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
          name: "array",
          include: SIDE_BY_SIDE,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          // Suites that run a whole array, or several, under load: one after the other, after everything else.
          name: "load",
          include: ["test/{conformance,simulation}/**/*.test.ts"],
          exclude: SIDE_BY_SIDE,
          maxWorkers: 1,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

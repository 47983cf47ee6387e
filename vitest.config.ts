import { defineConfig } from "vitest/config";

/** Two cores are what CI has; more forks only make each other's I/O slower. */
const FORKS_MAX = 2;

/** Suites that ask whether answers are right, and not what the array costs or how long hosts wait: two arrays at a time. */
const SIDE_BY_SIDE = [
  "conformance/bad-input",
  "conformance/crash",
  "conformance/crash-mutants",
  "conformance/crash-states",
  "conformance/damage",
  "conformance/director-restart",
  "conformance/drive-faults",
  "conformance/image",
  "conformance/journal-full",
  "conformance/journal-mirror",
  "conformance/lba-status",
  "conformance/levels-under-load",
  "conformance/libiscsi",
  "conformance/pdulint",
  "conformance/pool-moves",
  "conformance/powerloss",
  "conformance/powerloss-mutants",
  "conformance/raid-levels",
  "conformance/readonly-pool",
  "conformance/replace-drive",
  "conformance/start",
  "conformance/unreachable",
  // Where it has not to build first (scripts/test.mjs).
  ...(process.env.VARRAY_SIMULATION_BUILT === "1" ? ["simulation/simulation"] : []),
].map((name) => `test/${name}.test.ts`);

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
          // Suites that look at memory, or at how long hosts wait: one after the other, after everything else.
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

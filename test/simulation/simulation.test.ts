/**
 * The simulation in the test suite: every seed that ever failed, the same seed twice, and some new seeds.
 * docs/testing.md says how to run more.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { DIST } from "../support/array.ts";
import { KNOWN_SEEDS } from "./known-seeds.ts";
import { MUTATIONS } from "./mutations.ts";

/** Half a minute on two free cores. */
const SEEDS = Number(process.env["VARRAY_SIMULATION_SEEDS"] ?? 100);
const PROJECT = dirname(DIST);

function simulate(...options: string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(DIST, "test/simulation/main.js"), ...options], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on("close", (status) => resolve({ status, output }));
  });
}

describe("simulation", () => {
  beforeAll(() => {
    // `npm test` has done it: it would be no good beside suites that start arrays from dist/.
    if (process.env.VARRAY_SIMULATION_BUILT === "1") return;
    execFileSync(
      process.execPath,
      [join(PROJECT, "node_modules/typescript/bin/tsc"), "-p", join(PROJECT, "tsconfig.simulation.json")],
      {
        stdio: "inherit",
      },
    );
  }, 120_000);

  test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
    "the planted bug still fits: %s",
    (_name, { patches }) => {
      for (const { file, find } of patches) {
        const code = readFileSync(join(DIST, file), "utf8");
        expect([...code.matchAll(new RegExp(find, "g"))]).toHaveLength(1);
      }
    },
  );

  // All of them take minutes: `npm run simulate:mutations`.
  test.each(["FUA does not wait for the fdatasync", "the trim forgets dirty blocks", "a flush waits for nothing"])(
    "finds a planted bug: %s",
    { timeout: 600_000 },
    async (name) => {
      const child = spawn(process.execPath, [join(DIST, "test/simulation/mutate.js"), "--only", name, "--jobs", "1"]);
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
      await once(child, "close");
      expect(output).toContain("1 of 1 found");
    },
  );

  test("does the same for the same seed, event by event", { timeout: 120_000 }, async () => {
    const traces = async () =>
      (await simulate("--seed", "77", "--seeds", "3", "--jobs", "1", "--verbose")).output.match(/^seed .*$/gm);
    const once = await traces();
    expect(once).toHaveLength(3);
    expect(new Set(once).size).toBe(3);
    expect(await traces()).toEqual(once);
  });

  /** Seeds by the flags that they were found with. */
  const knownWith = new Map<string, number[]>();
  for (const { seed, mirrored, healing, swarm } of KNOWN_SEEDS) {
    const flags = [mirrored && "--mirrored", healing && "--healing", swarm && `--swarm ${swarm}`].filter(Boolean).join(" ");
    knownWith.set(flags, [...(knownWith.get(flags) ?? []), seed]);
  }

  test.each([...knownWith])(
    "finds nothing any more in the seeds that once failed, %s",
    { timeout: 600_000 },
    async (flags, seeds) => {
      const options = flags.split(" ").filter((flag) => flag !== "");
      const { status, output } = await simulate("--only", seeds.join(","), ...options);
      expect(output).toContain(`${seeds.length} seeds`);
      expect(status, output).toBe(0);
    },
  );

  test("finds nothing in new seeds", { timeout: (SEEDS * 4 + 120) * 1000 }, async () => {
    const first = Math.floor(Math.random() * 1e9);
    process.stdout.write(`simulation: seeds from ${first} on\n`);
    const { status, output } = await simulate("--seed", String(first), "--seeds", String(SEEDS));
    process.stdout.write(`${output.trimEnd().split("\n").slice(-3).join("\n")}\n`);
    expect(status, output).toBe(0);
  });
});

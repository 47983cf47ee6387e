/**
 * Parts that are programs of their own, because they start arrays of their own and can be run by themselves: read misses
 * (misses.mjs), healing (healing.ts), and the overwrite that goes on for ten minutes (sustained.ts). They run when the array of the other parts is gone.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../array-under-test.ts";
import type { HealingResults } from "../healing-results.ts";
import type { BenchOptions } from "../options.ts";
import { removeFolder, run, temporaryFolder } from "../started.ts";

const MILLISECONDS_MAX = 25 * 60_000;
const SUSTAINED_SECONDS = 600;
const HEALING_REPS_MAX = 3;

/** Medians of what misses.mjs prints, of which the goals are shares. */
export interface MissResults {
  readonly goals: { readonly randomMissesOfGetMany16?: number; readonly sequentialOfRaw?: number };
  readonly medians: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

interface SustainedWindow {
  readonly atSeconds: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p99Milliseconds: number;
  readonly p999Milliseconds: number;
  readonly worstMilliseconds: number;
}

export interface SustainedResults {
  /** Of the raw fill rate less parity. */
  readonly share: number;
  readonly windows: readonly SustainedWindow[];
}

export async function measureMisses({ dataFolder, reps }: BenchOptions): Promise<MissResults> {
  const folder = temporaryFolder(dataFolder);
  const printed = await program("bench/misses.mjs", ["--reps", `${Math.min(reps, 3)}`, "--data", folder]);
  removeFolder(folder);
  const { goals, medians } = JSON.parse(printed) as MissResults;
  return { goals, medians };
}

export async function measureHealing({ dataFolder, reps }: BenchOptions): Promise<HealingResults> {
  const folder = temporaryFolder(dataFolder);
  const out = join(folder, "healing.json");
  const args = ["--reps", `${Math.min(reps, HEALING_REPS_MAX)}`, "--data", folder, "--out", out];
  await program("dist/bench/healing.js", args);
  const results = JSON.parse(readFileSync(out, "utf8")) as HealingResults;
  removeFolder(folder);
  return results;
}

export async function measureSustained({ dataFolder }: BenchOptions): Promise<SustainedResults> {
  const folder = temporaryFolder(dataFolder);
  const out = join(folder, "sustained.json");
  await program("dist/bench/sustained.js", ["--seconds", `${SUSTAINED_SECONDS}`, "--data", folder, "--out", out]);
  const { share, windows } = JSON.parse(readFileSync(out, "utf8")) as SustainedResults;
  removeFolder(folder);
  return { share, windows };
}

/** What it printed. */
async function program(file: string, args: readonly string[]): Promise<string> {
  if (!existsSync(join(ROOT, file))) throw new Error(`${file} is not there: npm run build, tsc -p tsconfig.bench.json`);
  const { status, stdout, stderr } = await run(process.execPath, [join(ROOT, file), ...args], {
    cwd: ROOT,
    millisecondsMax: MILLISECONDS_MAX,
    patienceAtEnd: true,
  });
  if (status !== 0) throw new Error(`${file} ended with status ${status}: ${stderr.trim().split("\n").slice(-5).join("\n")}`);
  return stdout;
}

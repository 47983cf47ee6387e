/** What one run leaves behind: a file of JSON, from which docs/performance.md is made. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "./array-under-test.ts";
import type { HealingResults } from "./healing-results.ts";
import type { Commit, Machine } from "./machine.ts";
import type { MemoryResults } from "./memory-watch.ts";
import type { MissResults, SustainedResults } from "./parts/alone.ts";
import type { DurableResults } from "./parts/durable.ts";
import type { EndlessResults } from "./parts/endless.ts";
import type { PairRow } from "./parts/pairs.ts";
import type { ScrapeRow } from "./parts/scrapes.ts";

/** Raised when a reader of older files would misunderstand. */
export const RESULTS_VERSION = 1;

export interface Results {
  readonly version: typeof RESULTS_VERSION;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly minutes: number;
  readonly commit: Commit;
  readonly machine: Machine;
  readonly options: {
    readonly isQuick: boolean;
    readonly reps: number;
    readonly seconds: number;
    readonly spanMebibytes: number;
  };
  /** Load averages of the last minute, before and after. */
  readonly load: { readonly before: number; readonly after: number };
  /** Parts that were asked for and failed, with the reason. */
  readonly failures: readonly string[];
  readonly memory: MemoryResults;
  readonly pairs?: readonly PairRow[];
  readonly endless?: EndlessResults;
  readonly misses?: MissResults;
  readonly healing?: HealingResults;
  readonly sustained?: SustainedResults;
  readonly durable?: DurableResults;
  readonly scrapes?: readonly ScrapeRow[];
}

export const RESULTS_FOLDER = join(ROOT, "bench/results");

/** Significant digits that are kept: far more than any of them is worth. */
const DIGITS = 6;

/** @returns the file's name */
export function writeResults(results: Results, out: string | undefined): string {
  const file = out ?? join(RESULTS_FOLDER, `${results.startedAt.replace(/[:.]/g, "-")}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, rounded, 1)}\n`);
  return file;
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
}

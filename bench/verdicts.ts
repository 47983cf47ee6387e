/** What was measured against its goals: the parts that are not pairs (pair-verdicts.ts has those). */
import {
  atLeast,
  atMost,
  DATA_SHARE,
  ENDLESS_SHARE_OF_FILL,
  FUA_GOAL,
  HEALING_GOAL,
  MEMORY_GOAL,
  MISS_GOAL,
  SUSTAINED_GOAL,
  type Verdict,
} from "./goals.ts";
import type { HealingBeside, HealingResults } from "./healing-results.ts";
import { medianOf } from "./measurement.ts";
import type { MemoryResults } from "./memory-watch.ts";
import type { MissResults, SustainedResults } from "./parts/alone.ts";
import type { DurableResults } from "./parts/durable.ts";
import type { EndlessResults, EndlessRow } from "./parts/endless.ts";
import { median } from "./statistics.ts";

/** Of what the drives take, less parity: what a host can have at best. */
export function endlessVerdict({ rawFill }: EndlessResults, { measurements }: EndlessRow): Verdict {
  const share = medianOf(measurements, (one) => one.bytesPerSecond) / (median(rawFill) * DATA_SHARE);
  return atLeast("of the raw fill rate", share, ENDLESS_SHARE_OF_FILL);
}

export function durableVerdicts({ rawJournal, withFua, withoutFua }: DurableResults): Verdict[] {
  const rate = medianOf(withFua, (one) => one.iops);
  const bar = Math.min(
    median(rawJournal),
    medianOf(withoutFua, (one) => one.iops),
  );
  return [atLeast("FUA writes a second", rate, FUA_GOAL.iops), atLeast("of raw or non-FUA", rate / bar, FUA_GOAL.share)];
}

export function missVerdicts({ goals }: MissResults): Verdict[] {
  const { randomMissesOfGetMany16: random, sequentialOfRaw: sequential } = goals;
  return [
    ...(random === undefined ? [] : [atLeast("4K random, of raw getMany", random, MISS_GOAL.random)]),
    ...(sequential === undefined ? [] : [atLeast("256K in order, of raw", sequential, MISS_GOAL.sequential)]),
  ];
}

export function healingVerdicts(results: HealingResults): Verdict[] {
  const { raw, quiet, beside } = results;
  const copy = median(raw.copyBytesPerSecond);
  const ofCopy = (name: string, rates: readonly number[]) =>
    atLeast(`${name}, of the raw copy`, median(rates) / copy, HEALING_GOAL.ofRawCopy);
  return [
    ofCopy("rebuild", quiet.rebuild),
    ofCopy("copy-back", quiet.copyBack),
    ofCopy("scrub", quiet.scrub),
    ...beside.map((row) =>
      atLeast(
        `${row.work} beside hosts, of ${row.share} %`,
        shareReached(results, row) / (row.share / 100),
        HEALING_GOAL.ofSetShare,
      ),
    ),
  ];
}

/** Of the rate while hosts are quiet. */
export function shareReached({ quiet }: HealingResults, { work, bytesPerSecond }: HealingBeside): number {
  return median(bytesPerSecond) / median(quiet[work]);
}

/** The slowest window counts. */
export function sustainedVerdicts({ share, windows }: SustainedResults): Verdict[] {
  const most = (pick: (window: SustainedResults["windows"][number]) => number) => Math.max(...windows.map(pick));
  return [
    atLeast("of the raw fill rate", share, SUSTAINED_GOAL.share),
    atMost(
      "p99.9, ms",
      most((window) => window.p999Milliseconds),
      SUSTAINED_GOAL.p999Milliseconds,
    ),
    atMost(
      "slowest I/O, ms",
      most((window) => window.worstMilliseconds),
      SUSTAINED_GOAL.worstMilliseconds,
    ),
  ];
}

export function memoryVerdict({ peakBytes, framesBytes, drives }: MemoryResults): Verdict {
  const goal = (framesBytes + MEMORY_GOAL.besidesBytes + drives * MEMORY_GOAL.perDriveBytes) / 2 ** 20;
  return atMost("peak memory, MiB", peakBytes / 2 ** 20, goal);
}

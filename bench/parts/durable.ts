/**
 * Writes that must survive a power cut: FUA, so that each answer waits for fdatasync of the journal. In turn with them the
 * same writes without FUA, and what a journal's file takes at best (raw/journal-file.ts): the goal is half of the smaller.
 */
import type { BenchRun } from "../bench-run.ts";
import { addCounted } from "../counted.ts";
import type { Measurement } from "../measurement.ts";
import { rawJournalRate } from "../raw/run-raw.ts";

const WITHOUT = { mode: "randwrite", bytes: 4096, depth: 32 } as const;
const WITH = { ...WITHOUT, fua: true };
const AT_DEPTH_1 = { ...WITH, depth: 1 };

export interface DurableResults {
  /** Records a second, of each repeat. */
  readonly rawJournal: readonly number[];
  readonly withoutFua: readonly Measurement[];
  readonly withFua: readonly Measurement[];
  readonly withFuaDepth1: readonly Measurement[];
  readonly counted: Readonly<Record<string, number>>;
}

export async function measureDurable(run: BenchRun): Promise<DurableResults> {
  const rawJournal: number[] = [];
  const withoutFua: Measurement[] = [];
  const withFua: Measurement[] = [];
  const withFuaDepth1: Measurement[] = [];
  const counted: Record<string, number> = {};
  const steps = [
    async () => void rawJournal.push(await rawJournalRate(run.options.dataFolder, run.options.seconds)),
    async () => void withoutFua.push((await run.measure("owner", WITHOUT)).measurement),
    async () => {
      const { measurement, counted: delta } = await run.measure("owner", WITH);
      withFua.push(measurement);
      addCounted(counted, delta);
    },
    async () => void withFuaDepth1.push((await run.measure("owner", AT_DEPTH_1)).measurement),
  ];
  for (let rep = 0; rep < run.options.reps; rep++) {
    for (const step of rep % 2 === 0 ? steps : steps.toReversed()) {
      await run.array.whenQuiet();
      await step();
    }
  }
  return { rawJournal, withoutFua, withFua, withFuaDepth1, counted };
}

/**
 * Sequential writes that never end: what is left when no cache and no burst helps. Beside them, in turn, what the drives
 * take at best (raw/zone-fill.ts). A span far larger than the cache, so that no block is written twice before it is destaged.
 */
import type { BenchRun } from "../bench-run.ts";
import { addCounted } from "../counted.ts";
import type { LoadSpec } from "../load-client.ts";
import type { Measurement } from "../measurement.ts";
import { rawZoneFill } from "../raw/run-raw.ts";

const SPECS: readonly LoadSpec[] = [
  { mode: "seqwrite", bytes: 65_536, depth: 8 },
  { mode: "seqwrite", bytes: 262_144, depth: 8 },
];
const SPAN_MEBIBYTES = 4096;
/** Until the cache is as full of dirty blocks as it may be. */
const WARM_SECONDS = 4;
const SECONDS = 8;
const REPS_MAX = 3;

export interface EndlessResults {
  /** Bytes a second, of each repeat. */
  readonly rawFill: readonly number[];
  readonly rows: readonly EndlessRow[];
}

export interface EndlessRow {
  readonly spec: LoadSpec;
  readonly measurements: Measurement[];
  readonly counted: Readonly<Record<string, number>>;
}

export async function measureEndless(run: BenchRun): Promise<EndlessResults> {
  const rawFill: number[] = [];
  const rows = SPECS.map((spec) => ({ spec, measurements: [] as Measurement[], counted: {} as Record<string, number> }));
  for (let rep = 0; rep < Math.min(run.options.reps, run.options.isQuick ? 1 : REPS_MAX); rep++) {
    await run.array.makeClean();
    await run.array.whenQuiet();
    rawFill.push(await rawZoneFill(run.options.dataFolder, SECONDS));
    for (const row of rep % 2 === 0 ? rows : rows.toReversed()) {
      await run.array.makeClean();
      await run.array.whenQuiet();
      const options = { spanMebibytes: SPAN_MEBIBYTES, seconds: SECONDS, warmSeconds: WARM_SECONDS };
      const { measurement, counted } = await run.measure("owner", row.spec, options);
      row.measurements.push(measurement);
      addCounted(row.counted, counted);
    }
  }
  await run.array.makeClean();
  return { rawFill, rows };
}

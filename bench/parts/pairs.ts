/**
 * The pairs: each test of stock tgt, tuned tgt, and the array by three paths, one after the other in the same minute, in an
 * order that turns round with each repeat. So whatever the machine does meanwhile it does to all of them.
 */
import type { BenchRun } from "../bench-run.ts";
import { addCounted } from "../counted.ts";
import { PAIR_GOALS, type PairGoal } from "../goals.ts";
import { type LoadSpec, specName } from "../load-client.ts";
import type { Measurement } from "../measurement.ts";
import type { PairTarget } from "../options.ts";

export interface PairRow {
  readonly title: string;
  readonly spec: LoadSpec;
  readonly once: boolean;
  readonly targets: Readonly<Partial<Record<PairTarget, Measurement[]>>>;
  /** What the array counted through each path, all repeats together. */
  readonly counted: Readonly<Partial<Record<PairTarget, Record<string, number>>>>;
}

/** What a test can do without: its results are not compared through these paths. */
const QUICK_ONLY_THROUGH_OWNER: ReadonlySet<PairTarget> = new Set(["other", "both"]);

export async function measurePairs(run: BenchRun, tell: (row: PairRow) => void): Promise<PairRow[]> {
  const rows: PairRow[] = [];
  for (const test of wantedTests(run)) {
    const row = await measureRow(run, test);
    tell(row);
    rows.push(row);
  }
  return rows;
}

function wantedTests({ options }: BenchRun): Pick<PairGoal, "title" | "spec" | "once" | "otherDirector">[] {
  if (options.tests === undefined) return [...PAIR_GOALS];
  return options.tests.map((spec) => {
    const known = PAIR_GOALS.find((goal) => specName(goal.spec) === specName(spec));
    return known ?? { title: specName(spec), spec, ...(spec.mode === "seqwrite" && { once: true }) };
  });
}

async function measureRow(run: BenchRun, test: Pick<PairGoal, "title" | "spec" | "once" | "otherDirector">): Promise<PairRow> {
  const { spec } = test;
  const once = test.once === true;
  const targets = targetsOf(run, test);
  const measurements: Partial<Record<PairTarget, Measurement[]>> = {};
  const counted: Partial<Record<PairTarget, Record<string, number>>> = {};
  const ops = once ? { ops: Math.floor((run.options.spanMebibytes * 2 ** 20) / spec.bytes) } : {};
  for (let rep = 0; rep < run.options.reps; rep++) {
    for (const target of rep % 2 === 0 ? targets : targets.toReversed()) {
      // What the array still has to do of itself would be taken from the reference that comes next.
      if (once) await run.array.makeClean();
      if (once || run.isReference(target)) await run.array.whenQuiet();
      // One that fails is told, and does not take the others along.
      const one = await run.measure(target, spec, ops).catch((error: unknown) => run.fail(`${target}, ${test.title}`, error));
      if (one === undefined) continue;
      measurements[target] = [...(measurements[target] ?? []), one.measurement];
      if (run.isReference(target)) continue;
      const sums = counted[target] ?? {};
      addCounted(sums, one.counted);
      counted[target] = sums;
    }
  }
  return { title: test.title, spec, once, targets: measurements, counted };
}

function targetsOf({ options }: BenchRun, test: Pick<PairGoal, "otherDirector">): PairTarget[] {
  const isLeftOut = (target: PairTarget) =>
    options.isQuick && test.otherDirector === undefined && QUICK_ONLY_THROUGH_OWNER.has(target);
  return options.targets.filter((target) => !isLeftOut(target));
}

/** A row of the pairs against its goals. */
import { atLeast, atMost, PAIR_GOALS, type PairGoal, type Verdict } from "./goals.ts";
import { specName } from "./load-client.ts";
import { type Measurement, medianOf, roleMedian } from "./measurement.ts";
import type { PairRow } from "./parts/pairs.ts";

/** The thread of the director that LUN 0 belongs to, as `varray_thread_info` names it. */
export const OWNER_THREAD = "director 1A";

export function goalOf(row: PairRow): PairGoal | undefined {
  return PAIR_GOALS.find(({ spec, once }) => specName(spec) === specName(row.spec) && (once ?? false) === row.once);
}

/** Only what was measured is judged. */
export function pairVerdicts(row: PairRow): Verdict[] {
  const goal = goalOf(row);
  const { stock, tuned, owner, other } = row.targets;
  if (goal === undefined || owner === undefined) return [];
  const iops = (measurements: readonly Measurement[]) => medianOf(measurements, (one) => one.iops);
  const p99 = (measurements: readonly Measurement[]) => medianOf(measurements, (one) => one.p99Microseconds);
  const verdicts: Verdict[] = [];
  if (stock !== undefined) verdicts.push(atLeast("x stock", iops(owner) / iops(stock), goal.stock));
  if (tuned !== undefined) verdicts.push(atLeast("x tuned", iops(owner) / iops(tuned), goal.tuned));
  if (stock !== undefined) verdicts.push(atMost("p99 / stock's", p99(owner) / p99(stock), goal.p99));
  if (goal.directorMicroseconds !== undefined) {
    const cpu = roleMedian(owner, OWNER_THREAD, (use) => use.cpuMicroseconds);
    if (!Number.isNaN(cpu)) verdicts.push(atMost("director's CPU, µs", cpu, goal.directorMicroseconds));
  }
  if (goal.otherDirector !== undefined && other !== undefined)
    verdicts.push(atLeast("other director / owner", iops(other) / iops(owner), goal.otherDirector));
  return verdicts;
}

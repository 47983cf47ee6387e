/** What a drive has to read of a run of stripes when their parity is not wanted. */
import type { RaidLevel } from "./raid-level.ts";

export interface StripRun {
  /** Counted from the first stripe. */
  readonly first: number;
  readonly count: number;
}

/**
 * An operation costs a drive about what reading a strip does: so one strip of parity between two runs of data is read with
 * them, and two are left out.
 */
const PARITIES_WORTH_LEAVING_OUT = 2;

/** The runs that a position reads to have its data strips of `count` stripes from `firstStripe` on. */
export function dataRuns(level: RaidLevel, position: number, firstStripe: number, count: number): StripRun[] {
  if (level.parities < PARITIES_WORTH_LEAVING_OUT) return [{ first: 0, count }];
  const runs: StripRun[] = [];
  for (let n = 0; n < count; ) {
    const first = n;
    while (n < count && level.role(firstStripe + n, position) >= 0) n++;
    if (n > first) runs.push({ first, count: n - first });
    while (n < count && level.role(firstStripe + n, position) < 0) n++;
  }
  return runs;
}

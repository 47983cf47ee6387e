/**
 * One time base in global memory for all threads (US 8,468,524).
 *
 * Main writes the origin once, as the machine's monotonic time in nanoseconds (process.hrtime, one clock for the whole
 * process). A thread that attaches finds how far its own performance.now() is from it, once; from then on a stamp is
 * one call and one addition. Both clocks are CLOCK_MONOTONIC, so the distance never changes.
 */
import type { Address } from "./global-memory.ts";

export interface Clock {
  /** Microseconds since the array started, comparable between threads; costs well under a microsecond. */
  nowMicroseconds(): number;
}

/** Readings taken at attach; the one with the least time around it is used. */
const CALIBRATION_READINGS = 9;

/** Main, once, before any other thread attaches. */
export function startTimeBase(buffer: SharedArrayBuffer, timeBase: Address): void {
  new BigInt64Array(buffer, timeBase, 1)[0] = process.hrtime.bigint();
}

export function attachClock(buffer: SharedArrayBuffer, timeBase: Address): Clock {
  const origin = new BigInt64Array(buffer, timeBase, 1)[0]!;
  let offsetMicroseconds = 0;
  let best = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < CALIBRATION_READINGS; reading++) {
    const before = performance.now();
    const sinceOrigin = Number(process.hrtime.bigint() - origin) / 1000;
    const after = performance.now();
    if (after - before >= best) continue;
    best = after - before;
    offsetMicroseconds = sinceOrigin - ((before + after) / 2) * 1000;
  }
  return { nowMicroseconds: () => performance.now() * 1000 + offsetMicroseconds };
}

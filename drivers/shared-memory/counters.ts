/**
 * Counters in global memory: each block has one writer thread; the control plane reads them all for /metrics.
 *
 * A subsystem declares its table once (`defineCounters`), gets at its block by `counterBlock`, and counts with plain
 * stores: `block[C.readHits]! += 1`. Values are doubles: exact to 2^53. Nothing on the data path ever waits for a reader.
 */
import type { GlobalMemory } from "./global-memory.ts";

/** Doubles in one block. */
export const COUNTER_BLOCK_SLOTS = 256;

/** Subsystems that count, and what each has one block for. */
export const COUNTER_BLOCKS = {
  frontEnd: "director",
  scsi: "director",
  channel: "director",
  cache: "director",
  director: "director",
  pool: "pool",
  journal: "pool",
  driveThread: "pool",
  drive: "drive",
  thread: "thread",
} as const;
export type CounterSubsystem = keyof typeof COUNTER_BLOCKS;
export type CounterOwner = (typeof COUNTER_BLOCKS)[CounterSubsystem];

/** Latency histograms: bucket k counts times up to 2^k µs, k = 0 … 23, the last all above; then sum in µs and count. */
export const HISTOGRAM_BUCKETS = 25;
export const HISTOGRAM_SLOTS = HISTOGRAM_BUCKETS + 2;

export interface CounterSpec {
  readonly type: "counter" | "gauge" | "histogram";
  /** Prometheus name, with `varray_` in front and unit last. Several entries may share a name and differ in labels. */
  readonly metric: string;
  readonly help: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface CounterTable<Name extends string = string> {
  readonly subsystem: CounterSubsystem;
  readonly specs: Readonly<Record<Name, CounterSpec>>;
  /** First slot of each entry in its block. */
  readonly slots: Readonly<Record<Name, number>>;
}

/** Gives every entry of a subsystem its slots, in the order of the table. */
export function defineCounters<const Specs extends Record<string, CounterSpec>>(
  subsystem: CounterSubsystem,
  specs: Specs,
): CounterTable<keyof Specs & string> {
  const slots: Record<string, number> = {};
  let next = 0;
  for (const [name, spec] of Object.entries(specs)) {
    slots[name] = next;
    next += spec.type === "histogram" ? HISTOGRAM_SLOTS : 1;
  }
  if (next > COUNTER_BLOCK_SLOTS)
    throw new RangeError(`counters of ${subsystem} need ${next} slots, a block has ${COUNTER_BLOCK_SLOTS}`);
  return { subsystem, specs, slots: slots as Record<keyof Specs & string, number> };
}

/** The block that `index` (director, pool or drive number, as the subsystem has it) writes. */
export function counterBlock(global: GlobalMemory, subsystem: CounterSubsystem, index: number): Float64Array {
  const start = global.layout.counters[subsystem] / 8 + index * COUNTER_BLOCK_SLOTS;
  return global.f64.subarray(start, start + COUNTER_BLOCK_SLOTS);
}

/** Adds one time to a histogram whose first slot is `slot`. */
export function observe(block: Float64Array, slot: number, microseconds: number): void {
  const ticks = microseconds < 1 ? 0 : Math.ceil(microseconds);
  const bucket = ticks <= 1 ? 0 : Math.min(32 - Math.clz32(ticks - 1), HISTOGRAM_BUCKETS - 1);
  block[slot + bucket]! += 1;
  block[slot + HISTOGRAM_BUCKETS]! += microseconds;
  block[slot + HISTOGRAM_BUCKETS + 1]! += 1;
}

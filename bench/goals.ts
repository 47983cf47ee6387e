/** What the array is to reach, and when a figure reaches it. The figures are those of the project's issue "Faster than C". */
import type { LoadSpec } from "./load-client.ts";

/** A test that stock tgt, tuned tgt and the array run in turn. Ratios are of operations per second, and of p99. */
export interface PairGoal {
  readonly spec: LoadSpec;
  readonly title: string;
  /** 256 MiB written once a run, with nothing dirty before: what a burst gets, and what the cache is for. */
  readonly once?: true;
  readonly stock: number;
  readonly tuned: number;
  /** Our p99 over stock tgt's: at most this. */
  readonly p99: number;
  /** CPU of the director's thread for each command: at most this. */
  readonly directorMicroseconds?: number;
  /** Through the other director alone, of the owner's rate. */
  readonly otherDirector?: number;
}

const spec = (mode: string, bytes: number, depth: number): LoadSpec => ({ mode, bytes, depth });

export const PAIR_GOALS: readonly PairGoal[] = [
  { title: "4K random read hit, depth 1", spec: spec("randread", 4096, 1), stock: 1.2, tuned: 0.9, p99: 1 },
  {
    title: "4K random read hit, depth 32",
    spec: spec("randread", 4096, 32),
    ...{ stock: 2.5, tuned: 1.7, p99: 1, directorMicroseconds: 7, otherDirector: 0.7 },
  },
  { title: "4K random write, depth 1", spec: spec("randwrite", 4096, 1), stock: 1.1, tuned: 1, p99: 1.2 },
  {
    title: "4K random write, depth 32",
    spec: spec("randwrite", 4096, 32),
    ...{ stock: 1.8, tuned: 1.2, p99: 1, directorMicroseconds: 16, otherDirector: 0.7 },
  },
  { title: "4K 70/30, depth 32", spec: spec("randmix30", 4096, 32), stock: 2.2, tuned: 1.8, p99: 1 },
  { title: "64K sequential read hit, depth 8", spec: spec("seqread", 65536, 8), stock: 2.2, tuned: 2, p99: 1 },
  { title: "256K sequential read hit, depth 8", spec: spec("seqread", 262144, 8), stock: 1.5, tuned: 1.4, p99: 1 },
  {
    title: "64K sequential write, depth 8, 256 MiB once",
    spec: spec("seqwrite", 65536, 8),
    ...{ once: true, stock: 3.5, tuned: 0.8, p99: 1 },
  },
  {
    title: "256K sequential write, depth 8, 256 MiB once",
    spec: spec("seqwrite", 262144, 8),
    ...{ once: true, stock: 2.5, tuned: 0.4, p99: 1 },
  },
];

/** Sequential writes that never end, of the drives' raw zone fill rate less parity. */
export const ENDLESS_SHARE_OF_FILL = 0.6;
/** Share of a stripe that is data: RAID-5, 3+1. */
export const DATA_SHARE = 3 / 4;

/** 4K FUA writes, depth 32: a floor, and a share of the smaller of the raw journal rate and our rate without FUA. */
export const FUA_GOAL = { iops: 20_000, share: 0.5 };

/** Read misses: 4K at random of raw `getMany` of 16, 256K in order of the raw read rate. */
export const MISS_GOAL = { random: 0.6, sequential: 0.6 };

/**
 * Rebuild, copy-back and scrub while hosts are quiet: share of a raw copy of such drives. Beside hosts: of the share that was
 * set, where a tenth is noise.
 */
export const HEALING_GOAL = { ofRawCopy: 0.6, ofSetShare: 0.9 };

/** Random overwrite for ten minutes: share of the raw fill rate less parity, and how slow the slowest may be. */
export const SUSTAINED_GOAL = { share: 0.4, p999Milliseconds: 100, worstMilliseconds: 1000 };

/** Beside the frames: what the process may take, and for each drive. */
export const MEMORY_GOAL = { besidesBytes: 150 * 2 ** 20, perDriveBytes: 16 * 2 ** 20 };

export interface Verdict {
  readonly name: string;
  readonly value: number;
  readonly goal: number;
  readonly bound: "at least" | "at most";
  readonly isMet: boolean;
}

export function atLeast(name: string, value: number, goal: number): Verdict {
  return { name, value, goal, bound: "at least", isMet: value >= goal };
}

export function atMost(name: string, value: number, goal: number): Verdict {
  return { name, value, goal, bound: "at most", isMet: value <= goal };
}

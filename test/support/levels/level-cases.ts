/** A pool of every RAID level, and which of its drives are lost: as many as may be, and one more. */
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import type { SmallPool } from "../small-array.ts";

/** Few zones, as what is lost of each is looked for with patience. */
const LUN_BYTES_PER_DATA_DRIVE = 6 * 2 ** 20;

export interface LevelCase {
  readonly label: string;
  readonly pool: string;
  readonly owner: "1A" | "1B";
  readonly raid: Required<RaidShape>;
  /** Positions that are lost together: nothing is lost with them. */
  readonly lose: readonly number[];
  /** With this one, too, something is. */
  readonly oneMore: number;
  /** Of what lies in stripes that are on none of the spares yet. */
  readonly lostShareMax: number;
}

export const LEVEL_CASES: readonly LevelCase[] = [
  {
    ...{ label: "RAID-1 2-way", pool: "A", owner: "1A", raid: { level: 1, dataDrives: 1, copies: 2 } },
    ...{ lose: [0], oneMore: 1, lostShareMax: 1 },
  },
  {
    ...{ label: "RAID-1 3-way", pool: "B", owner: "1A", raid: { level: 1, dataDrives: 1, copies: 3 } },
    ...{ lose: [0, 2], oneMore: 1, lostShareMax: 1 },
  },
  // Two of three drives: all data of a stripe where they have that, half of it where one of them has parity.
  {
    ...{ label: "RAID-5 2+1", pool: "C", owner: "1A", raid: { level: 5, dataDrives: 2, copies: 1 } },
    ...{ lose: [1], oneMore: 0, lostShareMax: 2 / 3 },
  },
  {
    ...{ label: "RAID-6 2+2", pool: "D", owner: "1B", raid: { level: 6, dataDrives: 2, copies: 1 } },
    ...{ lose: [0, 3], oneMore: 1, lostShareMax: 3 / 4 },
  },
  // One of each pair, and then both of one.
  {
    ...{ label: "RAID-10 2×2", pool: "E", owner: "1B", raid: { level: 10, dataDrives: 2, copies: 2 } },
    ...{ lose: [1, 2], oneMore: 0, lostShareMax: 1 / 2 },
  },
];

export function levelPools(cases: readonly LevelCase[]): Record<string, SmallPool> {
  return Object.fromEntries(cases.map((level) => [level.pool, poolOf(level)]));
}

/** Columns of a stripe that can't be had without these positions. */
export function lostColumns({ raid }: LevelCase, stripe: number, without: readonly number[]): number {
  const level = raidLevel(raid);
  if (level.survives(without)) return 0;
  let lost = 0;
  for (let column = 0; column < level.dataColumns; column++) {
    const holders = Array.from({ length: level.copies }, (_, copy) => level.positionOf(stripe, column, copy));
    if (holders.every((position) => without.includes(position))) lost += 1;
  }
  return lost;
}

function poolOf({ pool, owner, raid, lose }: LevelCase): SmallPool {
  const { driveCount } = raidLevel(raid);
  const name = (n: number): string => `${pool.toLowerCase()}${n}`;
  // For those that are lost in the first place, again for those that are lost before one more is, and for that one.
  const spareCount = 2 * lose.length + 1;
  return {
    owner,
    raidLevel: raid.level,
    drives: Array.from({ length: driveCount }, (_, n) => name(n)),
    spares: Array.from({ length: spareCount }, (_, n) => name(driveCount + n)),
    lunBytes: raid.dataDrives * LUN_BYTES_PER_DATA_DRIVE,
  };
}

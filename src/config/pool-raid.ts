/**
 * The RAID of a pool, from what its settings say and what follows from that: the number of drives from the level, or the
 * level's data drives from the names that are given.
 */
import type { RaidConfig, RaidLevelNumber } from "../raid/raid-level.ts";
import { raidLevel } from "../raid/raid-levels.ts";
import type { ConfigProblem } from "./config-error.ts";
import { variableName } from "./environment.ts";

interface PoolRaidSettings {
  readonly raidLevel?: RaidLevelNumber;
  readonly dataDrives?: number;
  readonly copies?: number;
  readonly drives?: readonly string[];
}

/** 3+1 keeps a small array's parity cost at a quarter; 4+2 that of two parities at a third. */
const DATA_DRIVES_DEFAULT = { 1: 1, 5: 3, 6: 4, 10: 2 } as const satisfies Record<RaidLevelNumber, number>;

export function poolRaid(name: string, pool: PoolRaidSettings, problems: ConfigProblem[]): RaidConfig {
  const { raidLevel: level = 5 } = pool;
  const copies = pool.copies ?? copiesOf(level, pool.drives?.length);
  const dataDrives = pool.dataDrives ?? dataDrivesOf(level, pool.drives?.length);
  try {
    return raidLevel({ level, dataDrives, copies }).config;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const setting = settingAtFault(pool, level);
    problems.push({
      key: `pools.${name}.${setting} (${variableName(["pools", name, setting])})`,
      found: `RAID-${level} of ${dataDrives} data drives with ${copies} ${copies === 1 ? "copy" : "copies"} of each`,
      allowed: error.message,
    });
    // The problem ends the start; the others are still to be found.
    return { level: 5, dataDrives: DATA_DRIVES_DEFAULT[5], copies: 1 };
  }
}

function copiesOf(level: RaidLevelNumber, drives: number | undefined): number {
  if (level === 10) return 2;
  return level === 1 ? (drives ?? 2) : 1;
}

function dataDrivesOf(level: RaidLevelNumber, drives: number | undefined): number {
  if (drives === undefined || level === 1) return DATA_DRIVES_DEFAULT[level];
  if (level === 10) return Math.floor(drives / 2);
  return drives - (level === 6 ? 2 : 1);
}

function settingAtFault(pool: PoolRaidSettings, level: RaidLevelNumber): keyof PoolRaidSettings {
  if (pool.copies !== undefined && level !== 1) return "copies";
  if (pool.dataDrives !== undefined) return "dataDrives";
  return pool.copies === undefined ? "drives" : "copies";
}

/** Memory pools of every RAID level, narrow and wide, of about the size of SMALL_POOL. */
import type { RaidShape } from "../../src/raid/raid-level.ts";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { type MemoryPoolShape, SMALL_POOL } from "./memory-pool.ts";

const ZONE_BLOCKS = 192;

/** All but RAID-5 3+1, which is what SMALL_POOL is. */
const SHAPES: readonly RaidShape[] = [
  { level: 1, dataDrives: 1, copies: 2 },
  { level: 1, dataDrives: 1, copies: 3 },
  { level: 5, dataDrives: 2 },
  { level: 5, dataDrives: 15 },
  { level: 6, dataDrives: 2 },
  { level: 6, dataDrives: 4 },
  { level: 6, dataDrives: 14 },
  { level: 10, dataDrives: 2 },
  { level: 10, dataDrives: 8 },
];

export const RAID_POOLS: readonly (readonly [string, MemoryPoolShape])[] = SHAPES.map((raid) => {
  const stripesPerZone = Math.ceil(ZONE_BLOCKS / raid.dataDrives / SMALL_POOL.blocksPerStrip);
  return [raidLevel(raid).label, { ...SMALL_POOL, ...raid, stripesPerZone }] as const;
});

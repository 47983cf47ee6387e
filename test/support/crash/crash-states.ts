/** The states that pools are killed in: two pools on small drives (small-array.ts), one for each director. */
import { LUN_BYTES_PER_DATA_DRIVE, type MadeArray, makeSmallArray, type SmallPool } from "../small-array.ts";
import type { HealingPlan } from "./healing-driver.ts";

const DATA_DRIVES = 2;
const LUN_BYTES = DATA_DRIVES * LUN_BYTES_PER_DATA_DRIVE;
/** Of the time: as little as that, so that a rebuild lasts for some rounds. */
export const SLOW_REBUILD_PERCENT = 3;

export interface CrashState {
  /** What the report calls it. */
  readonly label: string;
  readonly pools: Readonly<Record<"A" | "B", PoolShape>>;
  /** Gone for good after the first fill. */
  readonly lost: readonly string[];
  /** Gone after the last round: what is read then comes from parity, which so is shown to agree with data after the kills. */
  readonly lostAtTheEnd: readonly string[];
  /** What is to be under way at the kills; at the end drives that were not rebuilt are gone, as many as the level tolerates. */
  readonly healing?: HealingPlan;
}

interface PoolShape {
  readonly raidLevel: 5 | 6;
  readonly drives: readonly string[];
  readonly spares: readonly string[];
}

const RAID5 = { raidLevel: 5, drives: ["00", "01", "02"], spares: [] } as const;
const RAID6 = { raidLevel: 6, drives: ["04", "05", "06", "07"], spares: [] } as const;
const WITH_SPARES = { A: { ...RAID5, spares: ["08"] }, B: { ...RAID6, spares: ["09", "11"] } } as const;

/** Both levels in each: a kill is one of both. */
export const CRASH_STATES: readonly CrashState[] = [
  { label: "RAID-5 2+1 and RAID-6 2+2", pools: { A: RAID5, B: RAID6 }, lost: [], lostAtTheEnd: ["00", "05", "06"] },
  {
    label: "RAID-5 2+1 without a drive, RAID-6 2+2 without two",
    pools: { A: RAID5, B: RAID6 },
    lost: ["01", "04", "07"],
    lostAtTheEnd: [],
  },
  {
    label: "RAID-5 2+1, a drive being rebuilt, and RAID-6 2+2, two",
    pools: WITH_SPARES,
    lost: [],
    lostAtTheEnd: [],
    healing: { kind: "rebuild", drivesAtOnce: { A: 1, B: 2 } },
  },
  {
    label: "RAID-5 and RAID-6, being copied back",
    pools: WITH_SPARES,
    lost: [],
    lostAtTheEnd: [],
    healing: { kind: "copyBack", drivesAtOnce: { A: 1, B: 1 } },
  },
];

/** @param folder - for the data folder and the configuration; the caller's to remove */
export async function makeCrashArray(folder: string, { pools, healing }: CrashState): Promise<MadeArray> {
  const small = (owner: string, shape: PoolShape): SmallPool => ({ ...shape, owner, lunBytes: LUN_BYTES });
  const made = await makeSmallArray(folder, { A: small("1A", pools.A), B: small("1B", pools.B) });
  if (healing === undefined) return made;
  const env = {
    ...made.env,
    VARRAY_HEALING_MISSING_SECONDS: "0",
    VARRAY_HEALING_REBUILD_SHARE_PERCENT: `${SLOW_REBUILD_PERCENT}`,
    VARRAY_HEALING_COPY_BACK: `${healing.kind === "copyBack"}`,
  };
  return { ...made, env };
}

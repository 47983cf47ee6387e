/**
 * The states that pools are killed in: two pools on small drives that are made here, smaller than the configuration allows,
 * so that a round takes seconds, and the journal wraps and compaction runs within a few of them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DataFolder, newDriveId } from "../../../directors/data-folder.ts";
import { formatDrive } from "../../../drivers/drive/level-drive-format.ts";
import { stripShape } from "../../../src/raid/strip.ts";

const STRIP_BLOCKS = 4;
const ZONE_STRIPES = 64;
const ZONES = 24;
const { stripBytes: STRIP_BYTES } = stripShape(STRIP_BLOCKS);
const GEOMETRY = {
  capacityBytes: ZONES * ZONE_STRIPES * STRIP_BYTES,
  stripBytes: STRIP_BYTES,
  stripsPerZone: ZONE_STRIPES,
  zoneCount: ZONES,
};
/** Three quarters of what two data drives hold beside their reserve. */
const LUN_BYTES = 24 * 2 ** 20;

export interface CrashState {
  readonly name: string;
  /** What the report calls it. */
  readonly label: string;
  readonly pools: Readonly<Record<"A" | "B", PoolShape>>;
  /** Gone for good after the first fill. */
  readonly lost: readonly string[];
  /** Gone after the last round: what is read then comes from parity, which so is shown to agree with data after the kills. */
  readonly lostAtTheEnd: readonly string[];
}

interface PoolShape {
  readonly raidLevel: 5 | 6;
  readonly drives: readonly string[];
}

const RAID5_A = { raidLevel: 5, drives: ["00", "01", "02"] } as const;
const RAID5_B = { raidLevel: 5, drives: ["04", "05", "06"] } as const;
const RAID6_A = { raidLevel: 6, drives: ["00", "01", "02", "03"] } as const;
const RAID6_B = { raidLevel: 6, drives: ["04", "05", "06", "07"] } as const;

export const CRASH_STATES: readonly CrashState[] = [
  { name: "raid5", label: "RAID-5 2+1", pools: { A: RAID5_A, B: RAID5_B }, lost: [], lostAtTheEnd: ["00", "05"] },
  { name: "raid6", label: "RAID-6 2+2", pools: { A: RAID6_A, B: RAID6_B }, lost: [], lostAtTheEnd: ["00", "03", "05", "06"] },
  {
    name: "degraded5",
    label: "RAID-5 2+1 without a drive",
    pools: { A: RAID5_A, B: RAID5_B },
    lost: ["01", "06"],
    lostAtTheEnd: [],
  },
  {
    name: "degraded6",
    label: "RAID-6 2+2 without one and two drives",
    pools: { A: RAID6_A, B: RAID6_B },
    lost: ["01", "04", "07"],
    lostAtTheEnd: ["02"],
  },
];

export interface MadeArray {
  readonly dataFolder: string;
  readonly lunBytes: number;
  readonly env: Readonly<Record<string, string>>;
}

/** @param folder - for the data folder and the configuration; the caller's to remove */
export async function makeCrashArray(folder: string, { pools }: CrashState): Promise<MadeArray> {
  const dataFolder = join(folder, "data");
  mkdirSync(dataFolder);
  const data = await DataFolder.open(dataFolder);
  const known: Record<string, { driveId: string; geometry: typeof GEOMETRY }> = {};
  for (const name of [...pools.A.drives, ...pools.B.drives]) {
    const driveId = newDriveId();
    await formatDrive(data.driveFolder(name), { name, driveId, geometry: GEOMETRY });
    known[name] = { driveId, geometry: GEOMETRY };
  }
  data.addDrives(known);
  await data.close();
  const configuration = join(folder, "varray.yaml");
  writeFileSync(configuration, `pools:\n${poolText("A", "1A", pools.A)}${poolText("B", "1B", pools.B)}`);
  return {
    dataFolder,
    lunBytes: LUN_BYTES,
    env: {
      VARRAY_CONFIG: configuration,
      VARRAY_JOURNAL_BYTES: "4MiB",
      VARRAY_INITIAL_VOLUMES_0_SIZE: `${LUN_BYTES}`,
      VARRAY_INITIAL_VOLUMES_1_SIZE: `${LUN_BYTES}`,
    },
  };
}

function poolText(name: string, owner: string, { raidLevel, drives }: PoolShape): string {
  const names = drives.map((drive) => `"${drive}"`).join(", ");
  return `  ${name}: { owner: ${owner}, raidLevel: ${raidLevel}, dataDrives: 2, drives: [${names}], spares: [] }\n`;
}

/**
 * A data folder with drives smaller than the configuration allows, and the configuration of its pools: so that a LUN is written in
 * a second, and the journal wraps, compaction runs and a drive is rebuilt within a few.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DataFolder, newDriveId } from "../../directors/data-folder.ts";
import { formatDrive } from "../../drivers/drive/level-drive-format.ts";
import { stripShape } from "../../src/raid/strip.ts";

const STRIP_BLOCKS = 4;
const ZONE_STRIPES = 64;
/** So few that compaction has to run. */
const ZONES_FEW = 24;
const { stripBytes: STRIP_BYTES } = stripShape(STRIP_BLOCKS);
/** Three quarters of what one data drive of so few zones holds beside its pool's reserve. */
export const LUN_BYTES_PER_DATA_DRIVE = 12 * 2 ** 20;

export interface SmallPool {
  readonly owner: string;
  readonly raidLevel: 1 | 5 | 6 | 10;
  readonly drives: readonly string[];
  readonly spares: readonly string[];
  /** Of the pool's one volume, whose LUN is the pool's place among the pools. */
  readonly lunBytes: number;
}

export interface MadeArray {
  readonly dataFolder: string;
  readonly pools: ReadonlyMap<string, SmallPool>;
  readonly env: Readonly<Record<string, string>>;
}

/** @param folder - for the data folder and the configuration; the caller's to remove */
export async function makeSmallArray(
  folder: string,
  pools: Readonly<Record<string, SmallPool>>,
  zones = ZONES_FEW,
): Promise<MadeArray> {
  const geometry = geometryOf(zones);
  const dataFolder = join(folder, "data");
  mkdirSync(dataFolder);
  const data = await DataFolder.open(dataFolder);
  const known: Record<string, { driveId: string; geometry: typeof geometry }> = {};
  for (const name of Object.values(pools).flatMap(({ drives, spares }) => [...drives, ...spares])) {
    const driveId = newDriveId();
    await formatDrive(data.driveFolder(name), { name, driveId, geometry });
    known[name] = { driveId, geometry };
  }
  data.addDrives(known);
  await data.close();
  const configuration = join(folder, "varray.yaml");
  const made = new Map(Object.entries(pools));
  const poolLines = [...made].map(([name, pool]) => poolText(name, pool));
  const volumeLines = [...made].map(([name, { lunBytes }], lun) => `  ${lun}: { pool: ${name}, size: ${lunBytes} }\n`);
  writeFileSync(configuration, `pools:\n${poolLines.join("")}initialVolumes:\n${volumeLines.join("")}`);
  return { dataFolder, pools: made, env: { VARRAY_CONFIG: configuration, VARRAY_JOURNAL_BYTES: "4MiB" } };
}

function geometryOf(zones: number): { capacityBytes: number; stripBytes: number; stripsPerZone: number; zoneCount: number } {
  const capacityBytes = zones * ZONE_STRIPES * STRIP_BYTES;
  return { capacityBytes, stripBytes: STRIP_BYTES, stripsPerZone: ZONE_STRIPES, zoneCount: zones };
}

function poolText(name: string, { owner, raidLevel, drives, spares }: SmallPool): string {
  const list = (names: readonly string[]): string => `[${names.map((drive) => `"${drive}"`).join(", ")}]`;
  return `  ${name}: { owner: ${owner}, raidLevel: ${raidLevel}, drives: ${list(drives)}, spares: ${list(spares)} }\n`;
}

/**
 * The array whose power is taken: small in every way, so that its files are a few MiB, the journal wraps, and zones are
 * made, sealed, compacted and removed within seconds. Smaller than the configuration allows: its drives and its journal
 * are made here.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DataFolder, newDriveId } from "../../../directors/data-folder.ts";
import { formatDrive } from "../../../drivers/drive/level-drive-format.ts";
import { createJournalFile } from "../../../drivers/journal-file/create-journal-file.ts";
import { stripShape } from "../../../src/raid/strip.ts";

const STRIP_BLOCKS = 4;
const ZONE_STRIPES = 32;
const ZONES = 14;
const STRIP_BYTES = stripShape(STRIP_BLOCKS).stripBytes;
const JOURNAL_BYTES = 1024 * 1024;

export const IMAGE_ARRAY = {
  raid: { level: 5, dataDrives: 2, copies: 1 },
  drives: ["00", "01", "02"],
  stripBlocks: STRIP_BLOCKS,
  geometry: {
    capacityBytes: ZONES * ZONE_STRIPES * STRIP_BYTES,
    stripBytes: STRIP_BYTES,
    stripsPerZone: ZONE_STRIPES,
    zoneCount: ZONES,
  },
  volumeBytes: 6 * 1024 * 1024,
} as const;

/** A data folder with blank drives and a blank journal: the pool is made at its first start. */
export async function makeDataFolder(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const data = await DataFolder.open(folder);
  const { drives, geometry } = IMAGE_ARRAY;
  const known: Record<string, { driveId: string; geometry: typeof geometry }> = {};
  for (const name of drives) {
    const driveId = newDriveId();
    await formatDrive(data.driveFolder(name), { name, driveId, geometry });
    known[name] = { driveId, geometry };
  }
  data.addDrives(known);
  createJournalFile(data.journalFile("A"), JOURNAL_BYTES);
  await data.close();
}

/** @returns the path of the configuration */
export function writeConfiguration(folder: string): string {
  const path = join(folder, "varray.yaml");
  const { raid, drives, volumeBytes } = IMAGE_ARRAY;
  writeFileSync(
    path,
    `pools:
  A: { owner: 1A, dataDrives: ${raid.dataDrives}, drives: [${drives.map((name) => `"${name}"`).join(", ")}] }
initialVolumes:
  0: { name: volume-0, pool: A, size: ${volumeBytes} }
`,
  );
  return path;
}

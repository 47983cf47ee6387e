/**
 * Makes a folder a LevelDB drive: `meta/` with its label, and an empty `zones/`.
 *
 * Runs on: the drive thread. The label is written last, so that a folder whose formatting was interrupted has none and
 * can be formatted again; one that has a label, or data without one, is left alone.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DiskSpace } from "./disk-space.ts";
import { DriveError, type DriveGeometry } from "./drive.ts";
import { checkGeometry, DRIVE_FORMAT_VERSION } from "./drive-checks.ts";
import { fsyncFolder, fsyncFolderWithFiles } from "./fsync-folder.ts";
import { createLevelDatabase, LevelDatabase } from "./level-database.ts";
import { driveErrorOf } from "./level-errors.ts";
import { encodeLabel } from "./level-label.ts";
import { LevelMetadata } from "./level-metadata.ts";

/** The map is small keys in random order: a cache that holds its hot index blocks, and buffers that merge updates. */
export const METADATA_TUNING = { writeBufferBytes: 1024 * 1024, blockCacheBytes: 1024 * 1024 } as const;

/** The metadata's database while it is made. */
const UNBORN = "meta.new";

export interface DriveFormat {
  readonly name: string;
  readonly driveId: string;
  readonly geometry: DriveGeometry;
}

export function openMetadata(drive: string, driveFolder: string, space = new DiskSpace(drive, driveFolder)): LevelMetadata {
  const folder = join(driveFolder, "meta");
  return new LevelMetadata(drive, new LevelDatabase({ folder, drive, driveFolder, tuning: METADATA_TUNING, space }), space);
}

/** Durable when done. @throws DriveError "invalid" when there is a drive already, "foreign" when there is other data */
export async function formatDrive(folder: string, format: DriveFormat): Promise<void> {
  checkGeometry(format.name, format.geometry);
  try {
    await clearUnfinished(folder, format.name);
    await makeDrive(folder, format);
  } catch (error) {
    throw driveErrorOf(error, { drive: format.name, folder: dirname(folder), intent: "write", what: "format" });
  }
}

async function makeDrive(folder: string, format: DriveFormat): Promise<void> {
  mkdirSync(join(folder, "zones"), { recursive: true });
  // Under its name only once it is whole on the disk: a database that can't be opened is a damaged drive, and no birth.
  const unborn = join(folder, UNBORN);
  mkdirSync(unborn);
  await createLevelDatabase(unborn, METADATA_TUNING);
  fsyncFolderWithFiles(unborn);
  renameSync(unborn, join(folder, "meta"));
  fsyncFolder(folder);
  fsyncFolder(dirname(folder));
  const metadata = openMetadata(format.name, folder);
  const { name, driveId, geometry } = format;
  try {
    const label = { formatVersion: DRIVE_FORMAT_VERSION, name, driveId, geometry };
    await metadata.batchOwn([["label", encodeLabel(label)]]);
  } finally {
    await metadata.database.close();
  }
}

async function clearUnfinished(folder: string, drive: string): Promise<void> {
  if (!existsSync(folder)) return;
  const entries = readdirSync(folder);
  const others = entries.filter((name) => name !== "meta" && name !== "zones" && name !== UNBORN);
  if (others.length > 0) throw new DriveError("foreign", drive, `its folder holds ${others[0]}`);
  if (entries.includes("zones") && readdirSync(join(folder, "zones")).length > 0) {
    throw new DriveError("invalid", drive, "its folder holds zones");
  }
  rmSync(join(folder, UNBORN), { recursive: true, force: true });
  if (!entries.includes("meta")) return;
  if (existsSync(join(folder, "meta", "CURRENT"))) {
    const metadata = openMetadata(drive, folder);
    try {
      const label = await metadata.getOwn("label");
      if (label !== undefined) throw new DriveError("invalid", drive, "its folder holds a drive already");
    } finally {
      await metadata.database.close();
    }
  }
  rmSync(join(folder, "meta"), { recursive: true, force: true });
}

/**
 * Room on the file system below a drive, looked at before LevelDB finds out.
 *
 * Runs on: the drive thread. Opening a LevelDB database writes (its log becomes tables, a new MANIFEST), so on a disk that
 * is full to the brim even what is there could not be read. So writes end as "noSpace" while there is still room for that,
 * strips first, metadata (which frees space) later, the drive's own steps of removing zones last.
 */
import { statfsSync } from "node:fs";
import { DriveError } from "./drive.ts";
import { driveErrorOf } from "./level-errors.ts";

export interface DiskReserve {
  /** Strips and new zones leave so much. */
  readonly stripsBytes: number;
  /** Metadata batches leave so much. */
  readonly metadataBytes: number;
}

/** Shared by all drives on a file system: a few batches and tables of each, and openings. */
const DISK_RESERVE: DiskReserve = { stripsBytes: 128 * 1024 * 1024, metadataBytes: 32 * 1024 * 1024 };

export class DiskSpace {
  readonly reserve: DiskReserve;
  readonly #drive: string;
  readonly #folder: string;

  constructor(drive: string, folder: string, reserve: DiskReserve = DISK_RESERVE) {
    this.#drive = drive;
    this.#folder = folder;
    this.reserve = reserve;
  }

  get freeBytes(): number {
    try {
      const { bavail, bsize } = statfsSync(this.#folder);
      return bavail * bsize;
    } catch (error) {
      throw driveErrorOf(error, { drive: this.#drive, folder: this.#folder, intent: "write", what: "free space" });
    }
  }

  /** @throws DriveError "noSpace", or "unreachable" when the folder is gone */
  check(bytes: number, reserveBytes: number): void {
    const { freeBytes } = this;
    if (freeBytes - bytes >= reserveBytes) return;
    throw new DriveError("noSpace", this.#drive, `${freeBytes} bytes are free below it, ${reserveBytes} of them in reserve`);
  }
}

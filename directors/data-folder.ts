/**
 * The data folder: held by one process at a time, of a format that this code knows, with the list of its drives.
 *
 *   lock/      a LevelDB database that is open while the array runs: its lock goes with the process, however that ends
 *   format     JSON: format version, and the drives that were formatted here. A drive in this list is never formatted again
 *   drives/    one folder for each drive
 *   journals/  one file for each pool
 *   api-token  made by the control plane
 *
 * Runs on: main, at start and stop.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Level } from "level";
import type { DriveGeometry } from "../drivers/drive/drive.ts";
import { FORMAT_VERSION } from "../src/control/contract.ts";
import { EXIT_STATUS, StartError } from "./start-error.ts";

/** What the drive was formatted as: its label says the same, but may be out of reach. */
export interface KnownDrive {
  readonly driveId: string;
  readonly geometry: DriveGeometry;
}

interface FormatFile {
  readonly formatVersion: number;
  readonly drives: Readonly<Record<string, KnownDrive>>;
}

export class DataFolder {
  readonly path: string;
  readonly #lock: Level;
  #format: FormatFile;

  private constructor(path: string, lock: Level, format: FormatFile) {
    this.path = path;
    this.#lock = lock;
    this.#format = format;
  }

  /** @throws StartError */
  static async open(folder: string): Promise<DataFolder> {
    const path = resolve(folder);
    try {
      for (const part of ["", "drives", "journals"]) makeFolder(join(path, part));
    } catch (cause) {
      throw new StartError(EXIT_STATUS.foreignFormat, `the data folder ${path} can't be made: ${(cause as Error).message}`, {
        cause,
      });
    }
    const lock = await takeLock(path);
    try {
      return new DataFolder(path, lock, readFormat(path));
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  driveFolder(drive: string): string {
    return join(this.path, "drives", drive);
  }

  journalFile(pool: string): string {
    return join(this.path, "journals", pool);
  }

  /** What the drive was formatted as here; undefined for a drive that is new. */
  knownDrive(drive: string): KnownDrive | undefined {
    return Object.hasOwn(this.#format.drives, drive) ? this.#format.drives[drive] : undefined;
  }

  /** Makes drives known, durably: from now on they are never formatted again. */
  addDrives(drives: Readonly<Record<string, KnownDrive>>): void {
    if (Object.keys(drives).length === 0) return;
    const format = { ...this.#format, drives: { ...this.#format.drives, ...drives } };
    writeFormat(this.path, format);
    this.#format = format;
  }

  async close(): Promise<void> {
    await this.#lock.close();
  }
}

/** One folder after the other: mkdir's own "recursive" never ends where a file system takes no folders, as in /proc. */
function makeFolder(path: string): void {
  if (existsSync(path) && statSync(path).isDirectory()) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  mkdirSync(path, { mode: 0o750 });
  syncFolder(parent);
}

export function newDriveId(): string {
  return randomBytes(16).toString("hex");
}

/** `Level` is classic-level's class here, and its types leave this out. */
const REPAIRABLE = Level as unknown as { repair(folder: string): Promise<void> };

/**
 * The lock's database holds nothing, and LevelDB does not make the first files of a database durable: after a power loss
 * they may be empty. Whoever is told so has held the lock for that moment, so that nobody uses what is repaired.
 */
async function openLock(folder: string): Promise<Level> {
  const lock = new Level(folder);
  try {
    await lock.open();
  } catch (error) {
    if ((error as { cause?: { code?: string } }).cause?.code !== "LEVEL_CORRUPTION") throw error;
    await REPAIRABLE.repair(folder);
    await lock.open();
  }
  return lock;
}

async function takeLock(path: string): Promise<Level> {
  try {
    return await openLock(join(path, "lock"));
  } catch (error) {
    const { cause } = error as { cause?: { code?: string; message?: string } };
    if (cause?.code === "LEVEL_LOCKED") {
      throw new StartError(
        EXIT_STATUS.locked,
        `the data folder ${path} is in use by another varray: stop that one, or give this one a folder of its own (VARRAY_DATA)`,
        { cause: error },
      );
    }
    const reason = cause?.message ?? (error as Error).message;
    throw new StartError(EXIT_STATUS.foreignFormat, `the data folder ${path} can't be locked: ${reason}`, { cause: error });
  }
}

/** @throws StartError when it is not ours to read; makes the file in a folder without drives */
function readFormat(path: string): FormatFile {
  const file = join(path, "format");
  if (!existsSync(file)) {
    const drives = readdirSync(join(path, "drives"));
    if (drives.length > 0) {
      throw new StartError(
        EXIT_STATUS.foreignFormat,
        `${file} is missing, but ${join(path, "drives")} holds ${drives.slice(0, 8).join(", ")}: ` +
          "bring the file back from where the folder came from, or name an empty folder (VARRAY_DATA)",
      );
    }
    const format = { formatVersion: FORMAT_VERSION, drives: {} };
    writeFormat(path, format);
    return format;
  }
  let found: Partial<FormatFile>;
  try {
    found = JSON.parse(readFileSync(file, "utf8")) as Partial<FormatFile>;
  } catch (cause) {
    throw new StartError(EXIT_STATUS.foreignFormat, `${file} can't be read: ${(cause as Error).message}`, { cause });
  }
  if (found?.formatVersion !== FORMAT_VERSION || typeof found.drives !== "object" || found.drives === null) {
    throw new StartError(
      EXIT_STATUS.foreignFormat,
      `${file} says format ${String(found?.formatVersion)}, this varray reads and writes format ${FORMAT_VERSION}: ` +
        "start the varray that made the folder, or name another folder (VARRAY_DATA)",
    );
  }
  return { formatVersion: FORMAT_VERSION, drives: found.drives };
}

/** Whole or not at all, and durable. */
function writeFormat(path: string, format: FormatFile): void {
  const temporary = join(path, "format.new");
  const file = openSync(temporary, "w", 0o640);
  try {
    writeSync(file, `${JSON.stringify(format, undefined, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, join(path, "format"));
  syncFolder(path);
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

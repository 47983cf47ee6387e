/**
 * The threads of one pool that outlive its directors: one for its drives, one for its journal's fdatasync.
 *
 * Runs on: main. New drives are formatted here, once in their life: a drive that the data folder knows never is again,
 * so that one that lost its data is missing, and not empty.
 */
import type { DriveState, DriveThreadDrive, FromDriveThread, ToDriveThread } from "../drivers/drive/drive-thread-messages.ts";
import type { GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import type { Config, PoolConfig } from "../src/config/config.ts";
import { firstDriveNumber, poolDriveGeometry } from "./array-shape.ts";
import { type DataFolder, type KnownDrive, newDriveId } from "./data-folder.ts";
import { type ThreadLimits, WatchedThread } from "./watched-thread.ts";

const DRIVE_ENTRY = new URL("../drivers/drive/drive.worker.js", import.meta.url);
/** LevelDB's buffers and caches lie outside of the heap. */
const DRIVE_LIMITS: ThreadLimits = { heapMebibytesMax: 256, youngMebibytesMax: 16 };

export type DriveThread = WatchedThread<ToDriveThread, FromDriveThread>;

export interface StartDriveThread {
  readonly config: Config;
  readonly pool: PoolConfig;
  readonly folder: DataFolder;
  readonly transfer: GlobalMemoryTransfer;
  readonly onFatal: (thread: string, reason: string) => void;
}

export interface StartedDrives {
  readonly thread: DriveThread;
  readonly states: readonly DriveState[];
  /** Every drive of the pool was formatted by this start. */
  readonly isNew: boolean;
}

export async function startDriveThread(options: StartDriveThread): Promise<StartedDrives> {
  const { config, pool, folder, transfer, onFatal } = options;
  const drives = threadDrives(config, pool, folder);
  const thread: DriveThread = new WatchedThread({
    name: `drives of pool ${pool.name}`,
    entry: DRIVE_ENTRY,
    data: { transfer, pool: pool.index, drives },
    limits: DRIVE_LIMITS,
    onFatal,
  });
  const ready = await thread.next((message) => message.type === "ready");
  folder.addDrives(formattedDrives(drives, ready.drives));
  return { thread, states: ready.drives, isNew: drives.every(({ format }) => format !== undefined) };
}

function threadDrives(config: Config, pool: PoolConfig, folder: DataFolder): DriveThreadDrive[] {
  const firstNumber = firstDriveNumber(config, pool);
  const geometry = poolDriveGeometry(config, pool, folder);
  // Drives come into a pool when it is made; one that was added to an existing pool's list is for a rebuild to take.
  const isNew = pool.drives.every((name) => folder.knownDrive(name) === undefined);
  return pool.drives.map((name, driveIndex) => ({
    driveIndex,
    driveNumber: firstNumber + driveIndex,
    name,
    folder: folder.driveFolder(name),
    ...(isNew ? { format: { driveId: newDriveId(), geometry } } : {}),
  }));
}

function formattedDrives(drives: readonly DriveThreadDrive[], states: readonly DriveState[]): Record<string, KnownDrive> {
  const formatted: Record<string, KnownDrive> = {};
  for (const state of states) {
    if (state.state !== "open" || drives[state.driveIndex]?.format === undefined) continue;
    // The identity that it has: a start that was cut off may have formatted it before.
    const { driveId, capacityBytes, stripBytes, stripsPerZone, zoneCount } = state.identity;
    formatted[state.name] = { driveId, geometry: { capacityBytes, stripBytes, stripsPerZone, zoneCount } };
  }
  return formatted;
}

/**
 * The threads of one pool that outlive its directors: one for its drives, one for its journal's fdatasync.
 *
 * Runs on: main. New drives are formatted here, once in their life: a drive that the data folder knows never is again,
 * so that one that lost its data is missing, and not empty. (Another in its place, on command: drive-control.ts.)
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DriveState, DriveThreadDrive, DriveThreadStart } from "../drivers/drive/drive-thread-messages.ts";
import { createJournalFile } from "../drivers/journal-file/create-journal-file.ts";
import { JournalFileError } from "../drivers/journal-file/journal-file.ts";
import type { FromSyncThread, SyncThreadStart, ToSyncThread } from "../drivers/journal-file/sync-thread-messages.ts";
import { raiseThreadEpoch } from "../drivers/shared-memory/epoch.ts";
import type { GlobalMemory, GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import { threadNumber } from "../drivers/shared-memory/layout.ts";
import { type Config, driveNames, type PoolConfig } from "../src/config/config.ts";
import { firstDriveNumber, poolDriveGeometry } from "./array-shape.ts";
import { type DataFolder, type KnownDrive, newDriveId } from "./data-folder.ts";
import type { JournalPlace } from "./director-messages.ts";
import { DriveThreadKeeper } from "./drive-thread-keeper.ts";
import type { Joinable } from "./process-exit.ts";
import { EXIT_STATUS, StartError } from "./start-error.ts";
import { stopThread, type ThreadLimits, WatchedThread } from "./watched-thread.ts";

const DRIVE_ENTRY = new URL("../drivers/drive/drive.worker.js", import.meta.url);
const SYNC_ENTRY = new URL("../drivers/journal-file/sync.worker.js", import.meta.url);
/** LevelDB's buffers and caches lie outside of the heap. */
const DRIVE_LIMITS: ThreadLimits = { heapMebibytesMax: 64, youngMebibytesMax: 3 };
const SYNC_LIMITS: ThreadLimits = { heapMebibytesMax: 32, youngMebibytesMax: 2 };

type SyncThread = WatchedThread<ToSyncThread, FromSyncThread>;

export interface StartPoolThreads {
  readonly config: Config;
  readonly pool: PoolConfig;
  readonly folder: DataFolder;
  readonly global: GlobalMemory;
  readonly transfer: GlobalMemoryTransfer;
  /** Each thread is entered here as soon as it is started. */
  readonly threads: Joinable[];
  readonly onFatal: (thread: string, reason: string) => void;
  /** The journal can't be made durable any more: the pool's owner hears of it by itself, and fails the pool. */
  readonly onJournalFailed: (pool: PoolConfig, reason: string) => void;
}

export interface PoolThreads {
  readonly pool: PoolConfig;
  /** The drives that its thread serves. */
  readonly drives: readonly DriveThreadDrive[];
  readonly driveThread: DriveThreadKeeper;
  readonly states: readonly DriveState[];
  readonly journal: JournalPlace;
  readonly mirror?: JournalPlace;
  /** How a new drive of the pool is to be formatted. */
  newFormat(): NonNullable<DriveThreadDrive["format"]>;
  /** Durably: from now on this is the drive that is known in its place. */
  drivePlaced(state: DriveState): void;
  /** Resolves when no drive has a request of this director any more: it is dead, and its epoch fenced. */
  quiet(director: number): Promise<void>;
  /** Once no director uses the pool any more. */
  stop(): Promise<void>;
}

/** @throws StartError */
export async function startPoolThreads(options: StartPoolThreads): Promise<PoolThreads> {
  const { pool, folder } = options;
  const { journal, mirror } = makeJournalFiles(options, folder.journalFile(pool.name));
  const sync = await startSyncThread(options, journal.path, mirror?.path);
  const { thread: driveThread, drives, states } = await startDriveThread(options);
  return {
    pool,
    drives,
    driveThread,
    states,
    journal,
    ...(mirror === undefined ? {} : { mirror }),
    newFormat: () => ({ driveId: newDriveId(), geometry: poolDriveGeometry(options.config, pool, folder) }),
    drivePlaced: (state) => folder.addDrives(knownDrives([state])),
    quiet: (director) => driveThread.quiet(director),
    async stop() {
      await Promise.all([
        driveThread.stop(),
        // It may have ended before, with its file.
        sync.running ? stopThread(sync, { type: "stop" }, ({ type }) => type === "stopped") : undefined,
      ]);
    },
  };
}

/**
 * Files that are missing are made blank. Whether the pool may do without the one it had is for its owner to judge; and
 * with a mirror it can do without either, so that only the last of them is needed.
 */
function makeJournalFiles({ config, pool }: StartPoolThreads, path: string): { journal: JournalPlace; mirror?: JournalPlace } {
  const { bytes, mirrorFolder } = config.journal;
  const journal = makeJournalFile(path, bytes);
  const mirrorPath = mirrorFolder === undefined ? undefined : join(mirrorFolder, pool.name);
  // The mirror is as large as what it mirrors, whatever the configuration says by now.
  const mirror =
    mirrorPath === undefined ? undefined : makeJournalFile(mirrorPath, journal.error === undefined ? statSync(path).size : bytes);
  if (journal.error !== undefined && mirror?.error !== undefined) throw unmakeable(pool, mirror.error);
  if (journal.error !== undefined && mirror === undefined) throw unmakeable(pool, journal.error);
  return { journal, ...(mirror === undefined ? {} : { mirror }) };
}

function makeJournalFile(path: string, bytes: number): JournalPlace & { readonly error?: JournalFileError } {
  if (existsSync(path)) return { path, made: false };
  try {
    createJournalFile(path, bytes);
    return { path, made: true };
  } catch (error) {
    if (!(error instanceof JournalFileError)) throw error;
    return { path, made: false, error };
  }
}

function unmakeable(pool: PoolConfig, cause: JournalFileError): StartError {
  return new StartError(EXIT_STATUS.failed, `the journal of pool ${pool.name} can't be made: ${cause.message}`, { cause });
}

async function startSyncThread(options: StartPoolThreads, path: string, mirrorPath: string | undefined): Promise<SyncThread> {
  const { global, transfer, pool, onFatal, onJournalFailed } = options;
  raiseThreadEpoch(global, threadNumber(global.layout, "journalSync", pool.index));
  const data: SyncThreadStart = { transfer, pool: pool.index, path, ...(mirrorPath === undefined ? {} : { mirrorPath }) };
  const thread: SyncThread = new WatchedThread({
    name: `journal of pool ${pool.name}`,
    entry: SYNC_ENTRY,
    data,
    limits: SYNC_LIMITS,
    onFatal,
  });
  options.threads.push(thread);
  thread.onMessage((message) => {
    // Of a mirrored journal one copy may go: the pool's owner puts that on record, and tells people.
    if (message.type !== "failed" || !message.last) return;
    thread.expectEnd();
    onJournalFailed(pool, message.message);
  });
  const first = await thread.next(
    (message): message is Exclude<FromSyncThread, { readonly type: "stopped" }> =>
      message.type === "ready" || (message.type === "failed" && message.last),
  );
  if (first.type === "failed") {
    throw new StartError(EXIT_STATUS.failed, `the journal ${path} of pool ${pool.name} can't be opened: ${first.message}`);
  }
  return thread;
}

interface StartedDriveThread {
  readonly thread: DriveThreadKeeper;
  readonly drives: readonly DriveThreadDrive[];
  readonly states: readonly DriveState[];
}

async function startDriveThread(options: StartPoolThreads): Promise<StartedDriveThread> {
  const { config, pool, folder, global, transfer, onFatal } = options;
  const drives = threadDrives(config, pool, folder);
  const thread = new DriveThreadKeeper({
    pool,
    global,
    drives,
    threads: options.threads,
    onFatal,
    nowMilliseconds: () => performance.now(),
    start: (given, onEnd) => {
      const data: DriveThreadStart = { transfer, pool: pool.index, drives: given };
      const name = `drives of pool ${pool.name}`;
      return new WatchedThread({
        name,
        entry: DRIVE_ENTRY,
        data,
        limits: DRIVE_LIMITS,
        onFatal: (_name, reason) => onEnd(reason),
      });
    },
  });
  const states = await thread.ready();
  // A pool is made of all its drives or not at all: else the next start would take it for one that lost some.
  const unformatted = states.find(
    (state) =>
      state.state === "failed" && state.driveIndex < pool.drives.length && drives[state.driveIndex]?.format !== undefined,
  );
  if (unformatted?.state === "failed") {
    throw new StartError(EXIT_STATUS.failed, `pool ${pool.name} can't be made: ${unformatted.message}`);
  }
  folder.addDrives(knownDrives(states.filter(({ driveIndex }) => drives[driveIndex]?.format !== undefined)));
  return { thread, drives, states };
}

function threadDrives(config: Config, pool: PoolConfig, folder: DataFolder): DriveThreadDrive[] {
  const firstNumber = firstDriveNumber(config, pool);
  const geometry = poolDriveGeometry(config, pool, folder);
  // Drives come into a pool when it is made; one that was added to an existing pool's list is for a rebuild to take.
  const isNew = pool.drives.every((name) => folder.knownDrive(name) === undefined);
  return driveNames(pool).map((name, driveIndex) => {
    // A spare holds nothing: it may come to a pool at any start, once in its life.
    const isNewSpare = driveIndex >= pool.drives.length && folder.knownDrive(name) === undefined;
    return {
      driveIndex,
      driveNumber: firstNumber + driveIndex,
      name,
      folder: folder.driveFolder(name),
      ...(isNew || isNewSpare ? { format: { driveId: newDriveId(), geometry } } : {}),
    };
  });
}

function knownDrives(formatted: readonly DriveState[]): Record<string, KnownDrive> {
  const known: Record<string, KnownDrive> = {};
  for (const state of formatted) {
    if (state.state !== "open") continue;
    // The identity that it has: a start that was cut off may have formatted it before.
    const { driveId, capacityBytes, stripBytes, stripsPerZone, zoneCount } = state.identity;
    known[state.name] = { driveId, geometry: { capacityBytes, stripBytes, stripsPerZone, zoneCount } };
  }
  return known;
}

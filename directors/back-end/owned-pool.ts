/**
 * Opens a pool that a director is to own, and lets go of it. One that can't be opened is told of as failed, and keeps the
 * others from nothing.
 *
 * Runs on: the director's thread, at start and whenever a pool comes or leaves.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import type { DriveChannel } from "../../drivers/drive/drive-channel.ts";
import { RemoteDrive } from "../../drivers/drive/remote-drive.ts";
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { FramePool } from "../../src/cache/frame-pool.ts";
import { type Config, driveNames, type PoolConfig } from "../../src/config/config.ts";
import type { PoolStatus } from "../../src/control/contract.ts";
import { JournalError } from "../../src/journal/journal-reader.ts";
import { MapDamagedError } from "../../src/map/pool-map.ts";
import type { BulkWork } from "../../src/raid/bulk-work.ts";
import { GroupFailedError, isPathLost } from "../../src/raid/raid-group.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { PoolRefusedError, type RecoveredRequest } from "../../src/volume/pool-members.ts";
import { openPool } from "../../src/volume/pool-open.ts";
import type { BayDrive, PoolCure } from "../../src/volume/pool-parts.ts";
import { type PoolRuntime, pause } from "../../src/volume/runtime.ts";
import type { DirectorPool } from "../director-messages.ts";
import { openDriveBays } from "./drive-bays.ts";
import { FileJournalBay } from "./journal-bay.ts";

const IDLE_POLL_MILLISECONDS = 2;
const REACHABLE_POLL_MILLISECONDS = 500;

export interface OpenPools {
  readonly global: GlobalMemory;
  readonly config: Config;
  readonly directorIndex: number;
  readonly frames: FramePool;
  readonly runtime: PoolRuntime;
  readonly bulk: BulkWork;
  /** What the thread's doorbell is to drain from now on, besides what it drains already, until the answer is called. */
  readonly addDrain: (drain: () => boolean) => () => void;
  readonly onRecovered?: (request: RecoveredRequest) => void;
  /** An open pool can't be served any more. */
  readonly onFailed?: (pool: number, cure: PoolCure) => void;
  /** A pool that is being opened can't be, as no drive can be reached: what was asked of them has to be waited for all the same. */
  readonly onUnreachable?: (pool: number) => void;
}

/** A pool that this director serves, with what it has open for it. */
export interface OwnedPool {
  readonly pool: Pool;
  /** Its drives could not be reached: resolves when one of them answers. Bounded by the pool's being served here. */
  reachable(isOver: () => boolean): Promise<boolean>;
  /** The pool has stopped: resolves when nothing of it is left here. */
  letGo(): Promise<void>;
}

/** What keeps a pool closed for people to see to. Anything else is a bug of ours, and ends the thread. */
const POOL_ERRORS = [PoolRefusedError, JournalError, JournalFileError, MapDamagedError, GroupFailedError, DriveError];

/** One after the other: recovery of one takes all the frames that it can have. */
export async function openOwnedPool(options: OpenPools, pool: DirectorPool): Promise<OwnedPool | PoolStatus> {
  const { global, config, directorIndex, frames, runtime, bulk, addDrain, onRecovered, onFailed } = options;
  const poolConfig = config.pools[pool.index]!;
  const ends: (() => unknown)[] = [];
  const letGo = async (): Promise<void> => {
    for (const end of ends) await end();
  };
  const journal = new FileJournalBay({
    global,
    pool,
    directorIndex,
    onOpened: (file) => {
      const removeDrain = addDrain(() => file.drain());
      ends.push(() => file.close().finally(removeDrain));
    },
  });
  const { bays, channel, pathLost } = await openDriveBays({
    global,
    pool: poolConfig,
    directorIndex,
    onChannel: (opened) => {
      const removeDrain = addDrain(() => opened.drain());
      ends.unshift(async () => {
        await idle(opened, runtime);
        opened.close();
        removeDrain();
      });
    },
  });
  try {
    if (pathLost !== undefined) throw pathLost;
    const opened = await openPool({
      config: { ...poolConfig, owner: directorIndex },
      global,
      frames,
      bays,
      journal,
      runtime,
      bulk,
      ageSeconds: config.destage.ageSeconds,
      pagesKept: pool.openedBefore,
      ...(onRecovered === undefined ? {} : { onRecovered }),
      ...(onFailed === undefined ? {} : { onFailed: (cure) => onFailed(pool.index, cure) }),
    });
    return {
      pool: opened,
      reachable: (isOver) => reachable(channel, poolConfig, runtime, isOver),
      letGo: async () => {
        await idle(channel, runtime);
        opened.letGo();
        await letGo();
      },
    };
  } catch (error) {
    if (!POOL_ERRORS.some((kind) => error instanceof kind)) throw error;
    journal.giveUp();
    const reason = (error as Error).message;
    const type = isPathLost(error) ? "pool.unreachable" : "pool.failed";
    runtime.raise({ severity: "critical", type, subject: `pool ${poolConfig.name}`, message: reason });
    if (isPathLost(error)) options.onUnreachable?.(pool.index);
    await letGo();
    return { ...failedPool(poolConfig, bays, reason), owner: directorIndex };
  }
}

/** False: it was over before. */
async function reachable(channel: DriveChannel, pool: PoolConfig, runtime: PoolRuntime, isOver: () => boolean): Promise<boolean> {
  const drives = pool.drives.map((name, driveIndex) => new RemoteDrive(channel, { name, driveIndex }));
  while (!isOver()) {
    const found = await Promise.any(drives.map((drive) => drive.identify())).catch(() => undefined);
    if (found !== undefined) return !isOver();
    await pause(runtime, REACHABLE_POLL_MILLISECONDS);
  }
  return false;
}

/** Every drive has answered, or was given up on: bounded by the deadlines of what is under way. */
async function idle(channel: DriveChannel, runtime: PoolRuntime): Promise<void> {
  // Twice: what an answer sets going goes on in the turn after it.
  for (let quiet = 0; quiet < 2; ) {
    quiet = channel.inFlight + channel.waiting === 0 ? quiet + 1 : 0;
    await pause(runtime, IDLE_POLL_MILLISECONDS);
  }
}

function failedPool(pool: PoolConfig, bays: readonly BayDrive[], reason: string): PoolStatus {
  return {
    index: pool.index,
    name: pool.name,
    state: "failed",
    reason,
    owner: pool.owner,
    epoch: 0,
    drives: driveNames(pool).map((name, driveIndex) => {
      const bay = bays[driveIndex]!;
      const shape = { name, capacityBytes: bay.state === "open" ? bay.capacityBytes : 0, zonesUsed: 0, zoneCount: 0 };
      return bay.state === "unavailable"
        ? { ...shape, state: bay.memberState, reason: bay.reason }
        : { ...shape, state: driveIndex < pool.drives.length ? "online" : "spare" };
    }),
    usage: { volume: new Uint32Array(), mappedBytes: new Float64Array(), writeCacheEnabled: new Uint8Array() },
    usableBytes: 0,
    liveBytes: 0,
    dirtyBytes: 0,
    journalBytes: 0,
    journalLiveBytes: 0,
    zonesFree: 0,
    zonesUsed: 0,
  };
}

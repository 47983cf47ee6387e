/**
 * Opens the pools that a director owns. One that can't be opened is told of as failed, and keeps the others from nothing.
 *
 * Runs on: the director's thread, at start.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { FramePool } from "../../src/cache/frame-pool.ts";
import { type Config, driveNames, type PoolConfig } from "../../src/config/config.ts";
import type { PoolStatus } from "../../src/control/contract.ts";
import { JournalError } from "../../src/journal/journal-reader.ts";
import { MapDamagedError } from "../../src/map/pool-map.ts";
import { GroupFailedError } from "../../src/raid/raid-group.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { PoolRefusedError } from "../../src/volume/pool-members.ts";
import { openPool } from "../../src/volume/pool-open.ts";
import type { BayDrive } from "../../src/volume/pool-parts.ts";
import type { PoolRuntime } from "../../src/volume/runtime.ts";
import type { DirectorPool } from "../director-messages.ts";
import { openDriveBays } from "./drive-bays.ts";
import { FileJournalBay } from "./journal-bay.ts";

export interface OpenPools {
  readonly global: GlobalMemory;
  readonly config: Config;
  readonly directorIndex: number;
  readonly pools: readonly DirectorPool[];
  readonly frames: FramePool;
  readonly runtime: PoolRuntime;
  /** What the thread's doorbell is to drain from now on, besides what it drains already. */
  readonly addDrain: (drain: () => boolean) => void;
}

export interface OpenedPools {
  readonly pools: readonly Pool[];
  readonly failed: readonly PoolStatus[];
}

/** What keeps a pool closed for people to see to. Anything else is a bug of ours, and ends the thread. */
const POOL_ERRORS = [PoolRefusedError, JournalError, JournalFileError, MapDamagedError, GroupFailedError, DriveError];

export async function openPools(options: OpenPools): Promise<OpenedPools> {
  const pools: Pool[] = [];
  const failed: PoolStatus[] = [];
  // One after the other: recovery of one takes all the frames that it can have.
  for (const pool of options.pools) {
    const opened = await openOne(options, pool);
    if ("state" in opened) failed.push(opened);
    else pools.push(opened);
  }
  return { pools, failed };
}

async function openOne(options: OpenPools, pool: DirectorPool): Promise<Pool | PoolStatus> {
  const { global, config, directorIndex, frames, runtime, addDrain } = options;
  const poolConfig = config.pools[pool.index]!;
  const journal = new FileJournalBay({ global, pool, directorIndex, onOpened: (file) => addDrain(() => file.drain()) });
  const { bays } = await openDriveBays({
    global,
    pool: poolConfig,
    directorIndex,
    onChannel: (channel) => addDrain(() => channel.drain()),
  });
  try {
    return await openPool({ config: poolConfig, global, frames, bays, journal, runtime, ageSeconds: config.destage.ageSeconds });
  } catch (error) {
    if (!POOL_ERRORS.some((kind) => error instanceof kind)) throw error;
    journal.giveUp();
    const reason = (error as Error).message;
    runtime.raise({ severity: "critical", type: "pool.failed", subject: `pool ${poolConfig.name}`, message: reason });
    return failedPool(poolConfig, bays, reason);
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

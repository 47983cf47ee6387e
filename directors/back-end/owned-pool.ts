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
import { poolEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { FramePool } from "../../src/cache/frame-pool.ts";
import { type Config, driveNames, type PoolConfig } from "../../src/config/config.ts";
import type { PoolStatus } from "../../src/control/contract.ts";
import { JournalError } from "../../src/journal/journal-reader.ts";
import { MapDamagedError } from "../../src/map/pool-map.ts";
import type { BulkWork } from "../../src/raid/bulk-work.ts";
import { GroupFailedError, isPathLost } from "../../src/raid/raid-group.ts";
import type { Pool } from "../../src/volume/pool.ts";
import {
  BeyondRedundancyError,
  type OpenPoolOptions,
  PoolRefusedError,
  type RecoveredRequest,
} from "../../src/volume/pool-members.ts";
import { openPool } from "../../src/volume/pool-open.ts";
import type { BayDrive, PoolCure } from "../../src/volume/pool-parts.ts";
import type { ServedPool } from "../../src/volume/pool-service.ts";
import { openReadOnlyPool } from "../../src/volume/readonly-open.ts";
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
  /** An open pool can't be served any more as it is. */
  readonly onFailed?: (pool: number, cure: PoolCure) => void;
  /** A pool that is being opened can't be, as no drive can be reached: what was asked of them has to be waited for all the same. */
  readonly onUnreachable?: (pool: number) => void;
  /** One that is open for reading is worth to be opened anew. */
  readonly onReturn?: (pool: number) => void;
}

/** A pool that was served has lost more drives than it can do without. */
export interface DrivesLost {
  /** A drive that failed would fail again: the pool is opened for reading, until people have seen to that; a sentence. */
  readonly failed: string | undefined;
  /** Of its document: there is no newer one, as long as the pool's epoch is this one. */
  readonly version: number;
  readonly epoch: number;
}

export function drivesLostOf({ parts, record }: Pool): DrivesLost {
  const { global, group, health, index } = parts;
  const { members, version } = record.document;
  const isNew = group.members.some(({ state, position }) => state === "failed" && members[position]!.state !== "failed");
  return { failed: isNew ? `${health.reason}.` : undefined, version, epoch: poolEpoch(global, index) };
}

/** A pool that this director serves, with what it has open for it. */
export interface OwnedPool {
  readonly pool: ServedPool;
  /** Its drives could not be reached: resolves when one of them answers. Bounded by the pool's being served here. */
  reachable(isOver: () => boolean): Promise<boolean>;
  /** The pool has stopped: resolves when nothing of it is left here. */
  letGo(): Promise<void>;
}

const POOL_ERRORS = [PoolRefusedError, JournalError, JournalFileError, MapDamagedError, GroupFailedError, DriveError];

/** What keeps a pool closed, or comes at its end, for people to see to. Anything else is a bug of ours, and ends the thread. */
export function isPoolError(error: unknown): boolean {
  return POOL_ERRORS.some((kind) => error instanceof kind);
}

/** For a pool that fails at its end: it ends as it is, as what it acknowledged is in its journal. @throws what is a bug of ours */
export function endsAsItIs(error: unknown): void {
  if (!isPoolError(error)) throw error;
}

/**
 * One after the other: recovery of one takes all the frames that it can have. Where too many drives are gone for that, it is
 * opened for reading.
 * @param before - of a pool that this director has served until now
 */
export async function openOwnedPool(
  options: OpenPools,
  pool: DirectorPool,
  before?: DrivesLost,
): Promise<OwnedPool | PoolStatus> {
  // Another may have had it since.
  const lost = before?.epoch === poolEpoch(options.global, pool.index) ? before : undefined;
  const forReading = (why: string) => (given: OpenPoolOptions) =>
    openReadOnlyPool(given, { why, knownVersion: lost?.version, onReturn: () => options.onReturn?.(pool.index) });
  let opened = await attempt(options, pool, lost?.failed === undefined ? openPool : forReading(lost.failed));
  if ("error" in opened && lost?.failed === undefined) {
    const { error } = opened;
    if (error instanceof BeyondRedundancyError) opened = await attempt(options, pool, forReading(error.reason));
    else if (error instanceof GroupFailedError) opened = await attempt(options, pool, forReading(`${error.message}.`));
  }
  if (!("error" in opened)) return opened;
  const { name } = options.config.pools[pool.index]!;
  const type = isPathLost(opened.error) ? "pool.unreachable" : "pool.failed";
  options.runtime.raise({ severity: "critical", type, subject: `pool ${name}`, message: opened.error.message });
  return opened.status;
}

/** What keeps a pool closed, and what people are told of it then. Nothing of it is left open. */
interface Refused {
  readonly error: Error;
  readonly status: PoolStatus;
}

async function attempt(
  options: OpenPools,
  pool: DirectorPool,
  open: (given: OpenPoolOptions) => Promise<ServedPool>,
): Promise<OwnedPool | Refused> {
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
    const opened = await open({
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
    if (!isPoolError(error)) throw error;
    journal.giveUp();
    if (isPathLost(error)) options.onUnreachable?.(pool.index);
    await letGo();
    const { message } = error as Error;
    return { error: error as Error, status: { ...failedPool(poolConfig, bays, message), owner: directorIndex } };
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

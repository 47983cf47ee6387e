/**
 * From configuration to shapes: of drives, of RAID groups, and of global memory.
 *
 * Runs on: main, at start. A drive keeps the geometry that it was formatted with; the configuration is for new ones.
 */

import type { DriveGeometry } from "../drivers/drive/drive.ts";
import { MAILBOX_BYTES_MIN } from "../drivers/drive/drive-channel.ts";
import { FRAME_BYTES, type LayoutShape } from "../drivers/shared-memory/layout.ts";
import { type Config, driveNames, type PoolConfig } from "../src/config/config.ts";
import { type GroupGeometry, groupGeometry } from "../src/raid/geometry.ts";
import { stagingBytes } from "../src/raid/staging.ts";
import { STRIP_HEADER_BYTES, stripShape, TAG_BYTES } from "../src/raid/strip.ts";
import type { DataFolder } from "./data-folder.ts";
import { EXIT_STATUS, StartError } from "./start-error.ts";

/** Two metadata batches, or a batch and a scan, at one time. */
const MAILBOX_BYTES = 2 * MAILBOX_BYTES_MIN;
/** Slots between two directors: requests, releases and replies of every token (directors/channel/messages.ts). */
const CHANNEL_RING_SLOTS = 1024;

/** What a new drive is formatted as. */
function newDriveGeometry(config: Config): DriveGeometry {
  const { capacityBytes, zoneBytes, stripBlocks } = config.drive;
  const { stripBytes } = stripShape(stripBlocks);
  return {
    capacityBytes,
    stripBytes,
    stripsPerZone: Math.floor(zoneBytes / stripBytes),
    zoneCount: Math.floor(capacityBytes / zoneBytes),
  };
}

/** What the drives of a pool are, or will be. @throws StartError when they are not alike */
export function poolDriveGeometry(config: Config, pool: PoolConfig, folder: DataFolder): DriveGeometry {
  const known = driveNames(pool).flatMap((name) => folder.knownDrive(name)?.geometry ?? []);
  const [first = newDriveGeometry(config)] = known;
  const odd = known.find(
    (geometry) => geometry.stripBytes !== first.stripBytes || geometry.stripsPerZone !== first.stripsPerZone,
  );
  if (odd !== undefined) {
    throw new StartError(
      EXIT_STATUS.badConfiguration,
      `the drives of pool ${pool.name} have different zones (${first.stripsPerZone} strips of ${first.stripBytes} bytes, and ` +
        `${odd.stripsPerZone} of ${odd.stripBytes}): put drives together that were formatted alike`,
    );
  }
  return first;
}

function poolGroupGeometry(pool: PoolConfig, drive: DriveGeometry): GroupGeometry {
  return groupGeometry({
    ...pool.raid,
    blocksPerStrip: (drive.stripBytes - STRIP_HEADER_BYTES) / (FRAME_BYTES + TAG_BYTES),
    stripesPerZone: drive.stripsPerZone,
    zoneSlots: drive.zoneCount,
  });
}

export function memoryShape(config: Config, folder: DataFolder): LayoutShape {
  const staging = config.pools.map((pool) => stagingBytes(poolGroupGeometry(pool, poolDriveGeometry(config, pool, folder))));
  return {
    directorCount: config.directors.length,
    poolCount: config.pools.length,
    driveCount: config.pools.reduce((sum, pool) => sum + driveNames(pool).length, 0),
    poolReachedBy: config.pools.map((pool) => pool.reachedBy),
    frameCount: Math.floor(config.memory.frameBytes / FRAME_BYTES),
    stagingBytesPerPool: Math.max(0, ...staging),
    mailboxBytes: MAILBOX_BYTES,
    channelRingSlots: CHANNEL_RING_SLOTS,
  };
}

/** Number of a pool's first drive among the drives of all pools. */
export function firstDriveNumber(config: Config, pool: PoolConfig): number {
  return config.pools.slice(0, pool.index).reduce((sum, other) => sum + driveNames(other).length, 0);
}

/**
 * The back-end adapter (DA) of a director: the drives of one pool, reached through the pool's drive thread.
 *
 * Runs on: the director that owns the pool. Owns: its channel to the drive thread. What the drives hold is judged by
 * src/volume; here it is only said which drives answer, and which don't and why.
 */

import { DriveError, type DriveErrorKind } from "../../drivers/drive/drive.ts";
import { DriveChannel } from "../../drivers/drive/drive-channel.ts";
import { RemoteDrive } from "../../drivers/drive/remote-drive.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { driveNames, type PoolConfig } from "../../src/config/config.ts";
import type { BayDrive } from "../../src/volume/pool-parts.ts";

export interface DriveBays {
  readonly channel: DriveChannel;
  /** By drive index: in RAID order, then the spares. */
  readonly bays: readonly BayDrive[];
  /** No drive can be reached now: what the bays say of them is no reason to do without any. */
  readonly pathLost: DriveError | undefined;
}

export interface OpenDriveBays {
  readonly global: GlobalMemory;
  readonly pool: PoolConfig;
  readonly directorIndex: number;
  /** Called once the channel is there: it must be drained while the drives are asked who they are. */
  readonly onChannel: (channel: DriveChannel) => void;
}

export async function openDriveBays({ global, pool, directorIndex, onChannel }: OpenDriveBays): Promise<DriveBays> {
  const channel = new DriveChannel(global, { pool: pool.index, director: directorIndex });
  onChannel(channel);
  let pathLost: DriveError | undefined;
  const bays = await Promise.all(
    driveNames(pool).map((name, driveIndex) =>
      bayOf(new RemoteDrive(channel, { name, driveIndex }), (error) => {
        if (error.threadLost === true) pathLost = error;
      }),
    ),
  );
  return { channel, bays, pathLost };
}

async function bayOf(drive: RemoteDrive, onError: (error: DriveError) => void): Promise<BayDrive> {
  try {
    const { driveId, capacityBytes } = await drive.identify();
    return { state: "open", drive, driveId, capacityBytes };
  } catch (error) {
    if (!(error instanceof DriveError)) throw error;
    onError(error);
    return { state: "unavailable", memberState: MEMBER_STATE[error.kind], reason: error.message, drive };
  }
}

/** What a drive that did not say who it is counts as. */
const MEMBER_STATE = {
  unrecoveredRead: "failed",
  notFound: "foreign",
  writeFailed: "failed",
  noSpace: "failed",
  fenced: "failed",
  unreachable: "missing",
  unknown: "failed",
  foreign: "foreign",
  invalid: "failed",
} as const satisfies Record<DriveErrorKind, "missing" | "failed" | "foreign">;

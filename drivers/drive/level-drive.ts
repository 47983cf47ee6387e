/**
 * A virtual drive over LevelDB: one folder, a database for metadata, and one for each zone.
 *
 * `LevelDriveMedium` is the drive itself: it lives in the drive thread, outlives directors and holds the databases.
 * `LevelDrive` is one caller's access to it, under the epoch of its `open`.
 *
 * Runs on: the drive thread (reads and folder work block). Owns: the drive's folder.
 * Invariants:
 *  1. Every operation passes the fence with the epoch that its caller opened the drive with.
 *  2. What an operation reports as done is durable.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type DiskReserve, DiskSpace } from "./disk-space.ts";
import {
  DriveError,
  type DriveIdentity,
  type LocalDrive,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "./drive.ts";
import { checkMetadataKey, checkMetadataOperations, checkMetadataRange, checkStrips, checkZoneNumber } from "./drive-checks.ts";
import { DriveFence } from "./drive-fence.ts";
import type { DamageableDrive } from "./fault-drive.ts";
import { openMetadata } from "./level-drive-format.ts";
import { decodeLabel } from "./level-label.ts";
import type { LevelMetadata } from "./level-metadata.ts";
import { type LevelDriveBounds, LevelZones } from "./level-zones.ts";
import { checkParts } from "./strip-parts.ts";

/** Writes in flight beyond these gain nothing: LevelDB's writers and compaction are one thread each. */
const PREFERRED_CONCURRENCY = 4;

export class LevelDriveMedium {
  readonly identity: DriveIdentity;
  readonly global: GlobalMemory;
  readonly metadata: LevelMetadata;
  readonly zones: LevelZones;
  readonly fence: DriveFence;

  private constructor(identity: DriveIdentity, global: GlobalMemory, metadata: LevelMetadata, zones: LevelZones) {
    this.identity = identity;
    this.global = global;
    this.metadata = metadata;
    this.zones = zones;
    this.fence = new DriveFence(identity.name);
  }

  /**
   * Opens the drive that was formatted in `folder`.
   *
   * @throws DriveError "unreachable" (no folder), "foreign" (not a drive of ours, other version, other name),
   *   "unrecoveredRead" (its metadata can't be read)
   */
  static async open(
    folder: string,
    options: { name: string; global: GlobalMemory; bounds?: LevelDriveBounds; reserve?: DiskReserve },
  ): Promise<LevelDriveMedium> {
    const { name, global } = options;
    if (!existsSync(folder)) throw new DriveError("unreachable", name, "its folder is not there");
    if (!existsSync(join(folder, "meta")) || !existsSync(join(folder, "zones"))) {
      throw new DriveError("foreign", name, "its folder holds no drive");
    }
    const space = new DiskSpace(name, folder, options.reserve);
    const metadata = openMetadata(name, folder, space);
    try {
      const label = decodeLabel(name, await metadata.getOwn("label"));
      if (label.name !== name) throw new DriveError("foreign", name, `its label names it ${label.name}`);
      const { geometry, driveId, formatVersion } = label;
      const zones = new LevelZones({
        drive: name,
        driveFolder: folder,
        geometry,
        global,
        metadata,
        space,
        ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
      });
      await zones.load();
      const identity: DriveIdentity = {
        ...geometry,
        name,
        driveId,
        formatVersion,
        preferredConcurrency: PREFERRED_CONCURRENCY,
        local: true,
        batchAtomic: true,
      };
      return new LevelDriveMedium(identity, global, metadata, zones);
    } catch (error) {
      await metadata.database.close();
      throw metadata.database.error(error, "open", "open");
    }
  }

  /** A new access to the drive; it has to `open(epoch)` first. */
  attach(): LevelDrive {
    return new LevelDrive(this);
  }

  /** Waits for what is under way, then closes the databases. */
  async close(): Promise<void> {
    await this.fence.close();
    await this.zones.close();
    await this.metadata.database.close();
  }
}

export class LevelDrive implements LocalDrive, DamageableDrive {
  readonly name: string;
  readonly #medium: LevelDriveMedium;
  #epoch = -1;

  constructor(medium: LevelDriveMedium) {
    this.name = medium.identity.name;
    this.#medium = medium;
  }

  async identify(): Promise<DriveIdentity> {
    return this.#medium.identity;
  }

  async open(epoch: number): Promise<void> {
    await this.#medium.fence.raise(epoch);
    this.#medium.zones.refused.owned(epoch);
    this.#epoch = epoch;
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#fenced(() => this.#medium.zones.list());
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      return this.#medium.zones.create(zone);
    });
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      return this.#medium.zones.finish(zone);
    });
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      return this.#medium.zones.reset(zone);
    });
  }

  forgetZones(): Promise<void> {
    return this.#fenced(() => this.#medium.zones.forget());
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#fenced(() => {
      checkStrips(this.name, this.#medium.identity, write, this.#medium.global);
      return this.#medium.zones.writeStrips(write);
    });
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#fenced(() => {
      checkStrips(this.name, this.#medium.identity, read, this.#medium.global);
      return this.#medium.zones.readStrips(read);
    });
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#fenced(() => {
      checkParts(this.name, this.#medium.identity, read, this.#medium.global);
      return this.#medium.zones.readParts(read);
    });
  }

  tryReadParts(read: PartsRead): boolean {
    const epoch = this.#epoch;
    const { fence, identity, global, zones } = this.#medium;
    if (epoch < 0) throw new DriveError("invalid", this.name, "is not open");
    fence.enter(epoch);
    try {
      checkParts(this.name, identity, read, global);
      return zones.tryReadParts(read);
    } finally {
      fence.leave(epoch);
    }
  }

  hasStrips(write: StripWrite): Promise<boolean> {
    return this.#fenced(() => {
      checkStrips(this.name, this.#medium.identity, write, this.#medium.global);
      return this.#medium.zones.hasStrips(write);
    });
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#fenced(() => {
      checkMetadataKey(this.name, key);
      return this.#medium.metadata.get(key);
    });
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#fenced(() => {
      checkMetadataOperations(this.name, operations);
      return this.#medium.metadata.batch(operations);
    });
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#fenced(() => {
      checkMetadataRange(this.name, range);
      return this.#medium.metadata.scan(range);
    });
  }

  /** Every batch was synced before it was acknowledged: nothing is left to do but to pass the fence. */
  flush(): Promise<void> {
    return this.#fenced(() => undefined);
  }

  changeStrip(zone: ZoneNumber, strip: number, change: (held: Buffer | undefined) => Uint8Array | undefined): Promise<void> {
    return this.#fenced(() => this.#medium.zones.changeStrip(zone, strip, change));
  }

  /** Ends this access; the medium stays open for others. */
  async close(): Promise<void> {
    this.#epoch = -1;
  }

  async #fenced<T>(operation: () => T | Promise<T>): Promise<T> {
    const epoch = this.#epoch;
    if (epoch < 0) throw new DriveError("invalid", this.name, "is not open");
    this.#medium.fence.enter(epoch);
    try {
      return await operation();
    } finally {
      this.#medium.fence.leave(epoch);
    }
  }
}

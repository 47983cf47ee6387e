/**
 * A drive in memory: the contract without a disk, for tests.
 *
 * `MemoryDriveState` is the drive itself and survives "reopening" (a new MemoryDrive over it). It is always durable.
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import {
  DriveError,
  type DriveGeometry,
  type DriveIdentity,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "./drive.ts";
import {
  checkGeometry,
  checkMetadataKey,
  checkMetadataOperations,
  checkMetadataRange,
  checkStrips,
  checkZoneNumber,
  DRIVE_FORMAT_VERSION,
  METADATA_ENTRY_OVERHEAD_BYTES,
  METADATA_PAGE_BYTES_MAX,
} from "./drive-checks.ts";
import { DriveFence } from "./drive-fence.ts";
import type { DamageableDrive } from "./fault-drive.ts";
import { checkParts, deliverParts } from "./strip-parts.ts";
import { ZoneLedger } from "./zone-ledger.ts";

export interface MemoryZone {
  finished: boolean;
  nextStrip: number;
  readonly strips: Map<number, Uint8Array>;
}

/** What a drive that only lives in memory says of itself. @throws DriveError "invalid" for a geometry that no drive has */
export function memoryDriveIdentity(options: { name: string; driveId: string; geometry: DriveGeometry }): DriveIdentity {
  const { name, driveId, geometry } = options;
  checkGeometry(name, geometry);
  return {
    ...geometry,
    name,
    driveId,
    formatVersion: DRIVE_FORMAT_VERSION,
    preferredConcurrency: 4,
    local: true,
    batchAtomic: true,
  };
}

export class MemoryDriveState {
  readonly identity: DriveIdentity;
  readonly zones = new Map<ZoneNumber, MemoryZone>();
  readonly metadata = new Map<string, Uint8Array>();
  /** Of the process: it knows nothing of those before. */
  fence: DriveFence;
  ledger = new ZoneLedger();

  constructor(options: { name: string; driveId: string; geometry: DriveGeometry }) {
    this.identity = memoryDriveIdentity(options);
    this.fence = new DriveFence(options.name);
  }
}

export class MemoryDrive implements DamageableDrive {
  readonly name: string;
  readonly #state: MemoryDriveState;
  readonly #global: GlobalMemory;
  #epoch = -1;

  constructor(state: MemoryDriveState, global: GlobalMemory) {
    this.name = state.identity.name;
    this.#state = state;
    this.#global = global;
  }

  async identify(): Promise<DriveIdentity> {
    return this.#state.identity;
  }

  async open(epoch: number): Promise<void> {
    await this.#state.fence.raise(epoch);
    this.#epoch = epoch;
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#fenced(() =>
      [...this.#state.zones].map(([zone, { finished }]) => ({ zone, finished })).sort((a, b) => a.zone - b.zone),
    );
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      const { zones, ledger, identity } = this.#state;
      if (zones.has(zone)) throw new DriveError("invalid", this.name, `zone ${zone} is there already`);
      if (ledger.isRetired(zone)) throw new DriveError("invalid", this.name, `zone number ${zone} was used before`);
      if (zones.size >= identity.zoneCount) throw new DriveError("noSpace", this.name, `has its ${identity.zoneCount} zones`);
      zones.set(zone, { finished: false, nextStrip: 0, strips: new Map() });
    });
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      this.#zone(zone).finished = true;
    });
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#fenced(() => {
      checkZoneNumber(this.name, zone);
      this.#state.ledger = this.#state.ledger.withRetired(zone);
      this.#state.zones.delete(zone);
    });
  }

  forgetZones(): Promise<void> {
    return this.#fenced(() => {
      if (this.#state.zones.size > 0) throw new DriveError("invalid", this.name, "has zones");
      this.#state.ledger = new ZoneLedger();
    });
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#fenced(() => {
      const { identity } = this.#state;
      checkStrips(this.name, identity, write, this.#global);
      const zone = this.#zone(write.zone);
      if (zone.finished) throw new DriveError("invalid", this.name, `zone ${write.zone} is finished`);
      if (write.firstStrip < zone.nextStrip) {
        throw new DriveError(
          "invalid",
          this.name,
          `zone ${write.zone}: strip ${write.firstStrip} comes after strip ${zone.nextStrip - 1}`,
        );
      }
      zone.nextStrip = write.firstStrip + write.count;
      for (let index = 0; index < write.count; index++) {
        const at = write.address + index * write.strideBytes;
        zone.strips.set(write.firstStrip + index, this.#global.u8.slice(at, at + identity.stripBytes));
      }
    });
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#fenced(() => {
      checkStrips(this.name, this.#state.identity, read, this.#global);
      const zone = this.#zone(read.zone);
      for (let index = 0; index < read.count; index++) {
        const strip = zone.strips.get(read.firstStrip + index);
        if (strip === undefined)
          throw new DriveError("notFound", this.name, `zone ${read.zone} has no strip ${read.firstStrip + index}`);
        this.#global.u8.set(strip, read.address + index * read.strideBytes);
      }
    });
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#fenced(() => {
      checkParts(this.name, this.#state.identity, read, this.#global);
      const strip = this.#zone(read.zone).strips.get(read.strip);
      if (strip === undefined) throw new DriveError("notFound", this.name, `zone ${read.zone} has no strip ${read.strip}`);
      deliverParts(this.#global, Buffer.from(strip.buffer, strip.byteOffset, strip.byteLength), read);
    });
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#fenced(() => {
      checkMetadataKey(this.name, key);
      return this.#state.metadata.get(key)?.slice();
    });
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#fenced(() => {
      checkMetadataOperations(this.name, operations);
      for (const operation of operations) {
        if (operation.type === "put") this.#state.metadata.set(operation.key, new Uint8Array(operation.value));
        else this.#state.metadata.delete(operation.key);
      }
    });
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#fenced(() => {
      checkMetadataRange(this.name, range);
      const bytesMax = Math.min(range.bytesMax, METADATA_PAGE_BYTES_MAX);
      const keys = [...this.#state.metadata.keys()].filter((key) => key >= range.from && key < range.below).sort();
      const entries: (readonly [string, Uint8Array])[] = [];
      let bytes = 0;
      for (const key of keys) {
        const value = this.#state.metadata.get(key)!;
        bytes += METADATA_ENTRY_OVERHEAD_BYTES + key.length + value.byteLength;
        if (entries.length > 0 && bytes > bytesMax) return { entries, more: true };
        entries.push([key, value.slice()]);
      }
      return { entries, more: false };
    });
  }

  flush(): Promise<void> {
    return this.#fenced(() => undefined);
  }

  async close(): Promise<void> {
    this.#epoch = -1;
  }

  changeStrip(zone: ZoneNumber, strip: number, change: (held: Buffer | undefined) => Uint8Array | undefined): Promise<void> {
    return this.#fenced(() => {
      const strips = this.#state.zones.get(zone)?.strips;
      if (strips === undefined) return;
      const held = strips.get(strip);
      const changed = change(held === undefined ? undefined : Buffer.from(held));
      if (changed === undefined) strips.delete(strip);
      else strips.set(strip, new Uint8Array(changed));
    });
  }

  #zone(zone: ZoneNumber): MemoryZone {
    const found = this.#state.zones.get(zone);
    if (found === undefined) throw new DriveError("notFound", this.name, `has no zone ${zone}`);
    return found;
  }

  /** Ends in a later microtask, as a real drive does, so that callers can't rely on less. */
  async #fenced<T>(operation: () => T): Promise<T> {
    const epoch = this.#epoch;
    if (epoch < 0) throw new DriveError("invalid", this.name, "is not open");
    this.#state.fence.enter(epoch);
    try {
      return operation();
    } finally {
      this.#state.fence.leave(epoch);
    }
  }
}

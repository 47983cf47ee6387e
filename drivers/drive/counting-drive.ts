/**
 * Counts what a drive does into its counter block (drive-counters.ts). Changes nothing.
 *
 * Runs on: the drive thread, the block's only writer. Accesses of several directors count into one block.
 */
import type { Clock } from "../shared-memory/clock.ts";
import { observe } from "../shared-memory/counters.ts";
import {
  type Drive,
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
import { DRIVE_COUNTERS } from "./drive-counters.ts";

const C = DRIVE_COUNTERS.slots;

/** One drive's block, shared by all accesses to that drive. */
export class DriveCount {
  readonly block: Float64Array;
  readonly clock: Clock;
  #busySince = 0;

  constructor(block: Float64Array, clock: Clock) {
    this.block = block;
    this.clock = clock;
    block[C.underWay] = 0;
  }

  begin(): number {
    const now = this.clock.nowMicroseconds();
    if (this.block[C.underWay] === 0) this.#busySince = now;
    this.block[C.underWay]! += 1;
    return now;
  }

  end(): number {
    const now = this.clock.nowMicroseconds();
    this.block[C.underWay]! -= 1;
    if (this.block[C.underWay] === 0) this.block[C.busySeconds]! += (now - this.#busySince) / 1e6;
    return now;
  }

  fail(error: unknown): void {
    if (error instanceof DriveError) this.block[C[error.kind]]! += 1;
  }
}

export class CountingDrive implements LocalDrive {
  readonly name: string;
  readonly #drive: Drive;
  /** The same drive, if it is in this thread. */
  readonly #local: LocalDrive | undefined;
  readonly #count: DriveCount;
  #stripBytes = 0;

  constructor(drive: Drive | LocalDrive, count: DriveCount) {
    this.name = drive.name;
    this.#drive = drive;
    this.#local = "tryReadParts" in drive ? drive : undefined;
    this.#count = count;
  }

  identify(): Promise<DriveIdentity> {
    return this.#counted(() => this.#drive.identify());
  }

  async open(epoch: number): Promise<void> {
    await this.#counted(() => this.#drive.open(epoch));
    this.#stripBytes = (await this.#drive.identify()).stripBytes;
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#counted(() => this.#drive.listZones());
  }

  async createZone(zone: ZoneNumber): Promise<void> {
    await this.#counted(() => this.#drive.createZone(zone));
    this.#count.block[C.zonesCreated]! += 1;
  }

  async finishZone(zone: ZoneNumber): Promise<void> {
    await this.#counted(() => this.#drive.finishZone(zone));
    this.#count.block[C.zonesFinished]! += 1;
  }

  async resetZone(zone: ZoneNumber): Promise<void> {
    await this.#counted(() => this.#drive.resetZone(zone));
    this.#count.block[C.zonesReset]! += 1;
  }

  forgetZones(): Promise<void> {
    return this.#counted(() => this.#drive.forgetZones());
  }

  async writeStrips(write: StripWrite): Promise<void> {
    await this.#counted(() => this.#drive.writeStrips(write), C.writeLatency);
    const { block } = this.#count;
    block[C.writes]! += 1;
    block[C.writeBytes]! += write.count * this.#stripBytes;
  }

  async readStrips(read: StripRead): Promise<void> {
    await this.#counted(() => this.#drive.readStrips(read), C.readLatency);
    const { block } = this.#count;
    block[C.reads]! += 1;
    block[C.readBytes]! += read.count * this.#stripBytes;
  }

  async readParts(read: PartsRead): Promise<void> {
    await this.#counted(() => this.#drive.readParts(read), C.readLatency);
    this.#partsRead();
  }

  tryReadParts(read: PartsRead): boolean {
    if (this.#local === undefined) return false;
    const began = this.#count.begin();
    try {
      if (!this.#local.tryReadParts(read)) {
        this.#count.end();
        return false;
      }
    } catch (error) {
      this.#count.end();
      this.#count.fail(error);
      throw error;
    }
    observe(this.#count.block, C.readLatency, this.#count.end() - began);
    this.#partsRead();
    return true;
  }

  /** The medium reads the strip whole, whatever is asked of it. */
  #partsRead(): void {
    const { block } = this.#count;
    block[C.reads]! += 1;
    block[C.readBytes]! += this.#stripBytes;
  }

  async hasStrips(write: StripWrite): Promise<boolean> {
    return this.#local !== undefined && this.#local.hasStrips(write);
  }

  async metadataGet(key: string): Promise<Uint8Array | undefined> {
    const value = await this.#counted(() => this.#drive.metadataGet(key));
    this.#count.block[C.metadataReads]! += 1;
    return value;
  }

  async metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    await this.#counted(() => this.#drive.metadataBatch(operations), C.metadataLatency);
    const { block } = this.#count;
    block[C.metadataWrites]! += 1;
    for (const operation of operations) if (operation.type === "put") block[C.metadataWriteBytes]! += operation.value.byteLength;
  }

  async metadataScan(range: MetadataRange): Promise<MetadataPage> {
    const page = await this.#counted(() => this.#drive.metadataScan(range));
    this.#count.block[C.metadataReads]! += 1;
    return page;
  }

  flush(): Promise<void> {
    return this.#counted(() => this.#drive.flush());
  }

  close(): Promise<void> {
    return this.#drive.close();
  }

  async #counted<T>(operation: () => Promise<T>, histogramSlot = -1): Promise<T> {
    const began = this.#count.begin();
    let succeeded = false;
    try {
      const result = await operation();
      succeeded = true;
      return result;
    } catch (error) {
      this.#count.fail(error);
      throw error;
    } finally {
      const ended = this.#count.end();
      if (succeeded && histogramSlot >= 0) observe(this.#count.block, histogramSlot, ended - began);
    }
  }
}

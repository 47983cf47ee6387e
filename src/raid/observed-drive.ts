/**
 * A drive whose operations tell its pool's DriveHealth how they went. Changes nothing.
 *
 * Runs on: the owning director's thread. One place, so that no reader or writer has to think of it.
 */
import {
  type Drive,
  DriveError,
  type DriveIdentity,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "../../drivers/drive/drive.ts";
import type { DriveHealth, OperationClass } from "./drive-health.ts";

export class ObservedDrive implements Drive {
  readonly name: string;
  readonly #drive: Drive;
  readonly #health: DriveHealth;
  readonly #now: () => number;

  /** @param nowMilliseconds - monotonic */
  constructor(drive: Drive, health: DriveHealth, nowMilliseconds: () => number) {
    this.name = drive.name;
    this.#drive = drive;
    this.#health = health;
    this.#now = nowMilliseconds;
  }

  identify(): Promise<DriveIdentity> {
    return this.#drive.identify();
  }

  open(epoch: number): Promise<void> {
    return this.#drive.open(epoch);
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#drive.listZones();
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#drive.createZone(zone);
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#drive.finishZone(zone);
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#drive.resetZone(zone);
  }

  forgetZones(): Promise<void> {
    return this.#drive.forgetZones();
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#timed("write", write.zone, this.#drive.writeStrips(write));
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#timed("read", read.zone, this.#drive.readStrips(read), read.mayLack);
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#timed("read", read.zone, this.#drive.readParts(read));
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#watched(this.#drive.metadataGet(key));
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#drive.metadataBatch(operations);
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#watched(this.#drive.metadataScan(range));
  }

  flush(): Promise<void> {
    return this.#drive.flush();
  }

  close(): Promise<void> {
    return this.#drive.close();
  }

  /** One promise for each operation: this is on the way of every read that misses. */
  #timed(operation: OperationClass, zone: ZoneNumber, ending: Promise<void>, mayLack?: boolean): Promise<void> {
    const began = this.#now();
    return ending.then(
      () => this.#health.took(this.name, operation, this.#now() - began),
      (error: unknown) => this.#failed(error, zone, mayLack),
    );
  }

  #watched<T>(ending: Promise<T>): Promise<T> {
    return ending.catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown, zone?: ZoneNumber, mayLack = false): never {
    if (error instanceof DriveError) {
      if (error.kind === "unrecoveredRead") this.#health.found(this.name, "readError", this.#now());
      const isExcused = mayLack || (zone !== undefined && this.#health.damagedZones.has(zone));
      if (error.kind === "notFound" && !isExcused) this.#health.found(this.name, "notFound", this.#now());
    }
    throw error;
  }
}

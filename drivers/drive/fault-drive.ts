/**
 * A drive with faults on command: real ones for whoever stands above, set and taken away while it runs.
 *
 * Runs on: where its drive runs. `DriveFaults` is one drive's settings, shared by all accesses to it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import {
  type Drive,
  DriveError,
  type DriveErrorKind,
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
import { checksumsWanted, placeOfByte, refreshChecksums } from "./strip-parts.ts";

/** Which strips a rule is for: all of a zone without `firstStrip`, all zones without `zone`. */
interface FaultPlace {
  readonly zone?: number;
  readonly firstStrip?: number;
  /** 1 unless given. */
  readonly stripCount?: number;
}

export type FaultRule = FaultPlace & {
  /** Ends after so many hits; lasts when not given. */
  readonly hitsMax?: number;
} & (
    | { readonly fault: "readError" } // unrecoveredRead
    | { readonly fault: "writeError" } // writeFailed; nothing is written
    | { readonly fault: "noSpace" } // likewise
    | { readonly fault: "lostWrite" } // reported as done, nothing is written
    | { readonly fault: "unknownWrite" } // written, reported as unknown
    | { readonly fault: "bitFlip"; readonly offsetBytes?: number; readonly bit?: number } // in what a read returns
  );

export interface DriveFaultSettings {
  readonly unreachable?: boolean;
  /** Before every operation. */
  readonly delayMilliseconds?: number;
  readonly rules?: readonly FaultRule[];
}

interface ActiveRule {
  readonly rule: FaultRule;
  hits: number;
}

const DELAY_MILLISECONDS_MAX = 60_000;

export class DriveFaults {
  unreachable = false;
  delayMilliseconds = 0;
  #rules: ActiveRule[] = [];

  set(settings: DriveFaultSettings | undefined): void {
    this.unreachable = settings?.unreachable ?? false;
    this.delayMilliseconds = Math.min(settings?.delayMilliseconds ?? 0, DELAY_MILLISECONDS_MAX);
    this.#rules = (settings?.rules ?? []).map((rule) => ({ rule, hits: 0 }));
  }

  get active(): boolean {
    return this.unreachable || this.delayMilliseconds > 0 || this.#rules.length > 0;
  }

  /** The first rule of these faults that is for the strips (metadata: undefined), counted as hit. */
  hit(faults: readonly FaultRule["fault"][], strips: Strips | undefined): FaultRule | undefined {
    for (const active of this.#rules) {
      const { rule } = active;
      if (!faults.includes(rule.fault) || active.hits >= (rule.hitsMax ?? Number.POSITIVE_INFINITY)) continue;
      if (!isFor(rule, strips)) continue;
      active.hits += 1;
      return rule;
    }
    return undefined;
  }
}

/** What an operation is for, as far as a rule asks. */
type Strips = Pick<StripRead, "zone" | "firstStrip" | "count">;

/** Rules that name no zone are for metadata too. */
function isFor(place: FaultPlace, strips: Strips | undefined): boolean {
  if (place.zone === undefined) return true;
  if (strips === undefined || strips.zone !== place.zone) return false;
  if (place.firstStrip === undefined) return true;
  const end = place.firstStrip + (place.stripCount ?? 1);
  return strips.firstStrip < end && place.firstStrip < strips.firstStrip + strips.count;
}

const READ_FAULTS = ["readError"] as const;
const FLIPS = ["bitFlip"] as const;
const WRITE_FAULTS = ["writeError", "noSpace", "lostWrite", "unknownWrite"] as const;
const KIND_OF: Readonly<Record<"readError" | "writeError" | "noSpace", DriveErrorKind>> = {
  readError: "unrecoveredRead",
  writeError: "writeFailed",
  noSpace: "noSpace",
};

export class FaultDrive implements LocalDrive {
  readonly name: string;
  readonly #drive: Drive;
  /** The same drive, if it is in this thread. */
  readonly #local: LocalDrive | undefined;
  readonly #faults: DriveFaults;
  readonly #global: GlobalMemory;

  constructor(drive: Drive | LocalDrive, faults: DriveFaults, global: GlobalMemory) {
    this.name = drive.name;
    this.#drive = drive;
    this.#local = "tryReadParts" in drive ? drive : undefined;
    this.#faults = faults;
    this.#global = global;
  }

  identify(): Promise<DriveIdentity> {
    return this.#reached(() => this.#drive.identify());
  }

  open(epoch: number): Promise<void> {
    return this.#reached(() => this.#drive.open(epoch));
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#reached(() => this.#drive.listZones());
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#reached(() => this.#drive.createZone(zone));
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#reached(() => this.#drive.finishZone(zone));
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#reached(() => this.#drive.resetZone(zone));
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#reached(() => this.#written(() => this.#drive.writeStrips(write), write));
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#reached(async () => {
      this.#failRead(read);
      await this.#drive.readStrips(read);
      if (this.#faults.active) await this.#flip(read);
    });
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#reached(async () => {
      const strip = { zone: read.zone, firstStrip: read.strip, count: 1 };
      this.#failRead(strip);
      if (!this.#faults.active) return this.#drive.readParts(read);
      const wanted = checksumsWanted(this.#global, read);
      await this.#drive.readParts(read);
      const { stripBytes } = await this.#drive.identify();
      const rule = this.#faults.hit(FLIPS, strip);
      if (rule?.fault !== "bitFlip") return;
      const at = placeOfByte(this.#global, read, (rule.offsetBytes ?? 0) % stripBytes);
      if (at < 0) return;
      this.#global.u8[at]! ^= 1 << ((rule.bit ?? 0) & 7);
      refreshChecksums(this.#global, read, wanted);
    });
  }

  tryReadParts(read: PartsRead): boolean {
    return !this.#faults.active && this.#local !== undefined && this.#local.tryReadParts(read);
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#reached(() => {
      this.#failRead(undefined);
      return this.#drive.metadataGet(key);
    });
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#reached(() => this.#written(() => this.#drive.metadataBatch(operations), undefined));
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#reached(() => {
      this.#failRead(undefined);
      return this.#drive.metadataScan(range);
    });
  }

  flush(): Promise<void> {
    return this.#reached(() => this.#drive.flush());
  }

  close(): Promise<void> {
    return this.#drive.close();
  }

  async #reached<T>(operation: () => T | Promise<T>): Promise<T> {
    if (!this.#faults.active) return operation();
    if (this.#faults.delayMilliseconds > 0) await sleep(this.#faults.delayMilliseconds);
    if (this.#faults.unreachable) throw new DriveError("unreachable", this.name, "is unreachable (fault on command)");
    return operation();
  }

  #failRead(strips: Strips | undefined): void {
    const rule = this.#faults.hit(READ_FAULTS, strips);
    if (rule !== undefined) throw new DriveError(KIND_OF.readError, this.name, "read error (fault on command)");
  }

  async #written(operation: () => Promise<void>, strips: StripWrite | undefined): Promise<void> {
    const fault = this.#faults.hit(WRITE_FAULTS, strips)?.fault;
    if (fault === "lostWrite") return;
    if (fault === "writeError" || fault === "noSpace")
      throw new DriveError(KIND_OF[fault], this.name, `${fault} (fault on command)`);
    await operation();
    if (fault === "unknownWrite") throw new DriveError("unknown", this.name, "no answer (fault on command)");
  }

  async #flip(read: StripRead): Promise<void> {
    const { stripBytes } = await this.#drive.identify();
    for (let index = 0; index < read.count; index++) {
      const strip = { ...read, firstStrip: read.firstStrip + index, count: 1 };
      const rule = this.#faults.hit(FLIPS, strip);
      if (rule?.fault !== "bitFlip") continue;
      const at = read.address + index * read.strideBytes + ((rule.offsetBytes ?? 0) % stripBytes);
      this.#global.u8[at]! ^= 1 << ((rule.bit ?? 0) & 7);
    }
  }
}

/**
 * The drive interface: what the array needs of a virtual drive, and no more.
 *
 * A drive is zoned, as ZNS drives are: a zone is created, filled with strips in rising order, finished, read, and reset
 * whole. A strip is written once and never overwritten. Beside its zones a drive has a small metadata area of keys.
 * The drive does not interpret what it stores: checksums and identity of blocks belong to its caller (src/raid/).
 *
 * Every operation ends as *done* (the promise resolves), *failed* or *unknown* (it rejects with a DriveError that says
 * which). An unknown write may land later; its place must not be reused until the drive was fenced or reset.
 * Writes and metadata batches are durable when done (they survive power loss). Memory named by an address belongs to
 * the drive until the operation ends.
 */
import type { Address } from "../shared-memory/global-memory.ts";

export type DriveErrorKind =
  /** The drive answered that it can't read what it has (LevelDB corruption, EIO). */
  | "unrecoveredRead"
  /** A strip or zone that the caller says exists is not there: a lost write. Never read as zeros. */
  | "notFound"
  /** The write did not happen. */
  | "writeFailed"
  /** ENOSPC below the drive. */
  | "noSpace"
  /** The caller's epoch is older than the drive's; terminal for that caller. */
  | "fenced"
  /** The drive's folder or thread is gone. */
  | "unreachable"
  /** The deadline passed or the thread died: the operation may or may not have happened. */
  | "unknown"
  /** The on-disk format or version is not ours. */
  | "foreign"
  /** The caller broke the contract (strip out of order, zone twice, …). */
  | "invalid";

export class DriveError extends Error {
  readonly kind: DriveErrorKind;
  readonly drive: string;
  /**
   * Of an "unknown" read: resolves when the drive no longer touches the memory that the read named, never if that can't be
   * known. Absent: it does not any more.
   */
  landed?: Promise<void>;
  /** The drive's thread is lost: that says nothing against the drive, which is as it was once the thread is back. */
  threadLost?: boolean;
  constructor(kind: DriveErrorKind, drive: string, message: string, options?: ErrorOptions) {
    super(`drive ${drive}: ${message}`, options);
    this.name = "DriveError";
    this.kind = kind;
    this.drive = drive;
  }
}

/** Shape of a drive: set when it is formatted, fixed for its life. */
export interface DriveGeometry {
  readonly capacityBytes: number;
  /** Bytes of one strip's value: data blocks and their tags (see src/raid/strip.ts). */
  readonly stripBytes: number;
  readonly stripsPerZone: number;
  /** Zones that may exist at one time. */
  readonly zoneCount: number;
}

export interface DriveIdentity extends DriveGeometry {
  readonly name: string;
  /** Random, made when the drive was formatted. */
  readonly driveId: string;
  readonly formatVersion: number;
  readonly preferredConcurrency: number;
  /** Local to this process, or shared with other arrays. */
  readonly local: boolean;
  /** A batch of strips is atomic: all or none. */
  readonly batchAtomic: boolean;
}

/** Zone number: unique in the life of a pool, never used twice. */
export type ZoneNumber = number;

export interface ZoneStat {
  readonly zone: ZoneNumber;
  readonly finished: boolean;
}

export interface StripWrite {
  readonly zone: ZoneNumber;
  readonly firstStrip: number;
  readonly count: number;
  /** `count` strips lie one after the other, `strideBytes` apart, from here. */
  readonly address: Address;
  readonly strideBytes: number;
}

export interface StripRead {
  readonly zone: ZoneNumber;
  readonly firstStrip: number;
  readonly count: number;
  readonly address: Address;
  readonly strideBytes: number;
  /**
   * For who counts errors, and no drive's concern: that a strip is not there says nothing against the drive. Rebuilds leave
   * out stripes in which nothing lives, and whoever reads a zone as it is meets the gaps.
   */
  readonly mayLack?: boolean | undefined;
}

/**
 * Parts of one strip, each to a place of its own: a read of some blocks takes just these, to where they are to stay.
 *
 * What goes where is a list in global memory, PART_WORDS Int32 words for each part (drivers/drive/strip-parts.ts). It is the
 * drive's as the parts' memory is: the drive puts the checksums there that were asked for.
 */
export interface PartsRead {
  readonly zone: ZoneNumber;
  readonly strip: number;
  readonly list: Address;
  readonly count: number;
}

/** Keys are printable ASCII, at most 48 characters; values at most 256 KiB; a batch at most 512 KiB in all. */
export type MetadataOperation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "delete"; readonly key: string };

export interface MetadataRange {
  /** Keys from this one on … */
  readonly from: string;
  /** … and below this one, in ASCII order. */
  readonly below: string;
  /** Stop after about this many bytes of keys and values (at least one entry is returned if there is one). */
  readonly bytesMax: number;
}

export interface MetadataPage {
  readonly entries: readonly (readonly [key: string, value: Uint8Array])[];
  /** The range goes on after the last entry. */
  readonly more: boolean;
}

export interface Drive {
  readonly name: string;
  identify(): Promise<DriveIdentity>;
  /** Takes the drive for `epoch`; from then on every operation under an older epoch fails as "fenced". */
  open(epoch: number): Promise<void>;

  listZones(): Promise<readonly ZoneStat[]>;
  /** Durable when done, folder entries included. */
  createZone(zone: ZoneNumber): Promise<void>;
  /** No strip follows; the drive may compact and close it. */
  finishZone(zone: ZoneNumber): Promise<void>;
  /** Removes the zone whole. Done also when there is no such zone. */
  resetZone(zone: ZoneNumber): Promise<void>;
  /**
   * Numbers that were reset may be given again: for a drive without zones that begins anew. Its caller knows that nothing of
   * before is still on its way. Fails as "invalid" while it has a zone.
   */
  forgetZones(): Promise<void>;
  writeStrips(write: StripWrite): Promise<void>;
  /** Fails with "notFound" if any of the strips is not there. */
  readStrips(read: StripRead): Promise<void>;
  /** Fails with "notFound" if the strip is not there. */
  readParts(read: PartsRead): Promise<void>;

  metadataGet(key: string): Promise<Uint8Array | undefined>;
  /** Atomic, and durable when done. */
  metadataBatch(operations: readonly MetadataOperation[]): Promise<void>;
  metadataScan(range: MetadataRange): Promise<MetadataPage>;

  /** Everything acknowledged before is durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A drive in this very thread, which may have an answer at once. */
export interface LocalDrive extends Drive {
  /** As `readParts`, without a promise. True: done. False: it would have to wait, and nothing has happened. Throws DriveError. */
  tryReadParts(read: PartsRead): boolean;
  /**
   * Whether the strips are there with the very bytes that the write names: it was asked for before, of a thread that died.
   */
  hasStrips(write: StripWrite): Promise<boolean>;
}

/**
 * The list of a `readParts`: which bytes of a strip go where in global memory.
 *
 * Runs on: either side. The asker fills in a list and lends it to the drive until the read ends. A checksum is computed
 * where the bytes were just moved and are still in that processor's cache, over what lies in the asker's memory
 * afterwards; whether it is the right one is for the asker to say.
 */
import { dataChecksum } from "../shared-memory/data-checksum.ts";
import type { Address, GlobalMemory } from "../shared-memory/global-memory.ts";
import { DriveError, type DriveGeometry, type PartsRead } from "./drive.ts";
import { checkZoneNumber } from "./drive-checks.ts";

/** Int32 word indexes in a list's entry. */
const PART_WORD = {
  offsetBytes: 0, // in the strip
  bytes: 1,
  address: 2, // unsigned
  checksum: 3, // in: 1 when it is wanted, else 0; out: the checksum of the part, unsigned
} as const;
const PART_WORDS = 4;
export const PART_BYTES = PART_WORDS * 4;

/** Parts of one read: as many blocks as a strip may have, and their tags. */
const PARTS_MAX = 128;

export interface StripPart {
  readonly offsetBytes: number;
  readonly bytes: number;
  readonly address: Address;
  readonly checksum: boolean;
}

export function writePart(global: GlobalMemory, list: Address, index: number, part: StripPart): void {
  const { i32 } = global;
  const word = (list >> 2) + index * PART_WORDS;
  i32[word + PART_WORD.offsetBytes] = part.offsetBytes;
  i32[word + PART_WORD.bytes] = part.bytes;
  i32[word + PART_WORD.address] = part.address;
  i32[word + PART_WORD.checksum] = part.checksum ? 1 : 0;
}

/** The checksum that the drive put into the list. */
export function partChecksum(global: GlobalMemory, list: Address, index: number): number {
  return global.i32[(list >> 2) + index * PART_WORDS + PART_WORD.checksum]! >>> 0;
}

/** @throws DriveError "invalid": the zone, the list or a part is not within what there is. */
export function checkParts(drive: string, geometry: DriveGeometry, read: PartsRead, global: GlobalMemory): void {
  checkZoneNumber(drive, read.zone);
  const { strip, list, count } = read;
  const memoryBytes = global.u8.byteLength;
  if (!Number.isInteger(strip) || strip < 0 || strip >= geometry.stripsPerZone) {
    throw new DriveError("invalid", drive, `strip ${strip} is not within a zone of ${geometry.stripsPerZone}`);
  }
  if (!Number.isInteger(count) || count < 1 || count > PARTS_MAX)
    throw new DriveError("invalid", drive, `${count} parts in one read`);
  if (!Number.isInteger(list) || list < 0 || list % 4 !== 0 || list + count * PART_BYTES > memoryBytes) {
    throw new DriveError("invalid", drive, `list at ${list} is outside of global memory`);
  }
  const { i32 } = global;
  for (let word = list >> 2, end = word + count * PART_WORDS; word < end; word += PART_WORDS) {
    const offsetBytes = i32[word + PART_WORD.offsetBytes]!;
    const bytes = i32[word + PART_WORD.bytes]!;
    if (offsetBytes < 0 || bytes < 1 || offsetBytes + bytes > geometry.stripBytes) {
      throw new DriveError("invalid", drive, `part of ${bytes} bytes from ${offsetBytes} is not within a strip`);
    }
    const address = i32[word + PART_WORD.address]! >>> 0;
    if (address + bytes > memoryBytes) throw new DriveError("invalid", drive, `address ${address} is outside of global memory`);
  }
}

/** Puts the parts of a strip to their places. The list was checked. */
export function deliverParts(global: GlobalMemory, strip: Buffer, read: PartsRead): void {
  const { i32, u8 } = global;
  for (let word = read.list >> 2, end = word + read.count * PART_WORDS; word < end; word += PART_WORDS) {
    const offsetBytes = i32[word + PART_WORD.offsetBytes]!;
    const bytes = i32[word + PART_WORD.bytes]!;
    const address = i32[word + PART_WORD.address]! >>> 0;
    // Buffer.copy, as a misaligned TypedArray.set into shared memory is several times slower.
    strip.copy(u8, address, offsetBytes, offsetBytes + bytes);
    if (i32[word + PART_WORD.checksum] !== 0) i32[word + PART_WORD.checksum] = dataChecksum(global.view(address, bytes));
  }
}

/** Where a byte of the strip went, or −1; for faults on command. */
export function placeOfByte(global: GlobalMemory, read: PartsRead, offsetBytes: number): Address {
  const { i32 } = global;
  for (let word = read.list >> 2, end = word + read.count * PART_WORDS; word < end; word += PART_WORDS) {
    const within = offsetBytes - i32[word + PART_WORD.offsetBytes]!;
    if (within >= 0 && within < i32[word + PART_WORD.bytes]!) return (i32[word + PART_WORD.address]! >>> 0) + within;
  }
  return -1;
}

/** Whether any part has bytes of this stretch of the strip; for faults on command. */
export function touchesBytes(global: GlobalMemory, read: PartsRead, firstByte: number, byteCount: number): boolean {
  const { i32 } = global;
  for (let word = read.list >> 2, end = word + read.count * PART_WORDS; word < end; word += PART_WORDS) {
    const offsetBytes = i32[word + PART_WORD.offsetBytes]!;
    if (firstByte < offsetBytes + i32[word + PART_WORD.bytes]! && offsetBytes < firstByte + byteCount) return true;
  }
  return false;
}

/** Computes the checksums anew that `wanted` says were asked for, as a drive that had read these bytes would have. */
export function refreshChecksums(global: GlobalMemory, read: PartsRead, wanted: readonly boolean[]): void {
  const { i32 } = global;
  for (let index = 0; index < read.count; index++) {
    const word = (read.list >> 2) + index * PART_WORDS;
    if (wanted[index] !== true) continue;
    const bytes = i32[word + PART_WORD.bytes]!;
    i32[word + PART_WORD.checksum] = dataChecksum(global.view(i32[word + PART_WORD.address]! >>> 0, bytes));
  }
}

/** Which checksums a list asks for; to be called before the drive has it. */
export function checksumsWanted(global: GlobalMemory, read: PartsRead): boolean[] {
  return Array.from({ length: read.count }, (_, index) => partChecksum(global, read.list, index) !== 0);
}

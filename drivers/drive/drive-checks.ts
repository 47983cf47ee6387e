/**
 * What the drive contract asks of callers, checked in one place for every kind of drive.
 *
 * Callers' mistakes end as DriveError "invalid": the drive goes on.
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { DriveError, type DriveGeometry, type MetadataOperation, type MetadataRange, type StripRead } from "./drive.ts";

export const DRIVE_FORMAT_VERSION = 2;
/** Zones are folders of eight digits. */
const ZONE_NUMBER_MAX = 99_999_999;
/** Strips of one read or write. */
const STRIPS_PER_OPERATION_MAX = 1024;
export const METADATA_KEY_CHARS_MAX = 48;
export const METADATA_VALUE_BYTES_MAX = 256 * 1024;
export const METADATA_BATCH_BYTES_MAX = 512 * 1024;
export const METADATA_PAGE_BYTES_MAX = 512 * 1024;
/** What a key weighs beside its characters, in the sums of batches and pages: as much as its record in a mailbox. */
export const METADATA_ENTRY_OVERHEAD_BYTES = 8;

const PRINTABLE_KEY = /^[\x20-\x7e]{1,48}$/;
/** Range bounds may be longer by one character, so that a range can begin right after a key (`keyAfter`). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is the smallest character, so `key + NUL` is the next key.
const RANGE_BOUND = /^[\x00-\x7f]{0,49}$/;

/** The smallest bound above `key`: where the next page of a scan begins. */
export function keyAfter(key: string): string {
  return `${key}\0`;
}

export function checkGeometry(drive: string, geometry: DriveGeometry): void {
  const { capacityBytes, stripBytes, stripsPerZone, zoneCount } = geometry;
  for (const [name, value] of Object.entries({ capacityBytes, stripBytes, stripsPerZone, zoneCount })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new DriveError("invalid", drive, `geometry: ${name} is ${value}`);
  }
  if (stripsPerZone > 0x7fff_ffff || zoneCount > ZONE_NUMBER_MAX)
    throw new DriveError("invalid", drive, "geometry is out of range");
}

export function checkZoneNumber(drive: string, zone: number): void {
  if (!Number.isInteger(zone) || zone < 0 || zone > ZONE_NUMBER_MAX) {
    throw new DriveError("invalid", drive, `zone number ${zone} is not in 0 … ${ZONE_NUMBER_MAX}`);
  }
}

/** Checks strips and memory of one read or write. */
export function checkStrips(drive: string, geometry: DriveGeometry, strips: StripRead, global: GlobalMemory): void {
  checkZoneNumber(drive, strips.zone);
  const { firstStrip, count, address, strideBytes } = strips;
  if (!Number.isInteger(count) || count < 1 || count > STRIPS_PER_OPERATION_MAX) {
    throw new DriveError("invalid", drive, `${count} strips in one operation`);
  }
  if (!Number.isInteger(firstStrip) || firstStrip < 0 || firstStrip + count > geometry.stripsPerZone) {
    throw new DriveError("invalid", drive, `strips ${firstStrip} + ${count} are not within a zone of ${geometry.stripsPerZone}`);
  }
  if (!Number.isInteger(strideBytes) || (count > 1 && strideBytes < geometry.stripBytes)) {
    throw new DriveError("invalid", drive, `stride of ${strideBytes} bytes for strips of ${geometry.stripBytes}`);
  }
  const end = address + (count - 1) * strideBytes + geometry.stripBytes;
  if (!Number.isInteger(address) || address < 0 || end > global.u8.byteLength) {
    throw new DriveError("invalid", drive, `address ${address} is outside of global memory`);
  }
}

export function checkMetadataKey(drive: string, key: string): void {
  if (!PRINTABLE_KEY.test(key)) throw new DriveError("invalid", drive, "metadata key is not 1 to 48 printable ASCII characters");
}

export function checkMetadataOperations(drive: string, operations: readonly MetadataOperation[]): void {
  let bytes = 0;
  for (const operation of operations) {
    checkMetadataKey(drive, operation.key);
    bytes += METADATA_ENTRY_OVERHEAD_BYTES + operation.key.length;
    if (operation.type !== "put") continue;
    if (operation.value.byteLength > METADATA_VALUE_BYTES_MAX) {
      throw new DriveError("invalid", drive, `metadata value of ${operation.value.byteLength} bytes`);
    }
    bytes += operation.value.byteLength;
  }
  if (bytes > METADATA_BATCH_BYTES_MAX) throw new DriveError("invalid", drive, `metadata batch of ${bytes} bytes`);
}

export function checkMetadataRange(drive: string, range: MetadataRange): void {
  if (!RANGE_BOUND.test(range.from) || !RANGE_BOUND.test(range.below))
    throw new DriveError("invalid", drive, "metadata range is not ASCII");
  if (!Number.isInteger(range.bytesMax) || range.bytesMax < 1)
    throw new DriveError("invalid", drive, `page of ${range.bytesMax} bytes`);
}

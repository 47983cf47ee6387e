/**
 * Fields of a CDB: where they lie, and how to read and write them. Big-endian; bit 7 is the most significant (SPC-4 §4.2.2).
 *
 * Runs on: any thread. Owns: nothing.
 */

/** One field: `bytes` bytes from `byte` on; a field of one byte may be part of it (`highBit` … `lowBit`). */
export interface Field {
  readonly byte: number;
  readonly bytes: number;
  /** Highest bit of the first byte that belongs to the field. */
  readonly highBit: number;
  /** Lowest bit of the last byte that belongs to the field: not 0 for fields of one byte only. */
  readonly lowBit: number;
  /** The device server looks at it, so REPORT SUPPORTED OPERATION CODES shows it in the usage map. */
  readonly evaluated: boolean;
}

function whole(byte: number, bytes: number): Field {
  return { byte, bytes, highBit: 7, lowBit: 0, evaluated: true };
}

export const u8 = (byte: number): Field => whole(byte, 1);
export const u16 = (byte: number): Field => whole(byte, 2);
export const u32 = (byte: number): Field => whole(byte, 4);
export const u64 = (byte: number): Field => whole(byte, 8);
export const bits = (byte: number, highBit: number, lowBit: number): Field => ({
  byte,
  bytes: 1,
  highBit,
  lowBit,
  evaluated: true,
});
export const bit = (byte: number, number: number): Field => bits(byte, number, number);

/** A field that begins in the middle of a byte and ends with a later one: the LBA of READ(6). */
export const bitsThrough = (byte: number, highBit: number, lastByte: number): Field => ({
  byte,
  bytes: lastByte - byte + 1,
  highBit,
  lowBit: 0,
  evaluated: true,
});

/** A field that the standard has and this device server ignores, or that must be zero: no bit in the usage map. */
export const unused = (field: Field): Field => ({ ...field, evaluated: false });

/** Mask of the field's bits in byte `byte` of the CDB. */
export function fieldMask(field: Field, byte: number): number {
  if (byte < field.byte || byte >= field.byte + field.bytes) return 0;
  const high = byte === field.byte ? field.highBit : 7;
  const low = byte === field.byte + field.bytes - 1 ? field.lowBit : 0;
  return (0xff >> (7 - high)) & (0xff << low) & 0xff;
}

/**
 * The field's value. Of a field of 8 bytes only values up to 2^53 are exact; larger ones come out larger than 2^53, which
 * is all that a range check needs, and costs no bigint on the path of every READ. `fieldBigInt` is exact.
 */
export function fieldValue(cdb: Uint8Array, field: Field): number {
  let value = cdb[field.byte]! & (0xff >> (7 - field.highBit));
  if (field.bytes === 1) return value >> field.lowBit;
  for (let i = 1; i < field.bytes; i += 1) value = value * 256 + cdb[field.byte + i]!;
  return value;
}

export function fieldBigInt(cdb: Uint8Array, field: Field): bigint {
  let value = BigInt(cdb[field.byte]! & (0xff >> (7 - field.highBit)));
  for (let i = 1; i < field.bytes; i += 1) value = (value << 8n) | BigInt(cdb[field.byte + i]!);
  return value >> BigInt(field.lowBit);
}

/** Writes the field; bits of the value that don't fit are a mistake of the caller. */
export function setField(cdb: Uint8Array, field: Field, value: number | bigint): void {
  let rest = BigInt(value) << BigInt(field.lowBit);
  for (let byte = field.byte + field.bytes - 1; byte >= field.byte; byte -= 1) {
    const mask = fieldMask(field, byte);
    const part = Number(rest & 0xffn);
    if ((part & ~mask) !== 0) throw new RangeError(`value ${value} does not fit its field at byte ${field.byte}`);
    cdb[byte] = (cdb[byte]! & ~mask) | part;
    rest >>= 8n;
  }
  if (rest !== 0n) throw new RangeError(`value ${value} does not fit its field at byte ${field.byte}`);
}

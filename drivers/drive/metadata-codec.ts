/**
 * Metadata batches and pages as bytes in a mailbox: entries one after the other, little-endian.
 *
 *   u8 type (0 put, 1 delete) · u8 key bytes · u16 0 · u32 value bytes · key (ASCII) · value
 *
 * The header is METADATA_ENTRY_OVERHEAD_BYTES long, so that the limits on batches and pages count what lies here.
 */
import type { MetadataOperation } from "./drive.ts";
import { METADATA_ENTRY_OVERHEAD_BYTES } from "./drive-checks.ts";

export type MetadataEntry = readonly [key: string, value: Uint8Array];

export function operationsBytes(operations: readonly MetadataOperation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += METADATA_ENTRY_OVERHEAD_BYTES + operation.key.length + (operation.type === "put" ? operation.value.byteLength : 0);
  }
  return bytes;
}

export function entriesBytes(entries: readonly MetadataEntry[]): number {
  let bytes = 0;
  for (const [key, value] of entries) bytes += METADATA_ENTRY_OVERHEAD_BYTES + key.length + value.byteLength;
  return bytes;
}

/** `target` has room for `operationsBytes`. */
export function encodeOperations(target: Buffer, operations: readonly MetadataOperation[]): void {
  let at = 0;
  for (const operation of operations) {
    const value = operation.type === "put" ? operation.value : undefined;
    at = encodeEntry(target, at, operation.key, value);
  }
}

/** `target` has room for `entriesBytes`. */
export function encodeEntries(target: Buffer, entries: readonly MetadataEntry[]): void {
  let at = 0;
  for (const [key, value] of entries) at = encodeEntry(target, at, key, value);
}

/** Values are copies: the mailbox is used again. @throws RangeError when the bytes are not whole entries */
export function decodeOperations(source: Buffer): MetadataOperation[] {
  const operations: MetadataOperation[] = [];
  let at = 0;
  while (at < source.byteLength) {
    const type = source.readUInt8(at);
    const keyBytes = source.readUInt8(at + 1);
    const valueBytes = source.readUInt32LE(at + 4);
    const keyAt = at + METADATA_ENTRY_OVERHEAD_BYTES;
    const end = keyAt + keyBytes + valueBytes;
    if (end > source.byteLength || type > 1) throw new RangeError(`metadata entry at ${at} overruns ${source.byteLength} bytes`);
    const key = source.toString("latin1", keyAt, keyAt + keyBytes);
    if (type === 1) operations.push({ type: "delete", key });
    else operations.push({ type: "put", key, value: Buffer.from(source.subarray(keyAt + keyBytes, end)) });
    at = end;
  }
  return operations;
}

export function decodeEntries(source: Buffer): MetadataEntry[] {
  const entries: MetadataEntry[] = [];
  for (const operation of decodeOperations(source)) {
    if (operation.type === "put") entries.push([operation.key, operation.value]);
  }
  return entries;
}

function encodeEntry(target: Buffer, at: number, key: string, value: Uint8Array | undefined): number {
  target.writeUInt8(value === undefined ? 1 : 0, at);
  target.writeUInt8(key.length, at + 1);
  target.writeUInt16LE(0, at + 2);
  target.writeUInt32LE(value?.byteLength ?? 0, at + 4);
  const keyAt = at + METADATA_ENTRY_OVERHEAD_BYTES;
  target.write(key, keyAt, "latin1");
  if (value !== undefined) target.set(value, keyAt + key.length);
  return keyAt + key.length + (value?.byteLength ?? 0);
}

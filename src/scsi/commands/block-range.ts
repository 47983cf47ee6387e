/**
 * The checks that all commands on a range of blocks share (SBC-3 §4.5, and the limits of VPD page B0h).
 *
 * Runs on: the owning director's thread. Owns: nothing.
 */
import { type Field, fieldBigInt, fieldValue } from "../cdb/field.ts";
import type { Command } from "../command.ts";

export interface BlockFields {
  readonly logicalBlockAddress: Field;
  readonly transferLength: Field;
}

/**
 * Sets `command.offsetBytes` and `bytes` from the CDB. Returns false if it ended the command: LBA out of range first, then
 * a length over `bytesMax`. A length of 0 stands for `zeroMeans` blocks.
 */
export function blockRange(command: Command, fields: BlockFields, bytesMax: number, zeroMeans = 0): boolean {
  const { cdb } = command.task;
  const { logicalBlockBytes, sizeBytes } = command.info;
  const lba = fieldValue(cdb, fields.logicalBlockAddress);
  const blocks = fieldValue(cdb, fields.transferLength) || zeroMeans;
  const capacity = sizeBytes / logicalBlockBytes;
  if (lba + blocks > capacity) {
    const first = fieldBigInt(cdb, fields.logicalBlockAddress);
    command.fail("logicalBlockAddressOutOfRange", { lba: first < BigInt(capacity) ? BigInt(capacity) : first });
    return false;
  }
  if (blocks * logicalBlockBytes > bytesMax) {
    command.invalidField(fields.transferLength);
    return false;
  }
  command.offsetBytes = lba * logicalBlockBytes;
  command.bytes = blocks * logicalBlockBytes;
  return true;
}

/** As `blockRange`, for commands without a limit whose length 0 means up to the last block. */
export function blockRangeToEnd(command: Command, fields: BlockFields): boolean {
  if (!blockRange(command, fields, Number.POSITIVE_INFINITY)) return false;
  if (command.bytes === 0) command.bytes = command.info.sizeBytes - command.offsetBytes;
  return true;
}

/** A field that must be zero, if the CDB has it. Returns false if it was not, and ended the command. */
export function mustBeZero(command: Command, field: Field | undefined): boolean {
  if (field === undefined || fieldValue(command.task.cdb, field) === 0) return true;
  command.invalidField(field);
  return false;
}

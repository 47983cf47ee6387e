/**
 * WRITE: the frames that the transport filled become blocks of the volume.
 *
 * Runs on: the owning director's thread. Owns: nothing; the volume takes the frames over.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { TRANSFER_BYTES_MAX } from "../block-limits.ts";
import type { Field } from "../cdb/field.ts";
import { WRITE_6, WRITE_6_BLOCKS_OF_ZERO, WRITE_10, WRITE_12, WRITE_16 } from "../cdb/write.ts";
import type { Command } from "../command.ts";
import { SCSI_COUNTERS } from "../scsi-counters.ts";
import { type BlockFields, blockRange, mustBeZero } from "./block-range.ts";
import { framesTouched, wholeBlocksOut } from "./data-out.ts";

interface WriteFields extends BlockFields {
  readonly wrprotect?: Field;
  readonly fua?: Field;
}

const writtenBytesSlot = SCSI_COUNTERS.slots.writtenBytes;

function writeCommand(fields: WriteFields, zeroMeans = 0): (command: Command) => void {
  return (command) => {
    if (!mustBeZero(command, fields.wrprotect)) return;
    if (!blockRange(command, fields, TRANSFER_BYTES_MAX, zeroMeans)) return;
    command.task.transferBytes = command.bytes;
    const bytes = wholeBlocksOut(command, command.bytes);
    if (bytes < 0) return;
    if (bytes === 0) return command.good();
    const forced = fields.fua !== undefined && command.field(fields.fua) !== 0;
    writeDataOut(command, bytes, forced, writeEnded);
  };
}

/** Hands the first `bytes` bytes of data-out to the volume; surplus frames go back. */
export function writeDataOut(command: Command, bytes: number, forceUnitAccess: boolean, next: (command: Command) => void): void {
  const run = command.task.dataOut;
  command.giveBackDataOutFrom(framesTouched(command.offsetBytes % BLOCK_BYTES, bytes));
  command.holdsDataOut = false;
  run.bytes = bytes;
  command.bytes = bytes;
  const io = command.range(command.offsetBytes, bytes, forceUnitAccess || !command.info.writeCacheEnabled);
  io.run = run;
  command.start("write", io, next);
}

/** After the volume took the data-out frames over, whether it wrote them or not. Returns true if it ended the command. */
export function failedWrite(command: Command): boolean {
  command.task.dataOut.frameCount = 0;
  if (command.failedIo()) return true;
  command.services.counters[writtenBytesSlot]! += command.bytes;
  return false;
}

function writeEnded(command: Command): void {
  if (!failedWrite(command)) command.good();
}

export const write6 = writeCommand(WRITE_6.fields, WRITE_6_BLOCKS_OF_ZERO);
export const write10 = writeCommand(WRITE_10.fields);
export const write12 = writeCommand(WRITE_12.fields);
export const write16 = writeCommand(WRITE_16.fields);

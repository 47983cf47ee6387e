/**
 * READ: the volume pins one frame for each block touched, and the transport sends from where they lie.
 *
 * Runs on: the owning director's thread. Owns: nothing; the pins end with the task's release.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { TRANSFER_BYTES_MAX } from "../block-limits.ts";
import type { Field } from "../cdb/field.ts";
import { READ_6, READ_6_BLOCKS_OF_ZERO, READ_10, READ_12, READ_16 } from "../cdb/read.ts";
import type { Command } from "../command.ts";
import { SCSI_COUNTERS } from "../scsi-counters.ts";
import type { ScsiTask } from "../task.ts";
import { type BlockFields, blockRange, mustBeZero } from "./block-range.ts";

interface ReadFields extends BlockFields {
  readonly rdprotect?: Field;
  readonly fua?: Field;
}

const readBytesSlot = SCSI_COUNTERS.slots.readBytes;

function readCommand(fields: ReadFields, zeroMeans = 0): (command: Command) => void {
  return (command) => {
    if (!mustBeZero(command, fields.rdprotect)) return;
    if (!blockRange(command, fields, TRANSFER_BYTES_MAX, zeroMeans)) return;
    const { task } = command;
    // Flagged as a write only: nothing can be sent, and nothing was asked of the medium. GOOD, all of it residual, as
    // iscsi-test-cu (iSCSIResiduals.Read10Invalid) expects; other commands of the wrong direction are refused.
    if (task.writeFlag && !task.readFlag) return command.good();
    task.transferBytes = command.bytes;
    if (command.bytes === 0) return command.good();
    if (fields.fua !== undefined && command.field(fields.fua) !== 0) {
      // FUA: what is read must be on the medium (SBC-3 §5.11), so that no power loss takes it back.
      command.start("flush", command.range(0, 0, true), afterFlush);
    } else startRead(command);
  };
}

function afterFlush(command: Command): void {
  if (!command.failedIo()) startRead(command);
}

function startRead(command: Command): void {
  const io = command.range(command.offsetBytes, command.bytes, false);
  io.run = command.task.dataIn; // filled in where the transport looks: nothing is copied
  command.start("read", io, readEnded);
}

function readEnded(command: Command): void {
  const { task, bytes } = command;
  if (command.io.status !== 0) {
    task.dataIn.frameCount = 0;
    task.dataIn.bytes = 0;
    task.transferBytes = 0;
    command.failedIo();
    return;
  }
  task.dataIn.phase = command.offsetBytes % BLOCK_BYTES;
  task.dataIn.bytes = bytes;
  task.onRelease = releaseRead;
  command.services.counters[readBytesSlot]! += bytes;
  command.good();
}

function releaseRead(task: ScsiTask): void {
  const command = task.serverContext as Command;
  command.services.blocks.releaseRead(command.io);
  task.dataIn.frameCount = 0;
  command.services.recycle(command);
}

export const read6 = readCommand(READ_6.fields, READ_6_BLOCKS_OF_ZERO);
export const read10 = readCommand(READ_10.fields);
export const read12 = readCommand(READ_12.fields);
export const read16 = readCommand(READ_16.fields);

/**
 * WRITE SAME: zeros give the space back; any other pattern is written piece by piece (SBC-3 §5.44, §5.45).
 *
 * Zeros read back as zeros whether unmapped or written (LBPRZ), so the UNMAP bit makes no difference to them; with another
 * pattern an unmap would not read back as written, so it is written (SBC-3 §4.7.3.4.4).
 *
 * Runs on: the owning director's thread. Owns: the frames of the piece under way.
 * Invariants:
 *  1. At most PIECE_BYTES_MAX of frames are held; when there are none the command waits its turn for them.
 *  2. Pieces end where blocks end, so that only the first and last are partial.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { WRITE_SAME_BYTES_MAX } from "../block-limits.ts";
import type { Field } from "../cdb/field.ts";
import { WRITE_SAME_10, WRITE_SAME_16 } from "../cdb/write-same.ts";
import type { Command } from "../command.ts";
import { SCSI_COUNTERS } from "../scsi-counters.ts";
import { growFrameRun } from "../task.ts";
import { type BlockFields, blockRange, mustBeZero } from "./block-range.ts";
import { addressInRun, framesTouched } from "./data-out.ts";

const PIECE_BYTES_MAX = 256 * 1024;

interface WriteSameFields extends BlockFields {
  readonly wrprotect: Field;
  readonly anchor: Field;
  readonly ndob?: Field;
}

const { unmappedBytes: unmappedBytesSlot, writtenBytes: writtenBytesSlot } = SCSI_COUNTERS.slots;

function writeSameCommand(fields: WriteSameFields): (command: Command) => void {
  return (command) => {
    if (!mustBeZero(command, fields.wrprotect)) return;
    if (!mustBeZero(command, fields.anchor)) return; // ANC_SUP is 0
    if (!blockRange(command, fields, WRITE_SAME_BYTES_MAX)) return;
    if (command.bytes === 0) return command.invalidField(fields.transferLength); // WSNZ is 1
    const noDataOut = fields.ndob !== undefined && command.field(fields.ndob) !== 0;
    if (!noDataOut && !oneBlockCame(command)) return;
    if (noDataOut || patternIsZero(command)) {
      const io = command.range(command.offsetBytes, command.bytes, !command.info.writeCacheEnabled);
      command.start("zero", io, zeroEnded);
    } else writePiece(command);
  };
}

function oneBlockCame(command: Command): boolean {
  const { task, info } = command;
  const { logicalBlockBytes } = info;
  task.transferBytes = logicalBlockBytes;
  const announced = task.expectedTransferBytes < 0 ? task.dataOut.bytes : task.expectedTransferBytes;
  if (announced === logicalBlockBytes && task.dataOut.bytes === logicalBlockBytes) return true;
  command.fail("invalidFieldInCommandInformationUnit");
  return false;
}

function patternIsZero(command: Command): boolean {
  return command.services.global.kernels.isZero(addressInRun(command, command.task.dataOut, 0), command.info.logicalBlockBytes);
}

function zeroEnded(command: Command): void {
  if (command.failedIo()) return;
  command.services.counters[unmappedBytesSlot]! += command.bytes;
  command.good();
}

/** Writes the next piece of what is left: `offsetBytes` and `bytes` of the command shrink as it goes. */
function writePiece(command: Command): void {
  const { frames } = command.services;
  const phase = command.offsetBytes % BLOCK_BYTES;
  const bytes = Math.min(PIECE_BYTES_MAX - phase, command.bytes);
  const count = framesTouched(phase, bytes);
  const run = command.ownRun;
  growFrameRun(run, count);
  if (!frames.tryTake(count, run.frames, 0)) {
    frames.whenAvailable(count, () => writePiece(command));
    return;
  }
  run.frameCount = count;
  run.phase = phase;
  run.bytes = bytes;
  fillWithPattern(command, count);
  const io = command.range(command.offsetBytes, bytes, !command.info.writeCacheEnabled);
  io.run = run;
  command.start("write", io, pieceEnded);
}

/** Every frame whole: block borders are frame borders for either logical block size, so the phase makes no difference. */
function fillWithPattern(command: Command, count: number): void {
  const { frames, global } = command.services;
  const pattern = addressInRun(command, command.task.dataOut, 0);
  const first = frames.addressOf(command.ownRun.frames[0]!);
  const { logicalBlockBytes } = command.info;
  for (let at = 0; at < BLOCK_BYTES; at += logicalBlockBytes) global.kernels.copy(first + at, pattern, logicalBlockBytes);
  for (let i = 1; i < count; i += 1) global.kernels.copy(frames.addressOf(command.ownRun.frames[i]!), first, BLOCK_BYTES);
}

function pieceEnded(command: Command): void {
  if (command.failedIo()) return;
  const { bytes } = command.io;
  command.services.counters[writtenBytesSlot]! += bytes;
  command.offsetBytes += bytes;
  command.bytes -= bytes;
  if (command.bytes === 0) command.good();
  else writePiece(command);
}

export const writeSame10 = writeSameCommand(WRITE_SAME_10.fields);
export const writeSame16 = writeSameCommand(WRITE_SAME_16.fields);

/**
 * WRITE AND VERIFY: a write that is durable, read back, and compared where BYTCHK asks for it (SBC-3 §5.39).
 *
 *   copy (BYTCHK 01b) ──► write, forced ──► read ──► compare ──► end
 *
 * Runs on: the owning director's thread. Owns: the copy of the data-out, because the volume takes the frames over.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { TRANSFER_BYTES_MAX } from "../block-limits.ts";
import type { Field } from "../cdb/field.ts";
import { WRITE_AND_VERIFY_10, WRITE_AND_VERIFY_12, WRITE_AND_VERIFY_16 } from "../cdb/write-and-verify.ts";
import type { Command } from "../command.ts";
import { type FrameRun, STATUS } from "../task.ts";
import { type BlockFields, blockRange, mustBeZero } from "./block-range.ts";
import { firstDifference } from "./compare-runs.ts";
import { framesTouched, wholeBlocksOut } from "./data-out.ts";
import { BYTCHK, endCompared } from "./verify.ts";
import { failedWrite, writeDataOut } from "./write.ts";

interface WriteAndVerifyFields extends BlockFields {
  readonly wrprotect: Field;
  readonly bytchk: Field;
}

function writeAndVerifyCommand(fields: WriteAndVerifyFields): (command: Command) => void {
  return (command) => {
    if (!mustBeZero(command, fields.wrprotect)) return;
    const bytchk = command.field(fields.bytchk);
    if (bytchk > BYTCHK.allBlocks) return command.invalidField(fields.bytchk);
    if (!blockRange(command, fields, TRANSFER_BYTES_MAX)) return;
    command.task.transferBytes = command.bytes;
    const bytes = wholeBlocksOut(command, command.bytes);
    if (bytes < 0) return;
    if (bytes === 0) return command.good();
    if (bytchk === BYTCHK.allBlocks && !copyDataOut(command, bytes)) return command.endWith(STATUS.TASK_SET_FULL);
    writeDataOut(command, bytes, true, written);
  };
}

function copyDataOut(command: Command, bytes: number): boolean {
  const { frames, global } = command.services;
  const { dataOut } = command.task;
  const count = framesTouched(dataOut.phase, bytes);
  const copy: FrameRun = { frames: new Int32Array(count), frameCount: count, phase: dataOut.phase, bytes };
  if (!frames.tryTake(count, copy.frames, 0)) return false;
  for (let i = 0; i < count; i += 1) {
    global.kernels.copy(frames.addressOf(copy.frames[i]!), frames.addressOf(dataOut.frames[i]!), BLOCK_BYTES);
  }
  command.steps = copy;
  return true;
}

function written(command: Command): void {
  const copy = command.steps as FrameRun | undefined;
  if (command.io.status !== 0) giveBack(command, copy);
  if (failedWrite(command)) return;
  const io = command.range(command.offsetBytes, command.bytes, false);
  io.run = command.ownRun;
  command.start("read", io, readBack);
}

function readBack(command: Command): void {
  const copy = command.steps as FrameRun | undefined;
  if (command.io.status !== 0) {
    giveBack(command, copy);
    command.failedIo();
    return;
  }
  const difference = copy === undefined ? -1 : firstDifference(command, command.io.run, copy, command.bytes);
  command.services.blocks.releaseRead(command.io);
  giveBack(command, copy);
  endCompared(command, difference);
}

function giveBack(command: Command, copy: FrameRun | undefined): void {
  if (copy === undefined) return;
  for (let i = 0; i < copy.frameCount; i += 1) command.services.frames.give(copy.frames[i]!);
  command.steps = undefined;
}

export const writeAndVerify10 = writeAndVerifyCommand(WRITE_AND_VERIFY_10.fields);
export const writeAndVerify12 = writeAndVerifyCommand(WRITE_AND_VERIFY_12.fields);
export const writeAndVerify16 = writeAndVerifyCommand(WRITE_AND_VERIFY_16.fields);

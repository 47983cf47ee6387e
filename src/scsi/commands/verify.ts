/**
 * VERIFY: reads the blocks, and compares them with data-out where BYTCHK says so (SBC-3 §5.31, table 94).
 *
 * Runs on: the owning director's thread. Owns: nothing; its pins end before the command does.
 */
import { TRANSFER_BYTES_MAX } from "../block-limits.ts";
import type { Field } from "../cdb/field.ts";
import { VERIFY_10, VERIFY_12, VERIFY_16 } from "../cdb/verify.ts";
import type { Command } from "../command.ts";
import { type BlockFields, blockRange, mustBeZero } from "./block-range.ts";
import { firstDifference, firstDifferenceFromPattern } from "./compare-runs.ts";
import { addressInRun, wholeBlocksOut } from "./data-out.ts";

interface VerifyFields extends BlockFields {
  readonly vrprotect: Field;
  readonly bytchk: Field;
}

/** 00b: the medium only; 01b: with as many blocks of data-out; 11b: each with one block of data-out. 10b is reserved. */
export const BYTCHK = { none: 0, allBlocks: 1, reserved: 2, oneBlock: 3 } as const;

function verifyCommand(fields: VerifyFields): (command: Command) => void {
  return (command) => {
    if (!mustBeZero(command, fields.vrprotect)) return;
    const bytchk = command.field(fields.bytchk);
    if (bytchk === BYTCHK.reserved) return command.invalidField(fields.bytchk);
    if (!blockRange(command, fields, TRANSFER_BYTES_MAX)) return;
    if (command.bytes === 0) return command.good();
    if (bytchk !== BYTCHK.none && !dataOutComplete(command, bytchk)) return;
    command.steps = bytchk;
    command.start("read", command.range(command.offsetBytes, command.bytes, false), verifyRead);
  };
}

/** Nothing may be called verified that did not come: a short data-out is an error here. */
function dataOutComplete(command: Command, bytchk: number): boolean {
  const wanted = bytchk === BYTCHK.oneBlock ? command.info.logicalBlockBytes : command.bytes;
  command.task.transferBytes = wanted;
  const came = bytchk === BYTCHK.oneBlock ? command.task.dataOut.bytes : wholeBlocksOut(command, wanted);
  if (came < 0) return false;
  if (came >= wanted) return true;
  command.fail("invalidFieldInCommandInformationUnit");
  return false;
}

function verifyRead(command: Command): void {
  if (command.failedIo()) return;
  const { io, task, bytes } = command;
  let difference = -1;
  if (command.steps === BYTCHK.allBlocks) difference = firstDifference(command, io.run, task.dataOut, bytes);
  if (command.steps === BYTCHK.oneBlock) {
    difference = firstDifferenceFromPattern(command, io.run, addressInRun(command, task.dataOut, 0), bytes);
  }
  command.services.blocks.releaseRead(io);
  endCompared(command, difference);
}

/** Ends the command for the offset of the first byte that differs, −1 for none. */
export function endCompared(command: Command, difference: number): void {
  if (difference < 0) {
    command.good();
    return;
  }
  const block = Math.floor((command.offsetBytes + difference) / command.info.logicalBlockBytes);
  command.fail("miscompareDuringVerify", { lba: BigInt(block) });
}

export const verify10 = verifyCommand(VERIFY_10.fields);
export const verify12 = verifyCommand(VERIFY_12.fields);
export const verify16 = verifyCommand(VERIFY_16.fields);

/**
 * What a command finds of the data that its transport collected for it.
 *
 * Runs on: the owning director's thread. Owns: nothing.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import type { Command } from "../command.ts";
import { type FrameRun, STATUS } from "../task.ts";

/**
 * Bytes of the `wanted` that came, cut to whole logical blocks: an initiator may announce less than the CDB asks for, and
 * what it announced is written, the rest counted as residual overflow (RFC 7143 §11.4.5.1).
 * Returns −1 if it ended the command with BUSY: the data was planned for another geometry (the volume appeared or moved
 * between plan and submit), so that it is not where it must be; the initiator sends the command again.
 */
export function wholeBlocksOut(command: Command, wanted: number): number {
  const { task, info } = command;
  const run = task.dataOut;
  const planned = task.expectedTransferBytes < 0 ? 0 : Math.min(task.expectedTransferBytes, wanted);
  const misplaced = run.bytes > 0 && run.phase !== command.offsetBytes % BLOCK_BYTES;
  if ((task.writeFlag && run.bytes < planned) || misplaced) {
    command.endWith(STATUS.BUSY);
    return -1;
  }
  const bytes = Math.min(run.bytes, wanted);
  return bytes - (bytes % info.logicalBlockBytes);
}

/** Frames that `bytes` bytes at `phase` touch. */
export function framesTouched(phase: number, bytes: number): number {
  return Math.ceil((phase + bytes) / BLOCK_BYTES);
}

/** A parameter list in one piece. Set-up commands only: it is a copy. */
export function parameterList(command: Command): Uint8Array {
  const run = command.task.dataOut;
  const list = new Uint8Array(run.bytes);
  let done = 0;
  for (let index = 0; done < run.bytes; index += 1) {
    const from = index === 0 ? run.phase : 0;
    const bytes = Math.min(BLOCK_BYTES - from, run.bytes - done);
    list.set(command.services.frames.view(run.frames[index]!).subarray(from, from + bytes), done);
    done += bytes;
  }
  return list;
}

/** Address in global memory of byte `at` of a run. */
export function addressInRun(command: Command, run: FrameRun, at: number): number {
  const position = run.phase + at;
  return command.services.frames.addressOf(run.frames[Math.floor(position / BLOCK_BYTES)]!) + (position % BLOCK_BYTES);
}

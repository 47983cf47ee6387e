/**
 * RESERVED frames of a write command: all that its data needs, or none.
 *
 * A command that holds frames never waits for more, so commands can't wait for each other.
 */
import { FRAME_BYTES } from "../../../../drivers/shared-memory/layout.ts";
import { growFrameRun } from "../../../../src/scsi/task.ts";
import type { FrameSource } from "../../../../src/volume/block-io.ts";
import type { IscsiTask } from "./iscsi-task.ts";

export function frameCountOf(task: IscsiTask): number {
  return Math.ceil((task.scsi.dataOut.phase + task.wantedBytes) / FRAME_BYTES);
}

export function tryTakeFrames(frames: FrameSource, task: IscsiTask): boolean {
  const run = task.scsi.dataOut;
  const count = frameCountOf(task);
  growFrameRun(run, count);
  if (!frames.tryTake(count, run.frames, 0)) return false;
  run.frameCount = count;
  task.framesHeld = true;
  return true;
}

export function giveFrames(frames: FrameSource, task: IscsiTask): void {
  if (!task.framesHeld) return;
  task.framesHeld = false;
  const run = task.scsi.dataOut;
  for (let i = 0; i < run.frameCount; i += 1) frames.give(run.frames[i]!);
  run.frameCount = 0;
}

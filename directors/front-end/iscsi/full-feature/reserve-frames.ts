/**
 * RESERVED frames of a write command, taken in two steps: for the data that comes unasked as soon as the command is there,
 * for the rest before its first R2T, all of it at once.
 *
 * The two steps take from shares of their own (FrontEndServices). So commands that hold the first part and wait for the
 * second can't keep those that have both from going on, and these always end: what they asked for comes.
 */
import { FRAME_BYTES } from "../../../../drivers/shared-memory/layout.ts";
import { growFrameRun } from "../../../../src/scsi/task.ts";
import type { FrameSource } from "../../../../src/volume/block-io.ts";
import type { IscsiTask } from "./iscsi-task.ts";

/** Frames that the task lacks to hold its first `bytes` bytes. */
export function framesMissing(task: IscsiTask, bytes: number): number {
  const run = task.scsi.dataOut;
  return Math.max(0, Math.ceil((run.phase + bytes) / FRAME_BYTES) - run.frameCount);
}

export function hasAllFrames(task: IscsiTask): boolean {
  return framesMissing(task, task.wantedBytes) === 0;
}

/** Takes what is missing for the first `bytes` bytes, or nothing. */
export function tryTakeFrames(frames: FrameSource, task: IscsiTask, bytes: number): boolean {
  const run = task.scsi.dataOut;
  const count = framesMissing(task, bytes);
  growFrameRun(run, run.frameCount + count);
  if (!frames.tryTake(count, run.frames, run.frameCount)) return false;
  run.frameCount += count;
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

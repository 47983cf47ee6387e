/**
 * A logical unit for tests of what carries tasks: bytes in an array, commands made up for the purpose, completed when told.
 *
 * CDB: [0] command, [4…7] offset in bytes, [8…11] length in bytes, little-endian.
 */

import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import {
  growFrameRun,
  type LogicalUnitServer,
  type NexusInfo,
  type NexusNumber,
  type ScsiTask,
  STATUS,
} from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";

export const UNIT_COMMAND = { nothing: 0, write: 1, read: 2, inline: 3, failing: 4 } as const;

export function encodeUnitCommand(cdb: Uint8Array, command: number, offset: number, bytes: number): void {
  cdb.fill(0);
  cdb[0] = command;
  const view = new DataView(cdb.buffer, cdb.byteOffset, 16);
  view.setUint32(4, offset, true);
  view.setUint32(8, bytes, true);
}

/** What the transport of the test puts into a task, and reads from it, whatever carries it. */
export interface UnitResult {
  status: number;
  sense: string;
  transferBytes: number;
  data: string;
}

export class MemoryUnit implements LogicalUnitServer {
  readonly bytes: Uint8Array;
  readonly log: string[] = [];
  lastRequest: Partial<ScsiTask> = {};
  /** Tasks that wait for `step`. */
  readonly pending: ScsiTask[] = [];
  readonly #global: GlobalMemory;
  readonly #frames: FrameSource;

  constructor(global: GlobalMemory, frames: FrameSource, bytes: number) {
    this.#global = global;
    this.#frames = frames;
    this.bytes = new Uint8Array(bytes);
  }

  planDataOut(): void {}

  submit(task: ScsiTask): void {
    this.log.push(`task ${task.nexus}`);
    const { nexus, lun, volume, initiatorTaskTag, attribute, readFlag, writeFlag, expectedTransferBytes } = task;
    this.lastRequest = { nexus, lun, volume, initiatorTaskTag, attribute, readFlag, writeFlag, expectedTransferBytes };
    this.pending.push(task);
  }

  resetLogicalUnit(nexus: NexusNumber, lun: number, done: (exists: boolean) => void): void {
    this.log.push(`reset ${nexus} ${lun}`);
    done(lun === 0);
  }

  nexusOpened(info: NexusInfo): void {
    this.log.push(`opened ${info.nexus} ${info.initiatorName} ${info.isid} ${info.directorIndex}`);
  }

  nexusClosed(nexus: NexusNumber): void {
    this.log.push(`closed ${nexus}`);
  }

  /** Does the task at `index` of those pending; false when there is none. */
  step(index = 0): boolean {
    const [task] = this.pending.splice(index % Math.max(1, this.pending.length), 1);
    if (task === undefined) return false;
    this.#do(task);
    return true;
  }

  #do(task: ScsiTask): void {
    const view = new DataView(task.cdb.buffer, task.cdb.byteOffset, 16);
    const offset = view.getUint32(4, true);
    const bytes = view.getUint32(8, true);
    task.status = STATUS.GOOD;
    task.transferBytes = bytes;
    switch (task.cdb[0]) {
      case UNIT_COMMAND.write:
        this.bytes.set(gather(this.#frames, task.dataOut).subarray(0, bytes), offset);
        break;
      case UNIT_COMMAND.read:
        if (!this.#read(task, offset, bytes)) {
          this.pending.push(task);
          return;
        }
        break;
      case UNIT_COMMAND.inline:
        task.inlineDataIn = this.bytes.slice(offset, offset + bytes);
        break;
      case UNIT_COMMAND.failing:
        task.status = STATUS.CHECK_CONDITION;
        task.senseBytes = 18;
        for (let n = 0; n < 18; n += 1) task.sense[n] = offset + n;
        task.transferBytes = 0;
        break;
    }
    for (let n = 0; n < task.dataOut.frameCount; n += 1) this.#frames.give(task.dataOut.frames[n]!);
    task.dataOut.frameCount = 0;
    task.onComplete(task);
  }

  #read(task: ScsiTask, offset: number, bytes: number): boolean {
    const run = task.dataIn;
    const phase = offset % FRAME_BYTES;
    const count = Math.ceil((phase + bytes) / FRAME_BYTES);
    growFrameRun(run, count);
    if (!this.#frames.tryTake(count, run.frames, 0)) return false;
    run.frameCount = count;
    run.phase = phase;
    run.bytes = bytes;
    scatter(this.#frames, run, this.bytes.subarray(offset, offset + bytes));
    const pinned = run.frames.slice(0, count);
    task.onRelease = () => {
      for (const frame of pinned) {
        this.#global.kernels.fill(this.#frames.addressOf(frame), 0xdd, FRAME_BYTES);
        this.#frames.give(frame);
      }
    };
    return true;
  }
}

interface Run {
  readonly frames: Int32Array;
  readonly frameCount: number;
  readonly phase: number;
  readonly bytes: number;
}

/** The bytes of a run. */
export function gather(frames: FrameSource, run: Run): Uint8Array {
  const all = new Uint8Array(run.frameCount * FRAME_BYTES);
  for (let n = 0; n < run.frameCount; n += 1) all.set(frames.view(run.frames[n]!), n * FRAME_BYTES);
  return all.subarray(run.phase, run.phase + run.bytes);
}

/** Bytes into a run. */
export function scatter(frames: FrameSource, run: Run, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const at = run.phase + done;
    const part = bytes.subarray(done, done + FRAME_BYTES - (at % FRAME_BYTES));
    frames.view(run.frames[Math.floor(at / FRAME_BYTES)]!).set(part, at % FRAME_BYTES);
    done += part.length;
  }
}

/**
 * One command inside the device server: a task, what was found out about it, and the block I/O it has under way.
 *
 * Runs on: the owning director's thread. Owns: its BlockIo; the data-out frames of its task until they are handed on.
 * Commands are pooled. At most one block I/O of a command is under way at a time; when it ends, `next` goes on.
 * Invariants:
 *  1. A command ends exactly once, by `good`, `fail`, `endWith` or `inline`.
 *  2. Every data-out frame is handed to BlockService.write or given back, once, at the latest when the command ends.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import {
  BLOCK_STATUS,
  BlockIo,
  type BlockService,
  type FrameSource,
  type VolumeInfo,
  type VolumeNumber,
} from "../volume/block-io.ts";
import { blockStatusFailed } from "./block-status.ts";
import { type Field, fieldBigInt, fieldValue } from "./cdb/field.ts";
import type { CommandEntry } from "./command-table.ts";
import type { LogicalUnit, UnitNexus } from "./logical-unit.ts";
import { type SenseDetail, type SenseName, setCheckCondition } from "./sense.ts";
import type { TargetIdentity } from "./target-identity.ts";
import type { UnitAccess } from "./target-port-groups.ts";
import { type FrameRun, type ScsiTask, STATUS, TASK_ATTRIBUTE } from "./task.ts";

/** What commands work with. */
export interface CommandServices {
  readonly blocks: BlockService;
  readonly frames: FrameSource;
  readonly global: GlobalMemory;
  readonly identity: TargetIdentity;
  readonly counters: Float64Array;
  accessOf(volume: VolumeNumber): UnitAccess;
  /** Ends the command: accounting, task set, `onComplete`. */
  ended(command: Command): void;
  /** Takes a command back into the pool, after its end and after the release of what its response referred to. */
  recycle(command: Command): void;
}

export class Command {
  readonly services: CommandServices;
  /** Block I/O of this command. `io.run` is `ownRun`, or for READ and WRITE the task's own run, so that nothing is copied. */
  readonly io: BlockIo;
  readonly ownRun: FrameRun;
  next: (command: Command) => void = unexpected;

  task!: ScsiTask;
  unit!: LogicalUnit;
  nexus!: UnitNexus;
  entry: CommandEntry | undefined = undefined;
  info!: VolumeInfo;
  attribute: number = TASK_ATTRIBUTE.simple;
  generation = 0;
  /** Set by `blockRange`: where on the volume, in bytes. */
  offsetBytes = 0;
  bytes = 0;
  /** Between `begin` and its end. */
  active = false;
  /** Data-out frames are still ours to give back. */
  holdsDataOut = false;
  /** Bookkeeping of a command of several steps. */
  steps: unknown = undefined;

  constructor(services: CommandServices) {
    this.services = services;
    this.io = new BlockIo(() => {
      const next = this.next;
      this.next = unexpected;
      next(this);
    });
    this.ownRun = this.io.run;
  }

  begin(task: ScsiTask): void {
    this.task = task;
    this.active = true;
    this.attribute = task.attribute;
    this.holdsDataOut = true;
    this.entry = undefined;
    this.offsetBytes = 0;
    this.bytes = 0;
    task.serverContext = this;
    task.onRelease = undefined;
    task.status = STATUS.GOOD;
    task.senseBytes = 0;
    task.inlineDataIn = undefined;
    task.dataIn.frameCount = 0;
    task.dataIn.phase = 0;
    task.dataIn.bytes = 0;
    task.transferBytes = 0;
  }

  field(field: Field): number {
    return fieldValue(this.task.cdb, field);
  }

  /** Exact for fields of 8 bytes, which `field` is only up to 2^53. */
  bigField(field: Field): bigint {
    return fieldBigInt(this.task.cdb, field);
  }

  // — ends —

  good(): void {
    this.services.ended(this);
  }

  endWith(status: number): void {
    this.task.status = status;
    this.services.ended(this);
  }

  fail(name: SenseName, detail?: SenseDetail): void {
    setCheckCondition(this.task, name, detail);
    this.services.ended(this);
  }

  invalidField(field: Field): void {
    this.fail("invalidFieldInCdb", { field: { inCdb: true, byte: field.byte, bit: field.highBit } });
  }

  /** Answers with parameter data, cut to the allocation length (SPC-4 §4.2.5.6). */
  inline(data: Uint8Array, allocationLength: number): void {
    const cut = data.length > allocationLength ? data.subarray(0, allocationLength) : data;
    this.task.inlineDataIn = cut.length > 0 ? cut : undefined;
    this.task.transferBytes = cut.length;
    this.services.ended(this);
  }

  /** Ends the command for what the block I/O came to. Returns false when it was good, and the command goes on. */
  failedIo(): boolean {
    return blockStatusFailed(this);
  }

  // — block I/O —

  /** Starts an I/O on the volume; `next` goes on when it ended, perhaps before this returns. */
  start(operation: "read" | "write" | "zero" | "flush", io: BlockIo, next: (command: Command) => void): void {
    this.next = next;
    const { blocks } = this.services;
    if (this.task.revoked && operation !== "read") {
      this.#revoked(io);
      return;
    }
    // Named, not looked up by name: it runs for each command.
    if (operation === "read") blocks.read(io);
    else if (operation === "write") blocks.write(io);
    else if (operation === "zero") blocks.zero(io);
    else blocks.flush(io);
  }

  /** Its director is dead, and its host may have repeated it: a command of several steps goes no further. */
  #revoked(io: BlockIo): void {
    for (let n = 0; n < io.run.frameCount; n += 1) this.services.frames.give(io.run.frames[n]!);
    io.run.frameCount = 0;
    io.status = BLOCK_STATUS.aborted;
    io.done(io);
  }

  /** Prepares the I/O for a range of the volume. */
  range(offsetBytes: number, bytes: number, forceUnitAccess: boolean): BlockIo {
    const { io, task } = this;
    io.volume = task.volume;
    io.nexus = task.nexus;
    io.initiatorTaskTag = task.initiatorTaskTag;
    io.request = task.request;
    io.requesterEpoch = task.requesterEpoch;
    io.offsetBytes = offsetBytes;
    io.bytes = bytes;
    io.forceUnitAccess = forceUnitAccess;
    io.abandoned = false;
    return io;
  }

  // — data-out frames —

  giveBackDataOut(): void {
    if (!this.holdsDataOut) return;
    this.holdsDataOut = false;
    this.giveBackDataOutFrom(0);
  }

  /** Gives back the data-out frames from `index` on. */
  giveBackDataOutFrom(index: number): void {
    const { frames } = this.services;
    const run = this.task.dataOut;
    for (let i = index; i < run.frameCount; i += 1) frames.give(run.frames[i]!);
    run.frameCount = Math.min(run.frameCount, index);
  }
}

function unexpected(): void {
  throw new Error("a block I/O ended that no command step waits for");
}

/**
 * A BlockService over byte arrays: what the SCSI layer is tested against. Frames come from the same CountedFrames as the
 * tests' data-out, so that one look tells whether any was lost. Requests are done at once, or held back until told.
 */

import { growFrameRun } from "../../src/scsi/task.ts";
import {
  BLOCK_BYTES,
  BLOCK_STATUS,
  type BlockIo,
  type BlockService,
  type BlockStatus,
  type MappingQuery,
  type VolumeInfo,
} from "../../src/volume/block-io.ts";
import type { CountedFrames } from "./counted-frames.ts";
import { gather, scatter } from "./memory-unit.ts";

type Operation = "read" | "write" | "zero" | "flush" | "mapping";

export class MemoryBlocks implements BlockService {
  readonly bytes = new Map<number, Uint8Array>();
  /** Every request, "operation offset bytes", with " fua" where it was forced. */
  readonly log: string[] = [];
  /** Requests wait for `step` instead of being done at once. */
  held = false;
  /** Outcome of requests from now on, by operation. */
  readonly fail = new Map<Operation, { status: BlockStatus; errorOffsetBytes: number }>();
  writeCacheAnswer = true;
  readonly #infos = new Map<number, VolumeInfo>();
  readonly #frames: CountedFrames;
  readonly #pending: (() => void)[] = [];

  constructor(frames: CountedFrames) {
    this.#frames = frames;
  }

  addVolume(volume: number, sizeBytes: number, logicalBlockBytes = 512): void {
    this.bytes.set(volume, new Uint8Array(sizeBytes));
    this.#infos.set(volume, {
      volume,
      name: `volume ${volume}`,
      sizeBytes,
      logicalBlockBytes,
      naa: `6${volume.toString(16).padStart(31, "0")}`,
      serial: `serial${volume}`,
      writeCacheEnabled: true,
    });
  }

  change(volume: number, change: Partial<VolumeInfo>): void {
    this.#infos.set(volume, { ...this.#infos.get(volume)!, ...change });
  }

  removeVolume(volume: number): void {
    this.#infos.delete(volume);
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** Does the oldest request that waits; false: there is none. */
  step(): boolean {
    const next = this.#pending.shift();
    next?.();
    return next !== undefined;
  }

  volumeInfo(volume: number): VolumeInfo | undefined {
    return this.#infos.get(volume);
  }

  read(io: BlockIo): void {
    this.#request("read", io, () => this.#read(io));
  }

  #read(io: BlockIo): void {
    const phase = io.offsetBytes % BLOCK_BYTES;
    const count = Math.ceil((phase + io.bytes) / BLOCK_BYTES);
    growFrameRun(io.run, count);
    if (!this.#frames.tryTake(count, io.run.frames, 0)) {
      io.status = BLOCK_STATUS.noMemory;
      return;
    }
    io.run.frameCount = count;
    io.run.phase = phase;
    io.run.bytes = io.bytes;
    scatter(this.#frames, io.run, this.#of(io).subarray(io.offsetBytes, io.offsetBytes + io.bytes));
  }

  releaseRead(io: BlockIo): void {
    this.#giveRun(io);
  }

  write(io: BlockIo): void {
    const { offsetBytes, run, bytes } = io;
    const wanted = Math.ceil(((offsetBytes % BLOCK_BYTES) + bytes) / BLOCK_BYTES);
    if (run.frameCount !== wanted || run.phase !== offsetBytes % BLOCK_BYTES || run.bytes !== bytes) {
      throw new Error(
        `write of ${bytes} at ${offsetBytes} with ${run.frameCount} frames, phase ${run.phase}, ${run.bytes} bytes`,
      );
    }
    const taken = (): void => {
      if (io.status === BLOCK_STATUS.good) this.#of(io).set(gather(this.#frames, run), offsetBytes);
      this.#giveRun(io);
    };
    this.#request("write", io, taken, taken);
  }

  zero(io: BlockIo): void {
    this.#request("zero", io, () => this.#of(io).fill(0, io.offsetBytes, io.offsetBytes + io.bytes));
  }

  flush(io: BlockIo): void {
    this.#request("flush", io, () => {});
  }

  /** A 4 KiB block is mapped while any of its bytes is not zero. */
  mapping(query: MappingQuery): void {
    this.log.push(`mapping ${query.offsetBytes} ${query.extentsMax}`);
    const bytes = this.bytes.get(query.volume)!;
    const isMapped = (offset: number): boolean => {
      const block = offset - (offset % BLOCK_BYTES);
      return bytes.subarray(block, block + BLOCK_BYTES).some((byte) => byte !== 0);
    };
    const run = (): void => {
      query.extents.length = 0;
      query.status = this.fail.get("mapping")?.status ?? BLOCK_STATUS.good;
      for (let at = query.offsetBytes; at < bytes.length && query.extents.length < query.extentsMax; ) {
        const mapped = isMapped(at);
        let end = at - (at % BLOCK_BYTES) + BLOCK_BYTES;
        while (end < bytes.length && isMapped(end) === mapped) end += BLOCK_BYTES;
        query.extents.push({ bytes: Math.min(end, bytes.length) - at, mapped });
        at = end;
      }
      query.done(query);
    };
    if (this.held) this.#pending.push(run);
    else run();
  }

  setWriteCache(volume: number, enabled: boolean, done: (ok: boolean) => void): void {
    this.log.push(`setWriteCache ${enabled}`);
    if (this.writeCacheAnswer) this.change(volume, { writeCacheEnabled: enabled });
    done(this.writeCacheAnswer);
  }

  #request(operation: Operation, io: BlockIo, work: () => void, onFailure: () => void = () => {}): void {
    this.log.push(`${operation} ${io.offsetBytes} ${io.bytes}${io.forceUnitAccess ? " fua" : ""}`);
    const run = (): void => {
      const failure = this.fail.get(operation);
      io.status = failure?.status ?? BLOCK_STATUS.good;
      io.errorOffsetBytes = failure?.errorOffsetBytes ?? 0;
      if (failure === undefined) work();
      else onFailure();
      io.done(io);
    };
    if (this.held) this.#pending.push(run);
    else run();
  }

  #of(io: BlockIo): Uint8Array {
    const bytes = this.bytes.get(io.volume);
    if (bytes === undefined) throw new Error(`no volume ${io.volume}`);
    if (io.offsetBytes + io.bytes > bytes.length)
      throw new Error("a range past the end of the volume reached the block interface");
    return bytes;
  }

  #giveRun(io: BlockIo): void {
    for (let i = 0; i < io.run.frameCount; i += 1) this.#frames.give(io.run.frames[i]!);
  }
}

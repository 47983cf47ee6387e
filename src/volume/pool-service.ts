/**
 * The volumes of one director's pools, as protocols see them (BlockService): finds the pool of a volume, and splits what
 * a pool wants whole.
 *
 * Runs on: the owning director's thread.
 */
import type { ArrayDocument, FoundVolume, PoolStatus, VolumeDocument } from "../control/contract.ts";
import { growFrameRun } from "../scsi/task.ts";
import {
  BLOCK_BYTES,
  BLOCK_STATUS,
  BlockIo,
  type BlockService,
  type FrameSource,
  type MappingQuery,
  type VolumeInfo,
} from "./block-io.ts";
import type { Pool } from "./pool.ts";
import type { ReadOnlyPool } from "./readonly-pool.ts";
import { PoolChangeError } from "./volume-changes.ts";

/** A pool as it is served. */
export type ServedPool = Pool | ReadOnlyPool;

/** The director's frames, and the pins on them. */
interface PinnedFrames extends FrameSource {
  unpin(frame: number): void;
}

export class PoolService implements BlockService {
  #pools: readonly ServedPool[];
  readonly #frames: PinnedFrames;

  constructor(pools: readonly ServedPool[], frames: PinnedFrames) {
    this.#pools = pools;
    this.#frames = frames;
  }

  /** A pool that this director owns from now on, opened. */
  add(pool: ServedPool): void {
    if (this.#pools.some((other) => other.parts.index === pool.parts.index)) {
      throw new Error(`invariant: pool ${pool.parts.name} is served already`);
    }
    this.#pools = [...this.#pools, pool];
  }

  /** The pool goes to another director, or is closed: no task for it is in, and none comes. */
  remove(index: number): ServedPool {
    const pool = this.served(index);
    this.#pools = this.#pools.filter((other) => other !== pool);
    return pool;
  }

  volumeInfo(volume: number): VolumeInfo | undefined {
    return this.#poolOf(volume)?.volumeInfo(volume);
  }

  read(io: BlockIo): void {
    const pool = this.#poolOf(io.volume);
    if (pool === undefined) {
      io.run.frameCount = 0;
      finish(io, BLOCK_STATUS.noVolume);
    } else pool.read(io);
  }

  releaseRead(io: BlockIo): void {
    // Pins belong to the director's frame pool, whatever became of the volume, or of its pool.
    const { run } = io;
    for (let n = 0; n < run.frameCount; n++) if (run.frames[n]! >= 0) this.#frames.unpin(run.frames[n]!);
    run.frameCount = 0;
  }

  write(io: BlockIo): void {
    const pool = this.#poolOf(io.volume);
    if (pool === undefined) {
      for (let n = 0; n < io.run.frameCount; n++) this.#frames.give(io.run.frames[n]!);
      io.run.frameCount = 0;
      finish(io, BLOCK_STATUS.noVolume);
    } else pool.write(io);
  }

  /** Whole blocks are zeroed by the map; what sticks out at either end is written as zeros. */
  zero(io: BlockIo): void {
    const pool = this.#poolOf(io.volume);
    if (pool === undefined) {
      finish(io, BLOCK_STATUS.noVolume);
      return;
    }
    const end = io.offsetBytes + io.bytes;
    const firstWhole = Math.ceil(io.offsetBytes / BLOCK_BYTES) * BLOCK_BYTES;
    const endWhole = Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES;
    if (firstWhole === io.offsetBytes && endWhole === end) {
      pool.zero(io);
      return;
    }
    const parts: { offset: number; bytes: number; whole: boolean }[] = [];
    if (firstWhole >= end || endWhole < firstWhole) parts.push({ offset: io.offsetBytes, bytes: io.bytes, whole: false });
    else {
      if (io.offsetBytes < firstWhole) parts.push({ offset: io.offsetBytes, bytes: firstWhole - io.offsetBytes, whole: false });
      if (firstWhole < endWhole) parts.push({ offset: firstWhole, bytes: endWhole - firstWhole, whole: true });
      if (endWhole < end) parts.push({ offset: endWhole, bytes: end - endWhole, whole: false });
    }
    let left = parts.length;
    io.status = BLOCK_STATUS.good;
    for (const part of parts) {
      const child = this.#childOf(io, part, (status) => {
        if (status !== BLOCK_STATUS.good) io.status = status;
        if (--left === 0) io.done(io);
      });
      if (part.whole) pool.zero(child);
      else this.#writeZeros(pool, child);
    }
  }

  flush(io: BlockIo): void {
    const pool = this.#poolOf(io.volume);
    if (pool === undefined) finish(io, BLOCK_STATUS.noVolume);
    else pool.flush(io);
  }

  mapping(query: MappingQuery): void {
    const pool = this.#poolOf(query.volume);
    if (pool === undefined) {
      query.status = BLOCK_STATUS.noVolume;
      query.done(query);
    } else pool.mapping(query);
  }

  setWriteCache(volume: number, enabled: boolean, done: (ok: boolean) => void): void {
    const pool = this.#poolOf(volume);
    if (pool === undefined || pool.readOnly) {
      done(false);
      return;
    }
    pool.volumes.setWriteCache(volume, enabled).then(
      () => done(true),
      () => done(false),
    );
  }

  // — setup path —

  get pools(): readonly ServedPool[] {
    return this.#pools;
  }

  served(index: number): ServedPool {
    const pool = this.#pools.find((candidate) => candidate.parts.index === index);
    if (pool === undefined) throw new PoolChangeError("notFound", "the pool is not open: `varray pools` has the reason");
    return pool;
  }

  /** For what changes a pool. @throws PoolChangeError where it is read-only */
  pool(index: number): Pool {
    return changeable(this.served(index));
  }

  async createVolume(poolIndex: number, document: VolumeDocument): Promise<void> {
    await this.pool(poolIndex).volumes.create(document);
  }

  async growVolume(volume: number, sizeBytes: number): Promise<void> {
    await this.#mustHave(volume).volumes.grow(volume, sizeBytes);
  }

  async deleteVolume(volume: number): Promise<void> {
    await this.#mustHave(volume).volumes.delete(volume);
  }

  /** Resolves with the number of pools that have it: a director may own none, or none but what is read-only. */
  async storeArrayDocument(document: ArrayDocument): Promise<number> {
    const pools = this.#pools.filter((pool) => !pool.readOnly);
    await Promise.all(pools.map((pool) => pool.storeArrayDocument(document)));
    return pools.length;
  }

  /** The newest array document on the drives of these pools. */
  async arrayDocument(): Promise<ArrayDocument | undefined> {
    const copies = (await Promise.all(this.#pools.map((pool) => pool.arrayDocumentCopies()))).flat();
    let newest: ArrayDocument | undefined;
    for (const copy of copies) if (newest === undefined || copy.version > newest.version) newest = copy;
    return newest;
  }

  foundVolumes(): FoundVolume[] {
    return this.#pools.flatMap((pool) => pool.foundVolumes());
  }

  status(): PoolStatus[] {
    return this.#pools.map((pool) => pool.status());
  }

  /** One that fails at its end keeps no other from coming to rest. @throws what the first of those failed for */
  async stop(): Promise<void> {
    const ends = await Promise.allSettled(this.#pools.map((pool) => pool.stop()));
    for (const end of ends) if (end.status === "rejected") throw end.reason as Error;
  }

  #poolOf(volume: number): ServedPool | undefined {
    for (const pool of this.#pools) if (pool.parts.volumes.has(volume)) return pool;
    return undefined;
  }

  #mustHave(volume: number): Pool {
    const pool = this.#poolOf(volume);
    if (pool === undefined) throw new PoolChangeError("notFound", `no volume ${volume} on this director`);
    return changeable(pool);
  }

  #childOf(io: BlockIo, part: { offset: number; bytes: number }, done: (status: BlockIo["status"]) => void): BlockIo {
    const child = new BlockIo((finished) => done(finished.status));
    child.volume = io.volume;
    child.offsetBytes = part.offset;
    child.bytes = part.bytes;
    child.forceUnitAccess = io.forceUnitAccess;
    child.nexus = io.nexus;
    child.initiatorTaskTag = io.initiatorTaskTag;
    child.request = io.request;
    child.requesterEpoch = io.requesterEpoch;
    return child;
  }

  /** An edge lies in one block. */
  #writeZeros(pool: ServedPool, io: BlockIo): void {
    growFrameRun(io.run, 1);
    const write = (): void => {
      if (!this.#frames.tryTake(1, io.run.frames, 0)) {
        this.#frames.whenAvailable(1, write);
        return;
      }
      this.#frames.view(io.run.frames[0]!).fill(0);
      io.run.frameCount = 1;
      io.run.phase = io.offsetBytes % BLOCK_BYTES;
      io.run.bytes = io.bytes;
      pool.write(io);
    };
    write();
  }
}

function changeable(pool: ServedPool): Pool {
  if (pool.readOnly) throw new PoolChangeError("conflict", `pool ${pool.parts.name} is read-only: ${pool.why}`);
  return pool;
}

function finish(io: BlockIo, status: BlockIo["status"]): void {
  io.status = status;
  io.done(io);
}

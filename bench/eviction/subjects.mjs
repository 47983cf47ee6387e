/**
 * What a trace is played to: a reference policy with a write-back cache around it, or the product's own BlockCache on
 * its own frame pool. Both hold the same number of blocks, and destage in the same way: the oldest dirty blocks, when
 * more than START of the blocks are dirty, until no more than STOP are.
 */
import { FrameChunks } from "../../dist/drivers/shared-memory/frame-chunks.js";
import { createGlobalMemory } from "../../dist/drivers/shared-memory/global-memory.js";
import { BlockCache } from "../../dist/src/cache/block-cache.js";
import { FramePool } from "../../dist/src/cache/frame-pool.js";

const START = 0.4;
const STOP = 0.3;
const VOLUME = 1;
const MASK_FULL = 0xff;
const CHUNK_FRAMES = 256;

export class PolicySubject {
  #policy;
  /** Oldest first. */
  #dirty = new Set();
  #start;
  #stop;

  constructor(makePolicy, frames) {
    this.#policy = new makePolicy({ frames, isDirty: (block) => this.#dirty.has(block) });
    this.#start = Math.floor(frames * START);
    this.#stop = Math.floor(frames * STOP);
  }

  read(block) {
    return this.#policy.access(block);
  }

  /** For a policy that knows nothing of read-ahead it is a read like another. */
  readAhead(block) {
    if (!this.#policy.nodeOf.has(block)) this.#policy.access(block);
  }

  write(block) {
    this.#policy.access(block);
    this.#dirty.delete(block);
    this.#dirty.add(block);
    if (this.#dirty.size <= this.#start) return;
    for (const oldest of this.#dirty) {
      this.#dirty.delete(oldest);
      if (this.#dirty.size <= this.#stop) return;
    }
  }
}

/** As the read path, the write path and the destager use the cache. */
export class ProductSubject {
  cache;
  frames;
  #sequence = 1;
  #start;
  #stop;

  constructor(shares, frameCount) {
    const shape = {
      directorCount: 1,
      poolCount: 0,
      driveCount: 0,
      poolReachedBy: [],
      frameCount: Math.ceil(frameCount / CHUNK_FRAMES) * CHUNK_FRAMES,
      stagingBytesPerPool: 0,
      mailboxBytes: 4096,
    };
    const { global } = createGlobalMemory(shape);
    const chunks = new FrameChunks(global);
    this.frames = new FramePool({ global, chunks, directorIndex: 0, directorCount: 1, dirtyPercentMax: 90 });
    this.cache = new BlockCache(this.frames, shares);
    this.#start = Math.floor(frameCount * START);
    this.#stop = Math.floor(frameCount * STOP);
  }

  read(block) {
    const frame = this.cache.find(VOLUME, block);
    if (frame >= 0) {
      this.frames.referenced[frame] = 1;
      return true;
    }
    this.cache.publishClean(this.#take(), VOLUME, block, 0);
    return false;
  }

  readAhead(block) {
    if (this.cache.find(VOLUME, block) < 0) this.cache.publishAhead(this.#take(), VOLUME, block, 0);
  }

  write(block) {
    this.cache.publishDirty(this.#take(), VOLUME, block, MASK_FULL, 0, this.#sequence++);
    if (this.cache.dirtyCount <= this.#start) return;
    while (this.cache.dirtyCount > this.#stop) this.cache.markClean(this.cache.oldestDirty);
  }

  #take() {
    return this.frames.takeInternal(true);
  }
}

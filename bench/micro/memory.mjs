/** Global memory, frames and a cache as one director has them by default: what the cases work on. */
import { FrameChunks } from "../../dist/drivers/shared-memory/frame-chunks.js";
import { createGlobalMemory } from "../../dist/drivers/shared-memory/global-memory.js";
import { BlockCache } from "../../dist/src/cache/block-cache.js";
import { FramePool } from "../../dist/src/cache/frame-pool.js";

export const VOLUME = 1;
export const MASK_FULL = 0xff;
/** What was computed goes here, so that it is not optimised away. */
export const sink = { value: 0 };

export function makeMemory({ frameCount = 1024, stagingBytes = 0 } = {}) {
  return createGlobalMemory({
    directorCount: 2,
    poolCount: 1,
    driveCount: 4,
    poolReachedBy: [[0, 1]],
    frameCount,
    stagingBytesPerPool: stagingBytes,
    mailboxBytes: 4096,
  }).global;
}

export function makeCache(frameCount) {
  const global = makeMemory({ frameCount });
  const frames = new FramePool({
    global,
    chunks: new FrameChunks(global),
    directorIndex: 0,
    directorCount: 1,
    dirtyPercentMax: 90,
  });
  return { global, frames, cache: new BlockCache(frames) };
}

/** A long cycle of numbers below `count`, in no order: what is random must be drawn before it is timed. */
export function randomNumbers(count, length = 1 << 16) {
  let state = 88_172_645;
  return Uint32Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  });
}

/** The cache at its default size, 65,536 frames, full: what a hit, a miss, a write and read-ahead do to its queues. */
import { MASK_FULL, makeCache, randomNumbers, VOLUME } from "./memory.mjs";

const FRAMES = 65_536;
const BATCH = 64;
const DIRTY = 4096;

export function cases() {
  return [
    { name: "cache: a hit (found, marked as used)", batch: BATCH, run: hits() },
    { name: "cache: a miss (frame evicted, block published)", batch: BATCH, run: misses("publishClean") },
    { name: "cache: a block read ahead, never used", batch: BATCH, run: misses("publishAhead") },
    { name: "cache: a rewrite, and the oldest made clean", batch: BATCH, run: rewrites() },
  ];
}

function fullCache() {
  const made = makeCache(FRAMES);
  const { cache, frames } = made;
  for (let block = 0; block < FRAMES; block++) cache.publishClean(frames.takeInternal(true), VOLUME, block, 0);
  return made;
}

function hits() {
  const { cache, frames } = fullCache();
  const draws = randomNumbers(FRAMES - 256);
  const { referenced } = frames;
  let at = 0;
  return () => {
    for (let n = 0; n < BATCH; n++) {
      const frame = cache.find(VOLUME, 256 + draws[at]);
      at = (at + 1) & 65_535;
      referenced[frame] = 1;
    }
  };
}

function misses(publish) {
  const { cache, frames } = fullCache();
  let block = 1 << 24;
  return () => {
    for (let n = 0; n < BATCH; n++) cache[publish](frames.takeInternal(true), VOLUME, block++, 0);
  };
}

function rewrites() {
  const { cache, frames } = fullCache();
  const draws = randomNumbers(FRAMES);
  let at = 0;
  let sequence = 1;
  return () => {
    for (let n = 0; n < BATCH; n++) {
      cache.publishDirty(frames.takeInternal(true), VOLUME, draws[at], MASK_FULL, 0, sequence++);
      at = (at + 1) & 65_535;
      if (cache.dirtyCount > DIRTY) cache.markClean(cache.oldestDirty);
    }
  };
}

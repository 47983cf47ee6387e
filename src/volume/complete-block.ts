/**
 * Fills in the sectors of a block that a write did not bring, from what is known without reading a drive.
 *
 * Used when a host writes, and when the journal is replayed: both see the same cache, zeroed ranges and map.
 */
import { MASK_FULL } from "../cache/frame-pool.ts";
import { NOT_MAPPED } from "../raid/geometry.ts";
import { fillMissing, zeroMissing } from "./block-merge.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";

/**
 * @param write - a reserved frame that holds the sectors of `mask`
 * @returns the mask reached: full, unless the rest lies on the drives
 */
export function completeBlock(pool: PoolParts, write: { volume: number; block: number; frame: number; mask: number }): number {
  const { cache, frames, global, map, zeros, counters } = pool;
  const { volume, block, mask } = write;
  if (mask === MASK_FULL) return MASK_FULL;
  const target = frames.addressOf(write.frame);
  const cached = cache.find(volume, block);
  if (cached >= 0) {
    // A partial older version has zeros where it knows nothing; the union of the masks says what is known now.
    fillMissing(global.kernels, target, mask, frames.addressOf(cached));
    return mask | frames.mask[cached]!;
  }
  zeroMissing(global.kernels, target, mask);
  if (zeros.covers(volume, block) || map.lookup(volume, block) === NOT_MAPPED) return MASK_FULL;
  counters[POOL_COUNT.partialBlocks]! += 1;
  return mask;
}

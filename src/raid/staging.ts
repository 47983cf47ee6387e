/**
 * The pool's staging area in global memory: where stripes are put together and strips are read to.
 *
 *   ┌ batches: whole stripes on their way to the drives, or read back by compaction ┐┌ strips: compaction ┐┌ rebuilds ┐
 *   ┌ fetches: tags and part lists of read misses, whose blocks go to their frames ┐
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A region has one user at a time; who finds none waits its turn.
 *  2. The area is carved once, at start; its size follows from the geometry alone (`stagingBytes`).
 */

import { PART_BYTES } from "../../drivers/drive/strip-parts.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import type { GroupGeometry } from "./geometry.ts";
import { RegionPool } from "./region-pool.ts";
import { TAG_BYTES } from "./strip.ts";

/**
 * Stripes of a batch fill about this much on all drives together, within the bounds below. Each half MiB more costs 6 MiB of
 * staging with two pools, and LevelDB's copies of the batches; the array has 150 MiB beside its frames.
 */
const BATCH_BYTES = 1.5 * 1024 * 1024;
const BATCH_STRIPES_MIN = 4;
const BATCH_STRIPES_MAX = 32;
/** Two destage batches under way, two of compaction, what compaction reads, and where it gathers what lives. */
const BATCH_REGIONS = 6;
/** Strips that compaction has to read by themselves. */
const STRIP_REGIONS = 4;
const REBUILD_REGIONS = 4;
/** Read misses under way, a strip each: more than a drive thread takes at a time. */
const FETCH_REGIONS = 192;

function batchStripes(geometry: GroupGeometry): number {
  const stripes = Math.floor(BATCH_BYTES / (geometry.stripCount * geometry.shape.stripBytes));
  return Math.max(BATCH_STRIPES_MIN, Math.min(BATCH_STRIPES_MAX, stripes, geometry.stripesPerZone));
}

/** A strip's tags, and the list of a read of all its blocks and those. */
function fetchBytes(geometry: GroupGeometry): number {
  const { blocksPerStrip } = geometry.shape;
  return Math.ceil((blocksPerStrip * TAG_BYTES + (blocksPerStrip + 1) * PART_BYTES) / 64) * 64;
}

/** What rebuilding a strip needs: the others of its stripe, where it is made, and for two erasures one more (solve-strip.ts). */
function rebuildBytes({ level, stripCount, shape }: GroupGeometry): number {
  if (level.parities === 0) return shape.stripBytes;
  return (stripCount + level.parities - 1) * shape.stripBytes;
}

export function stagingBytes(geometry: GroupGeometry): number {
  const { stripBytes } = geometry.shape;
  const strips = BATCH_REGIONS * batchStripes(geometry) * geometry.stripCount * stripBytes + STRIP_REGIONS * stripBytes;
  return strips + REBUILD_REGIONS * rebuildBytes(geometry) + FETCH_REGIONS * fetchBytes(geometry);
}

export class Staging {
  readonly batchStripes: number;
  readonly batches: RegionPool;
  readonly strips: RegionPool;
  readonly rebuilds: RegionPool;
  readonly fetches: RegionPool;

  constructor(address: Address, geometry: GroupGeometry) {
    const { stripBytes } = geometry.shape;
    this.batchStripes = batchStripes(geometry);
    const batchBytes = this.batchStripes * geometry.stripCount * stripBytes;
    this.batches = new RegionPool(address, batchBytes, BATCH_REGIONS);
    const strips = address + BATCH_REGIONS * batchBytes;
    this.strips = new RegionPool(strips, stripBytes, STRIP_REGIONS);
    const rebuilds = strips + STRIP_REGIONS * stripBytes;
    this.rebuilds = new RegionPool(rebuilds, rebuildBytes(geometry), REBUILD_REGIONS);
    this.fetches = new RegionPool(rebuilds + REBUILD_REGIONS * rebuildBytes(geometry), fetchBytes(geometry), FETCH_REGIONS);
  }
}

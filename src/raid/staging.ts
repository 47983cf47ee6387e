/**
 * The pool's staging area in global memory: where stripes are put together and strips are read to.
 *
 *   ┌ batches: whole stripes on their way to the drives, or read back by compaction ┐┌ strips: read misses ┐┌ rebuilds ┐
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A region has one user at a time; who finds none waits its turn.
 *  2. The area is carved once, at start; its size follows from the geometry alone (`stagingBytes`).
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import type { GroupGeometry } from "./geometry.ts";

/**
 * Stripes of a batch fill about this much on all drives together, within the bounds below. Twice as much costs 16 MiB of
 * staging with two pools and as much again in LevelDB's copies of the batches; the array has 150 MiB beside its frames.
 */
const BATCH_BYTES = 2 * 1024 * 1024;
const BATCH_STRIPES_MIN = 4;
const BATCH_STRIPES_MAX = 32;
/** Two destage batches under way, one of compaction, and what compaction reads. */
const BATCH_REGIONS = 4;
const STRIP_REGIONS = 32;
const REBUILD_REGIONS = 4;

function batchStripes(geometry: GroupGeometry): number {
  const stripes = Math.floor(BATCH_BYTES / (geometry.driveCount * geometry.shape.stripBytes));
  return Math.max(BATCH_STRIPES_MIN, Math.min(BATCH_STRIPES_MAX, stripes, geometry.stripesPerZone));
}

export function stagingBytes(geometry: GroupGeometry): number {
  const stripe = geometry.driveCount * geometry.shape.stripBytes;
  return BATCH_REGIONS * batchStripes(geometry) * stripe + STRIP_REGIONS * geometry.shape.stripBytes + REBUILD_REGIONS * stripe;
}

export class Staging {
  readonly batchStripes: number;
  readonly batches: RegionPool;
  readonly strips: RegionPool;
  readonly rebuilds: RegionPool;

  constructor(address: Address, geometry: GroupGeometry) {
    const { stripBytes } = geometry.shape;
    const stripe = geometry.driveCount * stripBytes;
    this.batchStripes = batchStripes(geometry);
    const batchBytes = this.batchStripes * stripe;
    this.batches = new RegionPool(address, batchBytes, BATCH_REGIONS);
    const strips = address + BATCH_REGIONS * batchBytes;
    this.strips = new RegionPool(strips, stripBytes, STRIP_REGIONS);
    this.rebuilds = new RegionPool(strips + STRIP_REGIONS * stripBytes, stripe, REBUILD_REGIONS);
  }
}

export class RegionPool {
  readonly #free: Address[] = [];
  readonly #waiters: ((address: Address) => void)[] = [];

  constructor(address: Address, bytes: number, count: number) {
    for (let n = 0; n < count; n++) this.#free.push(address + n * bytes);
  }

  /** Resolves in the order of asking. Waiters are bounded by the I/Os that the sessions' windows let in. */
  take(): Promise<Address> {
    const address = this.#free.pop();
    if (address !== undefined) return Promise.resolve(address);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  give(address: Address): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter(address);
    else this.#free.push(address);
  }
}

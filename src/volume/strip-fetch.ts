/**
 * One read of a strip under way: which of its blocks are wanted, the frame that each goes to, and who waits for each.
 *
 * Runs on: the owning director's thread. Pooled by the fetcher (strip-fetcher.ts), waiters by the read path (read-path.ts).
 * Invariants:
 *  1. A wanted block has one RESERVED frame, whoever waits for it; a block read ahead has no waiters.
 *  2. Once the read was sent no block is added; waiters of its blocks still are, until its blocks are looked at.
 */
import { type GroupGeometry, type Place, placeOf } from "../raid/geometry.ts";
import type { BlockIo, BlockStatus } from "./block-io.ts";

/** A place may move (compaction) or vanish between lookup and read so many times before it counts as lost. */
export const RETRIES_MAX = 5;

export interface WantedBlock {
  readonly volume: number;
  readonly block: number;
  readonly frame: number;
}

/** Gets the frame, pinned, or the status that says why there is none. */
export type Delivery = (frame: number, status: BlockStatus) => void;

/** One host read that waits for blocks. */
export interface PendingRead {
  io: BlockIo | undefined;
  left: number;
}

/** Who waits for one block. Pooled. */
export class BlockWaiter {
  volume = 0;
  block = 0;
  /** A host's read, and which of its frames this is … */
  read: PendingRead | undefined;
  frameIndex = 0;
  /** … or the array's own work. */
  deliver: Delivery | undefined;
  /** Destage waits for this: it may use the last frames. */
  urgent = false;
  /** A host had written a part of the block before this was asked: the block as the map names it now is not enough. */
  overPartial = false;
  retries = 0;
  /** The next one who waits for the same block. */
  next: BlockWaiter | undefined;
}

export class StripFetch {
  /** (place − 1) / blocks of a strip. */
  strip = 0;
  readonly at: Place = { slot: 0, stripe: 0, column: 0, index: 0 };
  zone = 0;
  sent = false;
  /** Staging region: tags, then the list. */
  scratch = -1;
  /** Frames wanted. */
  count = 0;
  /** Blocks that were wanted with nobody waiting. */
  aheadCount = 0;
  /** By index in the strip; −1: not wanted. */
  readonly frame: Int32Array;
  readonly volume: Float64Array;
  readonly block: Float64Array;
  readonly #waiters: (BlockWaiter | undefined)[];
  /** An earlier fetch of the same strip that is still under way. */
  earlier: StripFetch | undefined;

  constructor(blocksPerStrip: number) {
    this.frame = new Int32Array(blocksPerStrip).fill(-1);
    this.volume = new Float64Array(blocksPerStrip);
    this.block = new Float64Array(blocksPerStrip);
    this.#waiters = new Array<BlockWaiter | undefined>(blocksPerStrip).fill(undefined);
  }

  wants(index: number): boolean {
    return this.frame[index]! >= 0;
  }

  want(index: number, what: WantedBlock): void {
    this.frame[index] = what.frame;
    this.volume[index] = what.volume;
    this.block[index] = what.block;
    this.count += 1;
  }

  addWaiter(index: number, waiter: BlockWaiter): void {
    waiter.next = this.#waiters[index];
    this.#waiters[index] = waiter;
  }

  isAwaited(index: number): boolean {
    return this.#waiters[index] !== undefined;
  }

  /** Takes the block off: its frame and waiters are the caller's now. */
  take(index: number): BlockWaiter | undefined {
    const waiters = this.#waiters[index];
    this.#waiters[index] = undefined;
    this.frame[index] = -1;
    this.count -= 1;
    return waiters;
  }

  /** The place of a block of this strip. */
  placeOf(geometry: GroupGeometry, index: number): number {
    this.at.index = index;
    return placeOf(geometry, this.at);
  }
}

/**
 * Write-back cache of one pool: which block lies in which frame, what is dirty and in which order it became so.
 *
 * Dirty frames stand in a list by journal sequence, oldest first: the head says how far the journal may be trimmed.
 * Clean frames stand in a second-chance queue. A frame is in at most one of the two.
 *
 * Runs on: the owning director's thread. Owns: rows of the frame table whose frames are dirty or clean for this pool.
 * Invariants:
 *  1. A dirty frame is never evicted.
 *  2. The index names the newest version of a block, and that one only.
 *  3. Along the dirty list `sequence` never falls.
 *  4. A frame with a mask other than full is dirty, and is never handed to a reader.
 */
import { BlockIndex } from "./block-index.ts";
import { FRAME_STATE, type FramePool, MASK_FULL, type Reclaimer } from "./frame-pool.ts";

export class BlockCache implements Reclaimer {
  shortage?: () => void;
  readonly index: BlockIndex;
  readonly #frames: FramePool;
  #dirtyHead = -1;
  #dirtyTail = -1;
  #dirtyCount = 0;
  #cleanHead = -1;
  #cleanTail = -1;
  #cleanCount = 0;

  constructor(frames: FramePool) {
    this.#frames = frames;
    this.index = new BlockIndex(frames.state.length, frames);
    frames.addReclaimer(this);
  }

  get dirtyCount(): number {
    return this.#dirtyCount;
  }

  get cleanCount(): number {
    return this.#cleanCount;
  }

  /** Oldest dirty frame, or −1; follow with `nextDirty`. */
  get oldestDirty(): number {
    return this.#dirtyHead;
  }

  nextDirty(frame: number): number {
    return this.#frames.next[frame]!;
  }

  /** Journal sequence that must be kept for the sake of dirty frames; Infinity when there are none. */
  get oldestSequence(): number {
    return this.#dirtyHead < 0 ? Number.POSITIVE_INFINITY : this.#frames.sequence[this.#dirtyHead]!;
  }

  /** The frame that holds the newest version of the block (full or partial), or −1. */
  find(volume: number, block: number): number {
    return this.index.find(volume, block);
  }

  isDirty(frame: number): boolean {
    return this.#frames.state[frame] === FRAME_STATE.dirty;
  }

  /** Makes a reserved frame the block's newest version. `sequence` is that of the journal record that holds it. */
  publishDirty(frame: number, volume: number, block: number, mask: number, crc: number, sequence: number): void {
    const frames = this.#frames;
    const old = this.index.find(volume, block);
    frames.volume[frame] = volume;
    frames.block[frame] = block;
    frames.mask[frame] = mask;
    frames.crc[frame] = crc;
    frames.sequence[frame] = sequence;
    frames.publish(frame, FRAME_STATE.dirty);
    this.#appendDirty(frame);
    if (old < 0) this.index.insert(frame);
    else {
      this.index.replace(old, frame);
      this.#unlinkAndRetire(old);
    }
  }

  /** Puts what was read from the drives into the cache; the block must not be in the index. */
  publishClean(frame: number, volume: number, block: number, crc: number): void {
    const frames = this.#frames;
    frames.volume[frame] = volume;
    frames.block[frame] = block;
    frames.mask[frame] = MASK_FULL;
    frames.crc[frame] = crc;
    frames.publish(frame, FRAME_STATE.clean);
    frames.referenced[frame] = 0;
    this.#appendClean(frame);
    this.index.insert(frame);
  }

  /**
   * A partial dirty frame got the rest of its block: `merged` (reserved, full) takes its place in index and dirty list
   * under the same sequence, because the journal record of the partial one plus the drives hold the same content.
   */
  replaceByMerged(partial: number, merged: number, crc: number): void {
    const frames = this.#frames;
    frames.volume[merged] = frames.volume[partial]!;
    frames.block[merged] = frames.block[partial]!;
    frames.mask[merged] = MASK_FULL;
    frames.crc[merged] = crc;
    frames.sequence[merged] = frames.sequence[partial]!;
    frames.publish(merged, FRAME_STATE.dirty);
    this.#insertDirtyAfter(merged, partial);
    this.index.replace(partial, merged);
    this.#unlinkAndRetire(partial);
  }

  /** The block's content is durable on the drives and the map says so. Only for the newest version. */
  markClean(frame: number): void {
    this.#unlinkDirty(frame);
    this.#frames.publish(frame, FRAME_STATE.clean);
    this.#frames.referenced[frame] = 0;
    this.#appendClean(frame);
  }

  /** Forgets a block's frame, dirty or clean. */
  remove(frame: number): void {
    this.index.remove(frame);
    this.#unlinkAndRetire(frame);
  }

  /** Forgets everything. */
  clear(): void {
    while (this.#dirtyHead >= 0) this.remove(this.#dirtyHead);
    while (this.#cleanHead >= 0) this.remove(this.#cleanHead);
  }

  /** Forgets all blocks of a range, in the way that costs less. */
  removeRange(volume: number, firstBlock: number, count: number): void {
    const frames = this.#frames;
    if (count <= this.index.size) {
      for (let block = firstBlock; block < firstBlock + count; block++) {
        const frame = this.index.find(volume, block);
        if (frame >= 0) this.remove(frame);
      }
      return;
    }
    for (let frame = this.#dirtyHead; frame >= 0; ) {
      const next = frames.next[frame]!;
      if (this.#isIn(frame, volume, firstBlock, count)) this.remove(frame);
      frame = next;
    }
    for (let frame = this.#cleanHead; frame >= 0; ) {
      const next = frames.next[frame]!;
      if (this.#isIn(frame, volume, firstBlock, count)) this.remove(frame);
      frame = next;
    }
  }

  evict(frame: number): boolean {
    const { state, volume, block } = this.#frames;
    if (state[frame] !== FRAME_STATE.clean || this.index.find(volume[frame]!, block[frame]!) !== frame) return false;
    this.remove(frame);
    return true;
  }

  /** Second chance: a frame that was read since the hand last passed, or is pinned, goes to the end of the queue. */
  reclaim(count: number): number {
    const frames = this.#frames;
    let freed = 0;
    // Twice round at most: the first pass takes the marks, the second takes the frames.
    for (let looked = this.#cleanCount * 2; looked > 0 && freed < count; looked--) {
      const frame = this.#cleanHead;
      if (frame < 0) break;
      this.#unlinkClean(frame);
      if (frames.pins[frame]! > 0 || frames.referenced[frame] !== 0) {
        frames.referenced[frame] = 0;
        this.#appendClean(frame);
        continue;
      }
      this.index.remove(frame);
      frames.retire(frame);
      freed++;
    }
    return freed;
  }

  #isIn(frame: number, volume: number, firstBlock: number, count: number): boolean {
    const block = this.#frames.block[frame]!;
    return this.#frames.volume[frame] === volume && block >= firstBlock && block < firstBlock + count;
  }

  #unlinkAndRetire(frame: number): void {
    if (this.#frames.state[frame] === FRAME_STATE.dirty) this.#unlinkDirty(frame);
    else this.#unlinkClean(frame);
    this.#frames.retire(frame);
  }

  #appendDirty(frame: number): void {
    const { next, previous } = this.#frames;
    previous[frame] = this.#dirtyTail;
    next[frame] = -1;
    if (this.#dirtyTail >= 0) next[this.#dirtyTail] = frame;
    else this.#dirtyHead = frame;
    this.#dirtyTail = frame;
    this.#dirtyCount += 1;
  }

  #insertDirtyAfter(frame: number, before: number): void {
    const { next, previous } = this.#frames;
    const after = next[before]!;
    previous[frame] = before;
    next[frame] = after;
    next[before] = frame;
    if (after >= 0) previous[after] = frame;
    else this.#dirtyTail = frame;
    this.#dirtyCount += 1;
  }

  #unlinkDirty(frame: number): void {
    const { next, previous } = this.#frames;
    const before = previous[frame]!;
    const after = next[frame]!;
    if (before >= 0) next[before] = after;
    else this.#dirtyHead = after;
    if (after >= 0) previous[after] = before;
    else this.#dirtyTail = before;
    this.#dirtyCount -= 1;
  }

  #appendClean(frame: number): void {
    const { next, previous } = this.#frames;
    previous[frame] = this.#cleanTail;
    next[frame] = -1;
    if (this.#cleanTail >= 0) next[this.#cleanTail] = frame;
    else this.#cleanHead = frame;
    this.#cleanTail = frame;
    this.#cleanCount += 1;
  }

  #unlinkClean(frame: number): void {
    const { next, previous } = this.#frames;
    const before = previous[frame]!;
    const after = next[frame]!;
    if (before >= 0) next[before] = after;
    else this.#cleanHead = after;
    if (after >= 0) previous[after] = before;
    else this.#cleanTail = before;
    this.#cleanCount -= 1;
  }
}

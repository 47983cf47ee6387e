/**
 * Write-back cache of one pool: which block lies in which frame, what is dirty and in which order it became so.
 *
 * Dirty frames stand in a list by journal sequence, oldest first: the head says how far the journal may be trimmed.
 * Clean frames stand in queues that say who leaves first (clean-queues.ts). A frame is in at most one of the two.
 *
 * Runs on: the owning director's thread. Owns: rows of the frame table whose frames are dirty or clean for this pool.
 * Invariants:
 *  1. A dirty frame is never evicted.
 *  2. The index names the newest version of a block, and that one only.
 *  3. Along the dirty list `sequence` never falls.
 *  4. A frame with a mask other than full is dirty, and is never handed to a reader.
 */
import { BlockIndex } from "./block-index.ts";
import { CleanQueues, LOOKS_EACH_MAX, type QueueShares } from "./clean-queues.ts";
import { FRAME_STATE, type FramePool, MASK_FULL, type Reclaimer } from "./frame-pool.ts";

/** So many frames are looked at for each one wanted, and no fewer than `LOOKS_MIN`, before one that was used must leave. */
const LOOKS_PER_FRAME = 16;
const LOOKS_MIN = 1024;

export class BlockCache implements Reclaimer {
  shortage?: () => void;
  readonly index: BlockIndex;
  readonly clean: CleanQueues;
  readonly #frames: FramePool;
  #dirtyHead = -1;
  #dirtyTail = -1;
  #dirtyCount = 0;

  constructor(frames: FramePool, shares?: QueueShares) {
    this.#frames = frames;
    this.index = new BlockIndex(frames.state.length, frames);
    this.clean = new CleanQueues(frames, shares);
    frames.addReclaimer(this);
  }

  get dirtyCount(): number {
    return this.#dirtyCount;
  }

  get cleanCount(): number {
    return this.clean.count;
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

  /**
   * As `find`, for the block after the one that `frame` holds (−1: unknown). What was taken together lies together, so the next
   * frame is looked at first: rows of the table side by side, where the index would be anywhere.
   */
  findAfter(frame: number, volume: number, block: number): number {
    const { state, volume: volumes, block: blocks } = this.#frames;
    const next = frame + 1;
    // A frame that is dirty or clean is the one that the index names (invariant 2); volumes of different pools have different numbers.
    if (frame >= 0 && blocks[next] === block && volumes[next] === volume) {
      const its = state[next];
      if (its === FRAME_STATE.dirty || its === FRAME_STATE.clean) return next;
    }
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
    this.clean.written(frame, old);
    this.#appendDirty(frame);
    if (old < 0) this.index.insert(frame);
    else {
      this.index.replace(old, frame);
      this.#unlinkAndRetire(old);
    }
  }

  /** Recovery: a dirty frame, whose content is not read yet, is to get that of a later write of the same block. */
  republishDirty(frame: number, crc: number, sequence: number): void {
    const frames = this.#frames;
    frames.crc[frame] = crc;
    frames.sequence[frame] = sequence;
    this.#unlinkDirty(frame);
    this.#appendDirty(frame);
  }

  /** Puts what was read from the drives for a host into the cache; the block must not be in the index. */
  publishClean(frame: number, volume: number, block: number, crc: number): void {
    this.#publishClean(frame, volume, block, crc);
    this.clean.enterRead(frame);
  }

  /** As `publishClean`, for what nobody has asked for yet: it leaves before the others unless somebody does. */
  publishAhead(frame: number, volume: number, block: number, crc: number): void {
    this.#publishClean(frame, volume, block, crc);
    this.clean.enterAhead(frame);
  }

  #publishClean(frame: number, volume: number, block: number, crc: number): void {
    const frames = this.#frames;
    frames.volume[frame] = volume;
    frames.block[frame] = block;
    frames.mask[frame] = MASK_FULL;
    frames.crc[frame] = crc;
    frames.publish(frame, FRAME_STATE.clean);
    this.index.insert(frame);
  }

  /**
   * A partial dirty frame got the rest of its block: `merged` (reserved, full) takes its place in index and dirty list
   * under the same sequence, because the journal record of the partial one plus the drives hold the same content.
   */
  replaceByMerged(partial: number, merged: number, crc: number): void {
    this.#takePlace(partial, merged, crc);
  }

  /**
   * Recovery: a part of a dirty block was replayed over it. What came of that needs both records, so it keeps the older one's
   * sequence, and with it the older one's record.
   */
  replaceByReplayed(older: number, frame: number, mask: number, crc: number): void {
    this.#takePlace(older, frame, crc, mask);
  }

  /** The content of `old`, a full frame in no destage batch, was copied to `frame` (reserved), which takes its place everywhere. */
  move(old: number, frame: number): void {
    this.#takePlace(old, frame, this.#frames.crc[old]!);
  }

  /** In the index, in the dirty list or its queue, under the same sequence. */
  #takePlace(old: number, frame: number, crc: number, mask = MASK_FULL): void {
    const frames = this.#frames;
    const state = frames.state[old] as typeof FRAME_STATE.dirty | typeof FRAME_STATE.clean;
    frames.volume[frame] = frames.volume[old]!;
    frames.block[frame] = frames.block[old]!;
    frames.mask[frame] = mask;
    frames.crc[frame] = crc;
    frames.sequence[frame] = frames.sequence[old]!;
    frames.queue[frame] = frames.queue[old]!;
    frames.referenced[frame] = frames.referenced[old]!;
    frames.publish(frame, state);
    this.index.replace(old, frame);
    if (state === FRAME_STATE.clean) this.clean.replace(old, frame);
    else {
      this.#insertDirtyAfter(frame, old);
      this.#unlinkDirty(old);
    }
    frames.retire(old);
  }

  /** The block's content is durable on the drives and the map says so. Only for the newest version. */
  markClean(frame: number): void {
    this.#unlinkDirty(frame);
    this.#frames.publish(frame, FRAME_STATE.clean);
    this.clean.enterWritten(frame);
  }

  /** Forgets a block's frame, dirty or clean. */
  remove(frame: number): void {
    this.index.remove(frame);
    this.#unlinkAndRetire(frame);
  }

  /** Forgets everything. */
  clear(): void {
    while (this.#dirtyHead >= 0) this.remove(this.#dirtyHead);
    this.clean.each((frame) => this.remove(frame));
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
    this.clean.each((frame) => {
      if (this.#isIn(frame, volume, firstBlock, count)) this.remove(frame);
    });
  }

  evict(frame: number): boolean {
    const { state, volume, block } = this.#frames;
    if (state[frame] !== FRAME_STATE.clean || this.index.find(volume[frame]!, block[frame]!) !== frame) return false;
    this.remove(frame);
    return true;
  }

  /** Frees clean frames in the order of the queues. Bounded: past so many looks what was used leaves as well. */
  reclaim(count: number): number {
    const frames = this.#frames;
    const gentle = Math.max(LOOKS_MIN, count * LOOKS_PER_FRAME);
    let freed = 0;
    for (let looked = 0; freed < count && looked < gentle + this.clean.count * LOOKS_EACH_MAX; looked++) {
      const frame = this.clean.look(looked >= gentle);
      if (frame < 0) continue;
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
    else this.clean.leave(frame);
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
}

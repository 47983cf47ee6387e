/**
 * Hash index of one pool's cached blocks: (volume, block) → frame.
 *
 * Open addressing with linear probing in one Int32Array; a slot holds frame + 1, or 0 when empty. Keys are not stored
 * here but read from the frame table, so a probe costs one load each. Deletion shifts later entries back, so that no
 * tombstones pile up.
 *
 * Runs on: the owning director's thread.
 * Invariant: at most half of the slots are used (capacity is chosen for all frames of global memory).
 */
export interface FrameKeys {
  /** Volume of each frame's block. */
  readonly volume: Uint32Array;
  /** Block number on the volume of each frame's block. */
  readonly block: Uint32Array;
}

export class BlockIndex {
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #keys: FrameKeys;
  #size = 0;

  constructor(frameCount: number, keys: FrameKeys) {
    const slotCount = 2 ** Math.ceil(Math.log2(Math.max(frameCount, 8) * 2));
    this.#slots = new Int32Array(slotCount);
    this.#mask = slotCount - 1;
    this.#keys = keys;
  }

  get size(): number {
    return this.#size;
  }

  /** The frame that holds the block, or −1. */
  find(volume: number, block: number): number {
    const { volume: volumes, block: blocks } = this.#keys;
    const slots = this.#slots;
    let slot = this.#home(volume, block);
    for (;;) {
      const frame = slots[slot]! - 1;
      if (frame < 0) return -1;
      if (blocks[frame] === block && volumes[frame] === volume) return frame;
      slot = (slot + 1) & this.#mask;
    }
  }

  /** Adds a frame whose key is in the frame table already; the block must not be in the index. */
  insert(frame: number): void {
    const slots = this.#slots;
    let slot = this.#home(this.#keys.volume[frame]!, this.#keys.block[frame]!);
    while (slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    slots[slot] = frame + 1;
    this.#size += 1;
  }

  /** Puts `frame` in the place of `old`, which has the same key. */
  replace(old: number, frame: number): void {
    this.#slots[this.#slotOf(old)] = frame + 1;
  }

  remove(frame: number): void {
    const slots = this.#slots;
    const { volume: volumes, block: blocks } = this.#keys;
    let hole = this.#slotOf(frame);
    let probe = hole;
    for (;;) {
      probe = (probe + 1) & this.#mask;
      const follower = slots[probe]! - 1;
      if (follower < 0) break;
      const home = this.#home(volumes[follower]!, blocks[follower]!);
      // The follower may move into the hole only if its home does not lie (cyclically) after the hole.
      if (((probe - home) & this.#mask) >= ((probe - hole) & this.#mask)) {
        slots[hole] = follower + 1;
        hole = probe;
      }
    }
    slots[hole] = 0;
    this.#size -= 1;
  }

  #slotOf(frame: number): number {
    const slots = this.#slots;
    let slot = this.#home(this.#keys.volume[frame]!, this.#keys.block[frame]!);
    for (;;) {
      const found = slots[slot]!;
      if (found === frame + 1) return slot;
      if (found === 0) throw new Error(`invariant: frame ${frame} is not in the block index`);
      slot = (slot + 1) & this.#mask;
    }
  }

  #home(volume: number, block: number): number {
    let hash = Math.imul(block ^ Math.imul(volume, 0x9e3779b1), 0x85ebca6b);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) & this.#mask;
  }
}

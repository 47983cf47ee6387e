/**
 * Moves the blocks of a large read together when their frames lie apart.
 *
 * Random writes scatter a volume's blocks over memory. Who then reads it in order has each block copied to where it can be sent
 * in one piece, and again with each later read; moved together once, they are found row by row and sent from where they lie.
 * Sixteen blocks at a time go to a free group of frames, or, when memory is full, to the group in which most of them are, whose
 * other blocks go where there is room: one that was scattered is in order afterwards, and one that is in order is left alone.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Only full frames in no destage batch are moved: what a batch refers to stays where it is.
 *  2. It takes only memory that nobody waits for, and gives back as much; readers of the old frames keep them.
 *  3. It ends: a group in order is never cleared, and what moves together had four gaps or more, so reads at different offsets
 *     don't move blocks to and fro.
 *  4. A read moves no more than 2 × PIECES_MAX × GROUP_FRAMES blocks.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { type FrameRun, stretchesIn } from "../scsi/task.ts";
import type { BlockCache } from "./block-cache.ts";
import { GROUP_FRAMES } from "./frame-groups.ts";
import { FRAME_STATE, type FramePool, MASK_FULL } from "./frame-pool.ts";

/** Stretches shorter than so many frames on average are worth moving: the transmitter would copy them. */
export const STRETCH_FRAMES_LEAST = 4;
/** A group is in order when so many of its frames hold the block after that of their neighbour. */
const NEIGHBOURS_LEAST = 8;
const PIECES_MAX = 4;

export class Regroup {
  readonly #frames: FramePool;
  readonly #cache: BlockCache;
  readonly #global: GlobalMemory;
  readonly #group = new Int32Array(GROUP_FRAMES);

  constructor(frames: FramePool, cache: BlockCache, global: GlobalMemory) {
    this.#frames = frames;
    this.#cache = cache;
    this.#global = global;
  }

  /** `run` has the blocks of one read, all there and pinned for it; afterwards it has them wherever they are then, still pinned. */
  regroup(run: FrameRun): void {
    let pieces = 0;
    for (let from = 0; from + GROUP_FRAMES <= run.frameCount && pieces < PIECES_MAX; from += GROUP_FRAMES) {
      if (!this.#isScattered(run, from) || !this.#areMovable(run, from)) continue;
      if (!this.#frames.tryTakeGroup(this.#group) && !this.#clearGroup(run, from)) return;
      pieces += 1;
      for (let n = 0; n < GROUP_FRAMES; n++) this.#move(run, from + n, run.frames[from + n]!, this.#group[n]!);
    }
  }

  #isScattered(run: FrameRun, from: number): boolean {
    return stretchesIn(run, from, from + GROUP_FRAMES) * STRETCH_FRAMES_LEAST > GROUP_FRAMES;
  }

  #areMovable(run: FrameRun, from: number): boolean {
    for (let n = from; n < from + GROUP_FRAMES; n++) if (!this.#isMovable(run.frames[n]!)) return false;
    return true;
  }

  #isMovable(frame: number): boolean {
    const { destaging, poisoned, mask } = this.#frames;
    return destaging[frame] === 0 && poisoned[frame] === 0 && mask[frame] === MASK_FULL;
  }

  /** Takes the group that holds most of a piece of the run, what is in it moved elsewhere. False: there is none to be had. */
  #clearGroup(run: FrameRun, from: number): boolean {
    const frames = this.#frames;
    const start = this.#mostOf(run, from);
    if (!frames.hasSpare(GROUP_FRAMES) || this.#isInOrder(start) || !this.#isClearable(run, start)) return false;
    for (let frame = start; frame < start + GROUP_FRAMES; frame++) frames.tryTakeThis(frame);
    for (let n = 0; n < GROUP_FRAMES; n++) {
      const frame = start + n;
      if (frames.state[frame] !== FRAME_STATE.reserved) {
        this.#move(run, indexIn(run, frame), frame, frames.takeInternal(false));
        frames.tryTakeThis(frame);
      }
      this.#group[n] = frame;
    }
    return true;
  }

  /** First frame of the group in which most frames of the piece lie. */
  #mostOf(run: FrameRun, from: number): number {
    let most = 0;
    let best = -1;
    for (let n = from; n < from + GROUP_FRAMES; n++) {
      const group = Math.floor(run.frames[n]! / GROUP_FRAMES);
      let count = 0;
      for (let m = from; m < from + GROUP_FRAMES; m++) if (Math.floor(run.frames[m]! / GROUP_FRAMES) === group) count += 1;
      if (count > most) {
        most = count;
        best = group;
      }
    }
    return best * GROUP_FRAMES;
  }

  #isInOrder(start: number): boolean {
    const { volume, block, state } = this.#frames;
    let neighbours = 0;
    for (let frame = start + 1; frame < start + GROUP_FRAMES; frame++) {
      const follows = block[frame] === block[frame - 1]! + 1 && volume[frame] === volume[frame - 1];
      if (follows && state[frame] !== FRAME_STATE.free && state[frame - 1] !== FRAME_STATE.free) neighbours += 1;
    }
    return neighbours >= NEIGHBOURS_LEAST;
  }

  /** Whether each frame is free, or holds a block of this pool that nobody but this read uses. */
  #isClearable(run: FrameRun, start: number): boolean {
    const { state, volume, block, pins } = this.#frames;
    for (let frame = start; frame < start + GROUP_FRAMES; frame++) {
      const its = state[frame];
      if (its === FRAME_STATE.free) continue;
      if (its !== FRAME_STATE.dirty && its !== FRAME_STATE.clean) return false;
      if (!this.#isMovable(frame) || this.#cache.find(volume[frame]!, block[frame]!) !== frame) return false;
      if (pins[frame]! !== (indexIn(run, frame) >= 0 ? 1 : 0)) return false;
    }
    return true;
  }

  /** Copies a frame's content to a reserved one, which takes its place, also at `index` in the run (−1: it is not in there). */
  #move(run: FrameRun, index: number, old: number, frame: number): void {
    const frames = this.#frames;
    this.#global.kernels.copy(frames.addressOf(frame), frames.addressOf(old), FRAME_BYTES);
    if (index >= 0) {
      frames.pin(frame);
      run.frames[index] = frame;
    }
    this.#cache.move(old, frame);
    if (index >= 0) frames.unpin(old);
  }
}

function indexIn(run: FrameRun, frame: number): number {
  for (let n = 0; n < run.frameCount; n++) if (run.frames[n] === frame) return n;
  return -1;
}

/**
 * Moves the blocks of a large read together when their frames lie apart.
 *
 * Random writes scatter a volume's blocks over memory. Who then reads it in order has each block copied to where it can be sent
 * in one piece, and again with each later read; moved together once, they are found row by row and sent from where they lie.
 * It costs about what the copy for one read would, and one look into the index for each block.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Only full frames in no destage batch are moved, all of a read's or none: what a batch refers to stays.
 *  2. It takes only memory that nobody uses or waits for, and gives back as much; readers of the old frames keep them.
 *  3. What lies together, even for a read that began elsewhere, is left alone: reads at different offsets don't move it to and fro.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import type { FrameRun } from "../scsi/task.ts";
import type { BlockCache } from "./block-cache.ts";
import { GROUP_FRAMES } from "./frame-groups.ts";
import type { FramePool } from "./frame-pool.ts";

/** Stretches shorter than so many frames on average are worth moving: the transmitter would copy them (PIECE_BYTES_LEAST). */
const STRETCH_FRAMES_LEAST = 4;
/** Of one read; larger ones are cut by the hosts' own transfer limits, and a turn must not last. */
const FRAMES_MAX = 256;

export class Regroup {
  readonly #frames: FramePool;
  readonly #cache: BlockCache;
  readonly #global: GlobalMemory;
  readonly #together = new Int32Array(FRAMES_MAX);

  constructor(frames: FramePool, cache: BlockCache, global: GlobalMemory) {
    this.#frames = frames;
    this.#cache = cache;
    this.#global = global;
  }

  /** `run` has the blocks of one read, all there and pinned for it; afterwards it has them wherever they are then, still pinned. */
  regroup(run: FrameRun): boolean {
    const count = run.frameCount;
    if (count < GROUP_FRAMES || count > FRAMES_MAX || !this.#isScattered(run) || !this.#mayMove(run)) return false;
    const frames = this.#frames;
    const together = this.#together;
    if (!frames.tryTakeTogether(count, together)) return false;
    for (let n = 0; n < count; n++) {
      const old = run.frames[n]!;
      const frame = together[n]!;
      this.#global.kernels.copy(frames.addressOf(frame), frames.addressOf(old), FRAME_BYTES);
      frames.pin(frame);
      run.frames[n] = frame;
      this.#cache.move(old, frame);
      frames.unpin(old);
    }
    return true;
  }

  #isScattered(run: FrameRun): boolean {
    let stretches = 1;
    for (let n = 1; n < run.frameCount; n++) if (run.frames[n] !== run.frames[n - 1]! + 1) stretches += 1;
    return stretches * STRETCH_FRAMES_LEAST > run.frameCount;
  }

  #mayMove(run: FrameRun): boolean {
    const { destaging, poisoned } = this.#frames;
    for (let n = 0; n < run.frameCount; n++) if (destaging[run.frames[n]!] !== 0 || poisoned[run.frames[n]!] !== 0) return false;
    return true;
  }
}

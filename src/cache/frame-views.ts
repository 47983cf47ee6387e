/**
 * Buffers over single frames: made when first asked for, some of them kept.
 *
 * A Buffer takes some 100 bytes of heap, so one for each of 131,072 frames would be 12 MiB in every director. A frame's view is
 * asked for several times while it is filled, journaled and sent, then not for long: a table with one place for all frames
 * that are VIEWS_MAX apart serves that.
 *
 * Runs on: the director's thread. Owns: the views, nothing of what they show.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";

/** A power of two. */
export const VIEWS_MAX = 4096;

export class FrameViews {
  readonly #global: GlobalMemory;
  readonly #addressOf: (frame: number) => number;
  readonly #frameAt = new Int32Array(VIEWS_MAX).fill(-1);
  readonly #viewAt: Buffer[] = [];

  constructor(global: GlobalMemory, addressOf: (frame: number) => number) {
    this.#global = global;
    this.#addressOf = addressOf;
    const none = Buffer.alloc(0);
    for (let at = 0; at < VIEWS_MAX; at++) this.#viewAt.push(none);
  }

  view(frame: number): Buffer {
    const at = frame & (VIEWS_MAX - 1);
    if (this.#frameAt[at] === frame) return this.#viewAt[at]!;
    const made = this.#global.view(this.#addressOf(frame), FRAME_BYTES);
    this.#frameAt[at] = frame;
    this.#viewAt[at] = made;
    return made;
  }
}

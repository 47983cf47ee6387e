/**
 * Payload of recovered blocks that is read last, when it is known which of them are still the newest: a journal holds a
 * block once for each time that it was written, and takeover waits for what it reads.
 *
 *   applied: frame dirty, content missing ─▶ written again: the same frame waits for the later content
 *                                        ├─▶ superseded otherwise: nothing to read
 *                                        └─▶ `load`: content read, checksum compared
 *
 * Runs on: the director that recovers the pool. Nothing looks into the pool's frames meanwhile: it is not served yet, and
 * destage begins only after `load`.
 * Invariant: a frame that waits for its content is dirty under the sequence that it was deferred with, or nobody's.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { BlockCache } from "../cache/block-cache.ts";
import { FRAME_STATE, type FramePool } from "../cache/frame-pool.ts";
import type { Journal } from "../journal/journal.ts";
import { JournalError } from "../journal/journal-reader.ts";
import type { PoolParts } from "./pool-parts.ts";

const NOTHING = -1;

export class DeferredPayload {
  readonly #frames: FramePool;
  readonly #cache: BlockCache;
  readonly #journal: Journal;
  readonly #breathe: () => Promise<void>;
  /** By frame: where its content is in the file, and the sequence under which it is dirty. */
  readonly #position: Float64Array;
  readonly #sequence: Float64Array;

  /** @param breathe - lets others have their turn, now and then */
  constructor({ frames, cache, journal }: PoolParts, breathe: () => Promise<void>) {
    this.#frames = frames;
    this.#cache = cache;
    this.#journal = journal;
    this.#breathe = breathe;
    this.#position = new Float64Array(frames.state.length).fill(NOTHING);
    this.#sequence = new Float64Array(frames.state.length);
  }

  /** The frame is dirty for what lies there, and empty. */
  defer(frame: number, position: number, sequence: number): void {
    this.#position[frame] = position;
    this.#sequence[frame] = sequence;
  }

  /** The frame was taken anew, for content that is there. */
  forget(frame: number): void {
    this.#position[frame] = NOTHING;
  }

  /** Whether the frame, one that the pool's index names, waits for its content. */
  waits(frame: number): boolean {
    return this.#position[frame]! >= 0 && this.#isStill(frame);
  }

  /** Fills one frame, where it waits for its content: a later write needs it. */
  loadOne(frame: number): void {
    if (this.waits(frame)) this.#fill(frame);
  }

  /** Fills all that still wait, in the order of the file. */
  async load(): Promise<void> {
    const waiting: number[] = [];
    for (let frame = 0; frame < this.#position.length; frame++) {
      if (this.#position[frame]! < 0) continue;
      if (this.#isStill(frame)) waiting.push(frame);
      else this.forget(frame);
    }
    waiting.sort((a, b) => this.#position[a]! - this.#position[b]!);
    for (const frame of waiting) {
      this.#fill(frame);
      await this.#breathe();
    }
  }

  /** It may have been superseded and freed, and taken since, by another pool even: this one's index does not name it then. */
  #isStill(frame: number): boolean {
    const { state, sequence, volume, block } = this.#frames;
    if (state[frame] !== FRAME_STATE.dirty || sequence[frame] !== this.#sequence[frame]) return false;
    return this.#cache.find(volume[frame]!, block[frame]!) === frame;
  }

  #fill(frame: number): void {
    const { crc, block, volume } = this.#frames;
    const content = this.#frames.view(frame);
    this.#journal.readPayload(this.#position[frame]!, content);
    this.forget(frame);
    if (dataChecksum(content) === crc[frame]) return;
    const what = `the journal's copy of block ${block[frame]} of volume ${volume[frame]} is not what was written`;
    throw new JournalError("damaged", what);
  }
}

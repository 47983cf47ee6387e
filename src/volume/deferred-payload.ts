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
 * Invariants:
 *  1. A frame that waits for its content is dirty under the sequence that it was deferred with, or nobody's.
 *  2. `load` reads in the order of the file, which is that of the dirty list; and proves in the order of the frames, which lie
 *     side by side: one sum for many, as a sum of each costs two thirds of recovery.
 */
import { joinedChecksum } from "../../drivers/shared-memory/checksum-arithmetic.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { FRAME_STATE } from "../cache/frame-pool.ts";
import { JournalError } from "../journal/journal-reader.ts";
import type { PoolParts } from "./pool-parts.ts";
import type { RecoveryPiece } from "./recovery-piece.ts";

const NOTHING = -1;
/** Blocks are read at once that lie so near each other: a system call costs as much as what is read for nothing. */
const GAP_BYTES_MAX = 8 * 1024;
/** Frames that are summed at once: others have their turn in between. */
const SUMMED_FRAMES_MAX = 256;

export class DeferredPayload {
  readonly #parts: PoolParts;
  readonly #piece: RecoveryPiece;
  readonly #breathe: () => Promise<void>;
  /** By frame: where its content is in the file, and the sequence under which it is dirty. */
  readonly #position: Float64Array;
  readonly #sequence: Float64Array;

  /** @param breathe - lets others have their turn, now and then */
  constructor(parts: PoolParts, piece: RecoveryPiece, breathe: () => Promise<void>) {
    this.#parts = parts;
    this.#piece = piece;
    this.#breathe = breathe;
    const { length } = parts.frames.state;
    this.#position = new Float64Array(length).fill(NOTHING);
    this.#sequence = new Float64Array(length);
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
    if (!this.waits(frame)) return;
    this.#piece.copyTo(frame, this.#position[frame]!);
    this.forget(frame);
    this.#prove(frame, 1);
  }

  /** Fills all that still wait. */
  async load(): Promise<void> {
    const { cache } = this.#parts;
    const waiting: number[] = [];
    for (let frame = cache.oldestDirty; frame >= 0; frame = cache.nextDirty(frame)) if (this.waits(frame)) waiting.push(frame);
    for (let first = 0; first < waiting.length; ) {
      const end = this.#stretchFrom(waiting, first);
      const from = this.#position[waiting[first]!]!;
      this.#piece.bring(from, this.#position[waiting[end - 1]!]! + FRAME_BYTES - from);
      for (let n = first; n < end; n++) this.#piece.copyTo(waiting[n]!, this.#position[waiting[n]!]!);
      first = end;
      await this.#breathe();
    }
    this.#position.fill(NOTHING);
    waiting.sort((a, b) => a - b);
    for (let first = 0; first < waiting.length; ) {
      let end = first + 1;
      while (end < waiting.length && end - first < SUMMED_FRAMES_MAX && waiting[end] === waiting[end - 1]! + 1) end += 1;
      this.#prove(waiting[first]!, end - first);
      first = end;
      await this.#breathe();
    }
  }

  /** How far those after `first` lie behind it, near each other and all within one piece. */
  #stretchFrom(waiting: readonly number[], first: number): number {
    const from = this.#position[waiting[first]!]!;
    let last = from;
    for (let end = first + 1; end < waiting.length; end++) {
      const next = this.#position[waiting[end]!]!;
      const isNear = next > last && next - last <= FRAME_BYTES + GAP_BYTES_MAX;
      if (!isNear || next + FRAME_BYTES - from > this.#piece.bytes) return end;
      last = next;
    }
    return waiting.length;
  }

  /** It may have been superseded and freed, and taken since, by another pool even: this one's index does not name it then. */
  #isStill(frame: number): boolean {
    const { state, sequence, volume, block } = this.#parts.frames;
    if (state[frame] !== FRAME_STATE.dirty || sequence[frame] !== this.#sequence[frame]) return false;
    return this.#parts.cache.find(volume[frame]!, block[frame]!) === frame;
  }

  /** Of frames side by side. */
  #prove(first: number, count: number): void {
    const { frames, global } = this.#parts;
    const { crc, block, volume } = frames;
    let sum = 0;
    for (let frame = first; frame < first + count; frame++) sum = joinedChecksum(sum, crc[frame]!, FRAME_BYTES);
    if (dataChecksum(global.view(frames.addressOf(first), count * FRAME_BYTES)) === sum) return;
    let wrong = first;
    while (wrong < first + count - 1 && dataChecksum(frames.view(wrong)) === crc[wrong]) wrong += 1;
    const what = `the journal's copy of block ${block[wrong]} of volume ${volume[wrong]} is not what was written`;
    throw new JournalError("damaged", what);
  }
}

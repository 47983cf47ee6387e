/**
 * What a pool's journal holds, laid over its drives for reading: of a pool that can't be written, and so can't be destaged.
 * A journal may hold more than memory does. So only where each block lies in it is kept; its content is brought into the
 * cache when it is read, as a dirty block, and leaves it again when others are wanted.
 *
 *   records, oldest first ─▶ for each block the parts that make its newest version ─ hold ─▶ the cache ─ release ─▶ may leave it
 *
 * Runs on: the owning director's thread. Owns: the dirty frames of the pool.
 * Invariants:
 *  1. A block that the journal has is in the cache, dirty, before a read looks for it, and stays there until the read ends:
 *     a drive's older version is never taken for it.
 *  2. At most RESIDENT_SHARE of the director's frames hold such blocks while no read holds them.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import type { Journal } from "../journal/journal.ts";
import { JournalError, type RecoveredEntry, type RecoveredRecord } from "../journal/journal-reader.ts";
import { ENTRY_KIND } from "../journal/record.ts";
import { copySectors } from "./block-merge.ts";
import { completeBlock } from "./complete-block.ts";
import type { PendingZeros } from "./pending-zeros.ts";
import type { PoolParts } from "./pool-parts.ts";

const RESIDENT_SHARE = 1 / 32;
/** Sequence of every dirty frame: none of them is ever destaged. */
const NO_SEQUENCE = 0;

interface Part {
  readonly mask: number;
  readonly crc: number;
  readonly payloadPosition: number;
}

interface JournaledBlock {
  readonly volume: number;
  readonly block: number;
  /** Oldest first; each has a sector that none after it has. */
  parts: Part[];
  holds: number;
}

/** What a read holds, to be released. */
export type HeldBlocks = readonly JournaledBlock[];

export class JournalOverlay {
  readonly zeros: PendingZeros;
  readonly #volumes = new Map<number, Map<number, JournaledBlock>>();
  /** In the cache; who was held last comes last. */
  readonly #resident = new Set<JournaledBlock>();
  readonly #piece: Buffer;
  #blockCount = 0;

  /** @param piece - where the journal puts what it is asked to bring */
  constructor(zeros: PendingZeros, piece: Buffer) {
    this.zeros = zeros;
    this.#piece = piece;
  }

  get blockCount(): number {
    return this.#blockCount;
  }

  // — the records, as the writes were made —

  add(record: RecoveredRecord, hasVolume: (volume: number) => boolean): void {
    for (const entry of record.entries) {
      // Its volume was deleted after the write.
      if (!hasVolume(entry.volume)) continue;
      if (entry.kind === ENTRY_KIND.zero) this.#zero(entry, record.sequence);
      else this.#write(entry);
    }
  }

  #zero({ volume, block, count }: RecoveredEntry, sequence: number): void {
    const blocks = this.#volumes.get(volume);
    for (const gone of blocks === undefined ? [] : inRange(blocks, block, count)) {
      blocks!.delete(gone);
      this.#blockCount -= 1;
    }
    this.zeros.add({ volume, block, count, sequence });
  }

  #write({ volume, block, mask, crc, payloadPosition }: RecoveredEntry): void {
    let blocks = this.#volumes.get(volume);
    if (blocks === undefined) {
      blocks = new Map();
      this.#volumes.set(volume, blocks);
    }
    const part = { mask, crc, payloadPosition };
    const known = blocks.get(block);
    if (known === undefined) {
      blocks.set(block, { volume, block, parts: [part], holds: 0 });
      this.#blockCount += 1;
      return;
    }
    let covered = mask;
    const parts = [part];
    for (const older of known.parts.reverse()) {
      if ((older.mask & ~covered) === 0) continue;
      parts.push(older);
      covered |= older.mask;
    }
    known.parts = parts.reverse();
  }

  // — reads —

  /** Whether the newest version of the block does not need what the drives have. */
  isWhole(volume: number, block: number): boolean {
    const known = this.#volumes.get(volume)?.get(block);
    return known?.parts.reduce((mask, part) => mask | part.mask, 0) === MASK_FULL;
  }

  /**
   * Brings what the journal has of the range into the cache, where it stays until `release`.
   * @returns undefined: there is no memory now, and nothing is held
   * @throws JournalError when the journal does not hold any more what it held
   */
  hold(pool: PoolParts, volume: number, first: number, count: number): HeldBlocks | undefined {
    const blocks = this.#volumes.get(volume);
    const held: JournaledBlock[] = [];
    if (blocks === undefined) return held;
    for (let block = first; block < first + count; block++) {
      const known = blocks.get(block);
      if (known === undefined) continue;
      if (!this.#resident.has(known) && !this.#load(pool, known)) {
        this.release(pool, held);
        return undefined;
      }
      known.holds += 1;
      held.push(known);
      this.#resident.delete(known);
      this.#resident.add(known);
    }
    return held;
  }

  release({ cache, frames }: PoolParts, held: HeldBlocks): void {
    for (const known of held) known.holds -= 1;
    let above = this.#resident.size - Math.floor(frames.heldFrames * RESIDENT_SHARE);
    for (const known of this.#resident) {
      if (above <= 0) return;
      if (known.holds > 0) continue;
      this.#resident.delete(known);
      cache.removeRange(known.volume, known.block, 1);
      above -= 1;
    }
  }

  #load(pool: PoolParts, known: JournaledBlock): boolean {
    const { cache, frames, journal } = pool;
    const { volume, block, parts } = known;
    const frame = frames.takeInternal(false);
    if (frame < 0) return false;
    let mask = 0;
    try {
      for (const part of parts) {
        copySectors(frames.view(frame), part.mask, this.#bring(journal, part));
        mask |= part.mask;
      }
    } catch (error) {
      frames.give(frame);
      throw error;
    }
    mask = completeBlock(pool, { volume, block, frame, mask });
    cache.publishDirty(frame, volume, block, mask, dataChecksum(frames.view(frame)), NO_SEQUENCE);
    this.#resident.add(known);
    return true;
  }

  #bring(journal: Journal, { payloadPosition, crc }: Part): Buffer {
    const at = journal.bring(payloadPosition, FRAME_BYTES);
    const held = this.#piece.subarray(at, at + FRAME_BYTES);
    if (dataChecksum(held) === crc) return held;
    throw new JournalError("damaged", `the journal does not hold any more what it held at ${payloadPosition}`);
  }
}

/** Numbers of the blocks of a range that are known, in the way that costs less. */
function inRange(blocks: ReadonlyMap<number, unknown>, first: number, count: number): number[] {
  if (count > blocks.size) return [...blocks.keys()].filter((block) => block >= first && block < first + count);
  return Array.from({ length: count }, (_, n) => first + n).filter((block) => blocks.has(block));
}

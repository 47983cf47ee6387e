/**
 * The piece of the journal's file that recovery has before it, in global memory: blocks go from there to their frames by the
 * copy kernel, which takes half of what a copy from a Buffer takes.
 *
 * Runs on: the director that recovers the pool. Owns: the pool's gather area, which writes have when it is served.
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES, JOURNAL_GATHER_BYTES } from "../../drivers/shared-memory/layout.ts";
import type { PoolParts } from "./pool-parts.ts";

export class RecoveryPiece {
  readonly bytes = JOURNAL_GATHER_BYTES;
  /** What the journal reads into. */
  readonly buffer: Buffer;
  readonly #address: Address;
  readonly #parts: PoolParts;

  constructor(parts: PoolParts) {
    const { global, index } = parts;
    this.#address = global.layout.journalGather[index]!;
    this.buffer = global.view(this.#address, this.bytes);
    this.#parts = parts;
  }

  /** Has so many bytes of the file in the piece, for `copyTo`. */
  bring(position: number, bytes: number): void {
    this.#parts.journal.bring(position, bytes);
  }

  /** The block at a position of the file, into a frame. */
  copyTo(frame: number, position: number): void {
    const { journal, frames, global } = this.#parts;
    const at = journal.bring(position, FRAME_BYTES);
    global.kernels.copy(frames.addressOf(frame), this.#address + at, FRAME_BYTES);
  }
}

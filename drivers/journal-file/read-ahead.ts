/**
 * Brings the pages of a file into the page cache before they are asked for: who replays a journal then works while the disk
 * reads, in place of after it.
 *
 * Runs on: the thread that reads asks; libuv's threads read, into memory that nobody looks at. An error says nothing here: who
 * reads the same bytes meets it.
 */
import { read } from "node:fs";

const PIECE_BYTES = 1024 * 1024;
/** So far ahead at a time: one piece is read while the one before it is used. */
const AHEAD_BYTES = 2 * PIECE_BYTES;

export class ReadAhead {
  readonly #descriptor: number;
  readonly #bytes: number;
  #scratch: Buffer | undefined;
  /** Up to here it is asked for. */
  #to = 0;
  #running = 0;
  #ended: (() => void) | undefined;

  /** @param bytes - size of the file */
  constructor(descriptor: number, bytes: number) {
    this.#descriptor = descriptor;
    this.#bytes = bytes;
  }

  /** What lies behind `position` is read next, in order. */
  behind(position: number): void {
    // A little back is a second look at what was read.
    if (position > this.#to || position < this.#to - 2 * AHEAD_BYTES) this.#to = position;
    for (const end = Math.min(position + AHEAD_BYTES, this.#bytes); this.#to < end; this.#to += PIECE_BYTES) {
      this.#scratch ??= Buffer.allocUnsafeSlow(PIECE_BYTES);
      this.#running += 1;
      read(this.#descriptor, this.#scratch, 0, PIECE_BYTES, this.#to, this.#done);
    }
  }

  /** Resolves when nothing uses the descriptor any more. */
  async end(): Promise<void> {
    if (this.#running === 0) return;
    await new Promise<void>((ended) => {
      this.#ended = ended;
    });
  }

  readonly #done = (): void => {
    this.#running -= 1;
    if (this.#running > 0) return;
    this.#scratch = undefined;
    this.#ended?.();
  };
}

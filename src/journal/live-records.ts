/**
 * Where the journal's live records begin: sequence, epoch and offset of some of them, in a ring of fixed size.
 *
 * Not each record has a mark, but each stretch of 1/16,384 of the data area: so small records don't use the marks up before
 * the space is used up. A trim goes back to the mark at or before the record that is needed. That keeps a few records that
 * are needed no more, and to replay those is harmless: a journal is replayed from some record to the end, in order.
 *
 * Invariants:
 *  1. Sequences and offsets rise along the ring.
 *  2. The oldest mark is that of the oldest record that is needed, or of one before it.
 */
const MARKS_MAX = 16_384;

export class LiveRecords {
  /** One more at either end: stretches are counted from where a record happens to begin. */
  readonly #size = MARKS_MAX + 2;
  readonly #sequence = new Float64Array(this.#size);
  readonly #epoch = new Uint32Array(this.#size);
  readonly #offset = new Float64Array(this.#size);
  readonly #markBytes: number;
  #head = 0;
  #tail = 0;
  #newestSequence = 0;
  #markedUpTo = Number.NEGATIVE_INFINITY;

  /** @param dataBytes - most bytes from the oldest live record to the newest */
  constructor(dataBytes: number) {
    this.#markBytes = Math.ceil(dataBytes / MARKS_MAX);
  }

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  push(sequence: number, epoch: number, offset: number): void {
    this.#newestSequence = sequence;
    if (!this.isEmpty && offset < this.#markedUpTo) return;
    if (this.#head - this.#tail >= this.#size) throw new Error("invariant: live journal records reach beyond the data area");
    const slot = this.#head % this.#size;
    this.#sequence[slot] = sequence;
    this.#epoch[slot] = epoch;
    this.#offset[slot] = offset;
    this.#head += 1;
    this.#markedUpTo = offset + this.#markBytes;
  }

  /** Records below `sequence` are needed no more. */
  dropBelow(sequence: number): void {
    if (sequence > this.#newestSequence) {
      this.#tail = this.#head;
      return;
    }
    while (this.#head - this.#tail > 1 && this.#sequence[(this.#tail + 1) % this.#size]! <= sequence) this.#tail += 1;
  }

  /** Where to begin so that the record with this sequence and all after it are met; undefined: there is no mark before it. */
  offsetBefore(sequence: number): number | undefined {
    for (let mark = this.#head - 1; mark >= this.#tail; mark--) {
      if (this.#sequence[mark % this.#size]! <= sequence) return this.#offset[mark % this.#size]!;
    }
    return undefined;
  }

  /** The oldest mark, or undefined. */
  get oldest(): { readonly sequence: number; readonly epoch: number; readonly offset: number } | undefined {
    if (this.isEmpty) return undefined;
    const slot = this.#tail % this.#size;
    return { sequence: this.#sequence[slot]!, epoch: this.#epoch[slot]!, offset: this.#offset[slot]! };
  }
}

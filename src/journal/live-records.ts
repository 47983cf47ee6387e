/**
 * The journal's live records, oldest first: sequence, epoch and offset of each, in a ring of fixed size.
 *
 * Invariant: sequences rise along the ring.
 */
/** Records of one block each fill the default journal of 1 GiB before they fill this. */
const LIVE_RECORDS_MAX = 262_144;

export class LiveRecords {
  readonly #sequence = new Float64Array(LIVE_RECORDS_MAX);
  readonly #epoch = new Uint32Array(LIVE_RECORDS_MAX);
  readonly #offset = new Float64Array(LIVE_RECORDS_MAX);
  #head = 0;
  #tail = 0;

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  get isFull(): boolean {
    return this.#head - this.#tail >= LIVE_RECORDS_MAX;
  }

  get fullness(): number {
    return (this.#head - this.#tail) / LIVE_RECORDS_MAX;
  }

  push(sequence: number, epoch: number, offset: number): void {
    if (this.isFull) throw new Error("invariant: more live journal records than the ring holds");
    const slot = this.#head % LIVE_RECORDS_MAX;
    this.#sequence[slot] = sequence;
    this.#epoch[slot] = epoch;
    this.#offset[slot] = offset;
    this.#head += 1;
  }

  dropBelow(sequence: number): void {
    while (!this.isEmpty && this.#sequence[this.#tail % LIVE_RECORDS_MAX]! < sequence) this.#tail += 1;
  }

  /** The oldest one, or undefined. */
  get oldest(): { readonly sequence: number; readonly epoch: number; readonly offset: number } | undefined {
    if (this.isEmpty) return undefined;
    const slot = this.#tail % LIVE_RECORDS_MAX;
    return { sequence: this.#sequence[slot]!, epoch: this.#epoch[slot]!, offset: this.#offset[slot]! };
  }
}

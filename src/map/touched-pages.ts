/**
 * Which parts of a volume's map may have pages on the drives: 4,096 bits, whatever the volume promises.
 *
 * A volume that was made in this life of the pool has pages only where it was changed, and need not ask the drives for
 * others. Up to 16 GiB a bit stands for one page, beyond for a power of two of them.
 *
 * Runs on: the owning director's thread.
 * Invariant: a page whose bit is clear is not on the drives, and was not changed in memory.
 */
const PART_COUNT = 4096;

export class TouchedPages {
  readonly #bits = new Uint32Array(PART_COUNT / 32);
  #shift = 0;

  /** @param touched - pages may be anywhere: the volume is from an earlier life */
  constructor(pageCount: number, touched: boolean) {
    while (pageCount > PART_COUNT * 2 ** this.#shift) this.#shift += 1;
    if (touched) this.#bits.fill(0xffff_ffff);
  }

  has(page: number): boolean {
    return this.#get(page >>> this.#shift);
  }

  add(page: number): void {
    this.#put(page >>> this.#shift, true);
  }

  /** The first page after this one that is of another part. */
  nextPart(page: number): number {
    return ((page >>> this.#shift) + 1) * 2 ** this.#shift;
  }

  /** The volume has grown: where parts grow with it, two become one. */
  resize(pageCount: number): void {
    while (pageCount > PART_COUNT * 2 ** this.#shift) {
      // In place: a part goes to where a part lay that was read before.
      for (let part = 0; part < PART_COUNT / 2; part++) this.#put(part, this.#get(2 * part) || this.#get(2 * part + 1));
      this.#bits.fill(0, PART_COUNT / 64);
      this.#shift += 1;
    }
  }

  #get(part: number): boolean {
    return (this.#bits[part >>> 5]! & (1 << (part & 31))) !== 0;
  }

  #put(part: number, touched: boolean): void {
    const bit = 1 << (part & 31);
    if (touched) this.#bits[part >>> 5]! |= bit;
    else this.#bits[part >>> 5]! &= ~bit;
  }
}

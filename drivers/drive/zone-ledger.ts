/**
 * Which zone numbers a drive has already reset: a number is never used twice in the life of a pool, but by a drive that begins
 * anew, as a spare that is to be built again (`Drive.forgetZones`).
 *
 * Numbers are given in about rising order, so the retired ones form a few intervals. Kept as sorted, disjoint,
 * non-adjacent intervals, and stored as one value in the drive's metadata.
 * Invariants:
 *  1. A retired number stays retired.
 *  2. At most INTERVALS_MAX intervals: past that the two oldest are joined, which retires the numbers between them
 *     (old numbers that this drive never saw); numbers of zones that are live are never looked up here.
 */
export const INTERVALS_MAX = 4096;

export class ZoneLedger {
  /** first, last, first, last … inclusive. */
  #bounds: number[];

  constructor(bounds: readonly number[] = []) {
    this.#bounds = [...bounds];
  }

  /** From what `encode` gave; undefined if the bytes are not that. */
  static decode(bytes: Uint8Array): ZoneLedger | undefined {
    if (bytes.byteLength % 8 !== 0 || bytes.byteLength > INTERVALS_MAX * 8) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const bounds: number[] = [];
    for (let at = 0; at < bytes.byteLength; at += 4) bounds.push(view.getUint32(at));
    for (let index = 0; index < bounds.length; index += 2) {
      if (bounds[index]! > bounds[index + 1]!) return undefined;
      if (index > 0 && bounds[index]! <= bounds[index - 1]! + 1) return undefined;
    }
    return new ZoneLedger(bounds);
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.#bounds.length * 4);
    const view = new DataView(bytes.buffer);
    this.#bounds.forEach((bound, index) => {
      view.setUint32(index * 4, bound);
    });
    return bytes;
  }

  get intervalCount(): number {
    return this.#bounds.length / 2;
  }

  isRetired(zone: number): boolean {
    const index = this.#firstEndingAtOrAfter(zone);
    return index < this.#bounds.length && this.#bounds[index]! <= zone;
  }

  /** A copy with `zone` retired too. */
  withRetired(zone: number): ZoneLedger {
    if (this.isRetired(zone)) return this;
    const bounds = [...this.#bounds];
    const index = this.#firstEndingAtOrAfter(zone);
    const joinsPrevious = index > 0 && bounds[index - 1] === zone - 1;
    const joinsNext = index < bounds.length && bounds[index] === zone + 1;
    if (joinsPrevious && joinsNext) bounds.splice(index - 1, 2);
    else if (joinsPrevious) bounds[index - 1] = zone;
    else if (joinsNext) bounds[index] = zone;
    else bounds.splice(index, 0, zone, zone);
    if (bounds.length > INTERVALS_MAX * 2) bounds.splice(1, 2);
    return new ZoneLedger(bounds);
  }

  /** Index of `first` of the first interval whose last is not before `zone`. */
  #firstEndingAtOrAfter(zone: number): number {
    let low = 0;
    let high = this.#bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bounds[middle * 2 + 1]! < zone) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }
}

/**
 * Zeroed ranges of a pool that is read and never written: nothing takes them out of the map, and a journal may have a great
 * many. Kept merged and in order, so that looking a block up stays cheap.
 *
 * Invariant: ranges of one volume are in order, and neither overlap nor touch.
 */
import { PendingZeros, type ZeroRange } from "./pending-zeros.ts";

interface Range {
  readonly from: number;
  readonly to: number;
}

export class MergedZeros extends PendingZeros {
  readonly #byVolume = new Map<number, Range[]>();

  override get isEmpty(): boolean {
    return this.#byVolume.size === 0;
  }

  override add({ volume, block, count }: ZeroRange): void {
    const ranges = this.#byVolume.get(volume) ?? [];
    this.#byVolume.set(volume, ranges);
    // The first that is not wholly before it, and the first that is wholly behind it.
    let first = firstEndingAt(ranges, block);
    const before = first;
    let [from, to] = [block, block + count];
    for (; first < ranges.length && ranges[first]!.from <= to; first++) {
      from = Math.min(from, ranges[first]!.from);
      to = Math.max(to, ranges[first]!.to);
    }
    ranges.splice(before, first - before, { from, to });
  }

  override covers(volume: number, block: number): boolean {
    const ranges = this.#byVolume.get(volume);
    if (ranges === undefined) return false;
    const range = ranges[firstEndingAt(ranges, block + 1)];
    return range !== undefined && range.from <= block;
  }
}

/** Index of the first range that ends at the block or behind it. */
function firstEndingAt(ranges: readonly Range[], block: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.to < block) low = middle + 1;
    else high = middle;
  }
  return low;
}

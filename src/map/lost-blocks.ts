/**
 * The blocks of a pool that are lost for good, as the map has them: their place is LOST_PLACE.
 *
 * Kept beside the map's pages so that what is lost can be told without reading them: exact counts for each volume, and the
 * ranges themselves, as far as there is room. It changes with the map's entries only, and stands in each checkpoint.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. `count` of a volume is the number of its blocks whose place is LOST_PLACE.
 *  2. Each block of a range is such a block. There may be others once there were more ranges than RANGES_MAX.
 *  3. Ranges are sorted, and neither overlap nor touch.
 */

/** In a checkpoint of 12 bytes each; past that only the counts are exact. */
export const LOST_RANGES_MAX = 4096;

export interface LostRange {
  readonly volume: number;
  readonly firstBlock: number;
  readonly blockCount: number;
}

export class LostBlocks {
  #ranges: LostRange[] = [];
  readonly #counts = new Map<number, number>();
  readonly #rangesMax: number;

  constructor(rangesMax = LOST_RANGES_MAX) {
    this.#rangesMax = rangesMax;
  }

  get ranges(): readonly LostRange[] {
    return this.#ranges;
  }

  /** Blocks lost, by volume. */
  get counts(): ReadonlyMap<number, number> {
    return this.#counts;
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }

  count(volume: number): number {
    return this.#counts.get(volume) ?? 0;
  }

  add(volume: number, block: number): void {
    this.#counts.set(volume, this.count(volume) + 1);
    const at = this.#after(volume, block);
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    const joinsBefore = before?.volume === volume && before.firstBlock + before.blockCount === block;
    const joinsAfter = after?.volume === volume && after.firstBlock === block + 1;
    const firstBlock = joinsBefore ? before.firstBlock : block;
    const end = joinsAfter ? after.firstBlock + after.blockCount : block + 1;
    if (!joinsBefore && !joinsAfter && this.#ranges.length >= this.#rangesMax) return;
    const from = joinsBefore ? at - 1 : at;
    this.#ranges.splice(from, (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0), { volume, firstBlock, blockCount: end - firstBlock });
  }

  /** The block has content again, or none is wanted. */
  remove(volume: number, block: number): void {
    const count = this.count(volume) - 1;
    if (count < 0) throw new Error(`invariant: volume ${volume} has fewer than no lost blocks`);
    if (count === 0) this.#counts.delete(volume);
    else this.#counts.set(volume, count);
    const at = this.#after(volume, block) - 1;
    const range = this.#ranges[at];
    if (range?.volume !== volume || block >= range.firstBlock + range.blockCount) return;
    const left: LostRange[] = [];
    const end = range.firstBlock + range.blockCount;
    if (block > range.firstBlock) left.push({ volume, firstBlock: range.firstBlock, blockCount: block - range.firstBlock });
    // A range cut in two needs room for one more: the shorter part's blocks are counted, and not named, where there is none.
    if (end > block + 1) left.push({ volume, firstBlock: block + 1, blockCount: end - block - 1 });
    if (left.length === 2 && this.#ranges.length >= this.#rangesMax)
      left.splice(left[0]!.blockCount < left[1]!.blockCount ? 0 : 1, 1);
    this.#ranges.splice(at, 1, ...left);
  }

  /** As a checkpoint has it. */
  assign(counts: ReadonlyMap<number, number>, ranges: readonly LostRange[]): void {
    this.#counts.clear();
    for (const [volume, count] of counts) this.#counts.set(volume, count);
    this.#ranges = [...ranges];
  }

  /** Index of the first range that begins after the block. */
  #after(volume: number, block: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle]!;
      if (range.volume < volume || (range.volume === volume && range.firstBlock <= block)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

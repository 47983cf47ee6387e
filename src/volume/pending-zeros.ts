/**
 * Ranges that hosts have zeroed (UNMAP, WRITE SAME) and whose map entries are still there.
 *
 * A range is in force as soon as its journal record is written: blocks in it that are not in the cache read as zeros.
 * The destager takes the entries out of the map in the order of the records, before it writes anything newer.
 *
 * Invariant: at most RANGES_MAX ranges; a zero that finds the list full waits, as a write does for the journal.
 */
export interface ZeroRange {
  readonly volume: number;
  readonly block: number;
  readonly count: number;
  readonly sequence: number;
}

const RANGES_MAX = 256;

export class PendingZeros {
  readonly #ranges: ZeroRange[] = [];

  get isFull(): boolean {
    return this.#ranges.length >= RANGES_MAX;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  get count(): number {
    return this.#ranges.length;
  }

  get oldest(): ZeroRange | undefined {
    return this.#ranges[0];
  }

  get oldestSequence(): number {
    return this.#ranges[0]?.sequence ?? Number.POSITIVE_INFINITY;
  }

  add(range: ZeroRange): void {
    this.#ranges.push(range);
  }

  /** The oldest range is out of the map. */
  removeOldest(): void {
    this.#ranges.shift();
  }

  removeVolume(volume: number): void {
    for (let n = this.#ranges.length - 1; n >= 0; n--) if (this.#ranges[n]!.volume === volume) this.#ranges.splice(n, 1);
  }

  covers(volume: number, block: number): boolean {
    for (const range of this.#ranges) {
      if (range.volume === volume && block >= range.block && block < range.block + range.count) return true;
    }
    return false;
  }
}

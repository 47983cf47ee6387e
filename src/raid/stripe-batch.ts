/**
 * Blocks on their way into new stripes: from destage (dirty frames) or from compaction (live blocks of an old zone).
 *
 * Parallel arrays, allocated once and used again.
 */
export class StripeBatch {
  readonly capacity: number;
  readonly volume: Uint32Array;
  readonly block: Uint32Array;
  readonly crc: Uint32Array;
  /** Address of the block's content in global memory. */
  readonly source: Uint32Array;
  /** Destage: the dirty frame. */
  readonly frame: Int32Array;
  /** Compaction: the place that the block is moved from. */
  readonly from: Uint32Array;
  /** Filled in by the writer: the place that the block was written to. */
  readonly place: Uint32Array;
  count = 0;
  /** Zone slots that the batch was written to, one entry for each run of stripes; their map entries are to come. */
  readonly slots: number[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.volume = new Uint32Array(capacity);
    this.block = new Uint32Array(capacity);
    this.crc = new Uint32Array(capacity);
    this.source = new Uint32Array(capacity);
    this.frame = new Int32Array(capacity);
    this.from = new Uint32Array(capacity);
    this.place = new Uint32Array(capacity);
  }

  get isFull(): boolean {
    return this.count === this.capacity;
  }

  add(item: { volume: number; block: number; crc: number; source: number; frame: number; from: number }): void {
    const n = this.count++;
    this.volume[n] = item.volume;
    this.block[n] = item.block;
    this.crc[n] = item.crc;
    this.source[n] = item.source;
    this.frame[n] = item.frame;
    this.from[n] = item.from;
    this.place[n] = 0;
  }
}

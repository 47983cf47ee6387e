/**
 * Which blocks left the cache not long ago: fingerprints of (volume, block), no data.
 *
 * Buckets of 16 words, one cache line each; in a bucket the newest stands first, and what is pushed out at its end is
 * forgotten. So the table needs no list and no time, and costs 4 bytes for each frame of global memory. It remembers
 * in proportion to what its owner asks for (`keep`): only so many words of each bucket are used.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A block is in the table only if it was added and not taken since (but for fingerprints that agree: 1 in 2^28).
 *  2. No more than `keep` says, rounded up to a word in each bucket, is remembered.
 */
const WAYS = 16;
const NONE = 0;

export class GhostTable {
  readonly #words: Uint32Array;
  readonly #bucketMask: number;
  #ways = 1;

  /** @param blocksMax - how many blocks it can remember, rounded up to a power of two */
  constructor(blocksMax: number) {
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(1, blocksMax / WAYS)));
    this.#words = new Uint32Array(buckets * WAYS);
    this.#bucketMask = buckets - 1;
  }

  get capacity(): number {
    return this.#words.length;
  }

  /** How many blocks are to be remembered from now on. */
  keep(blocks: number): void {
    const ways = Math.ceil(blocks / (this.#bucketMask + 1));
    this.#ways = Math.max(1, Math.min(ways, WAYS));
  }

  add(volume: number, block: number): void {
    const words = this.#words;
    const first = this.#bucketOf(volume, block);
    for (let at = first + this.#ways - 1; at > first; at--) words[at] = words[at - 1]!;
    words[first] = fingerprint(volume, block);
  }

  /** Whether the block is remembered. If so it is forgotten. */
  take(volume: number, block: number): boolean {
    const words = this.#words;
    const first = this.#bucketOf(volume, block);
    const wanted = fingerprint(volume, block);
    const end = first + this.#ways;
    for (let at = first; at < end; at++) {
      if (words[at] !== wanted) continue;
      for (let next = at + 1; next < end; next++) words[next - 1] = words[next]!;
      words[end - 1] = NONE;
      return true;
    }
    return false;
  }

  /** For tests: how many blocks are remembered. */
  count(): number {
    let count = 0;
    for (let at = 0; at < this.#words.length; at++) if (this.#words[at] !== NONE && at % WAYS < this.#ways) count++;
    return count;
  }

  clear(): void {
    this.#words.fill(NONE);
  }

  #bucketOf(volume: number, block: number): number {
    let hash = Math.imul(block ^ Math.imul(volume, 0x9e3779b1), 0x85ebca6b);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0xc2b2ae35);
    return ((hash ^ (hash >>> 13)) & this.#bucketMask) * WAYS;
  }
}

/** Never `NONE`. Other constants than the bucket's, so that the two don't go together. */
function fingerprint(volume: number, block: number): number {
  let hash = Math.imul(block ^ Math.imul(volume, 0xc2b2ae3d), 0x27d4eb2f);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x165667b1);
  return ((hash ^ (hash >>> 15)) | 1) >>> 0;
}

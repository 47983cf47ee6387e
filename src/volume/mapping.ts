/**
 * Which blocks of a volume are mapped: the volume's side of GET LBA STATUS.
 *
 * A block is mapped when the cache holds it (what is dirty will have a place), or when the map names its place and no
 * zeroed range waits to take it out. Pages of the map that never were in memory are loaded on the way, a few for a
 * question; pages that are known to be empty are passed over whole.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A block whose write was acknowledged before the question came is reported as mapped (unless it was zeroed since):
 *     each block is looked up in one uninterrupted step, and moves from the cache to the map before it leaves the cache.
 *  2. Work on one question is bounded (WORK_MAX), between two page loads as well as in all.
 */
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { NOT_MAPPED } from "../raid/geometry.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockStatus, type MappingQuery } from "./block-io.ts";
import type { PoolParts, VolumeState } from "./pool-parts.ts";

/** In look-ups of one block: about a millisecond. */
const WORK_MAX = 65_536;
/** An empty page is passed over: 1,024 of them, 4 GiB, in one question. */
const EMPTY_PAGE_WORK = WORK_MAX / 1024;
/** A page is read from the drives: 64 in one question. */
const LOAD_WORK = WORK_MAX / 64;
/** With more dirty blocks than this, empty pages are looked at block by block instead of walking the list of the dirty. */
const DIRTY_WALK_MAX = 16_384;

/** Answers the question, perhaps before this returns. */
export function findMapping(pool: PoolParts, query: MappingQuery): void {
  const volume = pool.volumes.get(query.volume);
  query.extents.length = 0;
  if (pool.health.failed) finish(query, pool.health.status);
  else if (volume === undefined || query.offsetBytes >= volume.document.sizeBytes) finish(query, BLOCK_STATUS.noVolume);
  else new MappingScan(pool, query, volume).run();
}

class MappingScan {
  readonly #pool: PoolParts;
  readonly #query: MappingQuery;
  readonly #sizeBytes: number;
  readonly #endBlock: number;
  #block: number;
  /** Where the extent that is being measured begins, and what it is. */
  #extentBytes: number;
  #mapped: boolean | undefined;
  #workLeft = WORK_MAX;
  /** No block of the volume from `#block` up to here was dirty when the question came; undefined: not looked at yet. */
  #cleanUpTo: number | undefined;

  constructor(pool: PoolParts, query: MappingQuery, volume: VolumeState) {
    this.#pool = pool;
    this.#query = query;
    this.#sizeBytes = volume.document.sizeBytes;
    this.#endBlock = Math.ceil(this.#sizeBytes / BLOCK_BYTES);
    this.#block = Math.floor(query.offsetBytes / BLOCK_BYTES);
    this.#extentBytes = query.offsetBytes;
  }

  run(): void {
    const { map, health } = this.#pool;
    const { volume } = this.#query;
    while (this.#block < this.#endBlock) {
      // At least one block is always told of, or the host could not go on.
      if (this.#workLeft <= 0 && this.#mapped !== undefined) break;
      const page = Math.floor(this.#block / PAGE_BLOCKS);
      if (!map.pages.isLoaded(volume, page)) {
        this.#workLeft -= LOAD_WORK;
        map.loadPage(volume, page).then(
          () => this.run(),
          (error: unknown) => {
            health.fail(error);
            finish(this.#query, health.status);
          },
        );
        return;
      }
      const pageEnd = Math.min((page + 1) * PAGE_BLOCKS, this.#endBlock);
      const next = map.pages.isKnownEmpty(volume, page) ? Math.min(pageEnd, this.#nothingDirtyUpTo()) : this.#block;
      if (next > this.#block) {
        this.#workLeft -= EMPTY_PAGE_WORK;
        if (!this.#goTo(next, false)) break;
      } else if (!this.#lookAt(pageEnd)) break;
    }
    this.#closeExtent();
    finish(this.#query, BLOCK_STATUS.good);
  }

  /** Block by block, up to the page's end or until the work is done. False: no further extent is wanted. */
  #lookAt(pageEnd: number): boolean {
    const { cache, map, zeros } = this.#pool;
    const { volume } = this.#query;
    const blockWork = 1 + zeros.count;
    while (this.#block < pageEnd) {
      if (this.#workLeft <= 0 && this.#mapped !== undefined) return true;
      this.#workLeft -= blockWork;
      const place = map.lookup(volume, this.#block);
      if (place === PAGE_NOT_LOADED) return true;
      const mapped = cache.find(volume, this.#block) >= 0 || (place !== NOT_MAPPED && !zeros.covers(volume, this.#block));
      if (!this.#goTo(this.#block + 1, mapped)) return false;
    }
    return true;
  }

  /** Blocks up to `next` are all mapped, or all deallocated. False: they are not of the last extent that is wanted. */
  #goTo(next: number, mapped: boolean): boolean {
    if (this.#mapped !== undefined && this.#mapped !== mapped) {
      this.#closeExtent();
      if (this.#query.extents.length === this.#query.extentsMax) return false;
    }
    this.#mapped = mapped;
    this.#block = next;
    return true;
  }

  /** The extent ends at the current block. The first begins, and the last ends, where question and volume say. */
  #closeExtent(): void {
    if (this.#mapped === undefined) return;
    const end = Math.min(this.#block * BLOCK_BYTES, this.#sizeBytes);
    this.#query.extents.push({ bytes: end - this.#extentBytes, mapped: this.#mapped });
    this.#extentBytes = end;
    this.#mapped = undefined;
  }

  /** The first dirty block of the volume that is not before the current one; found once, it serves all empty pages. */
  #nothingDirtyUpTo(): number {
    if (this.#cleanUpTo !== undefined && this.#cleanUpTo > this.#block) return this.#cleanUpTo;
    const { cache, frames } = this.#pool;
    if (cache.dirtyCount > DIRTY_WALK_MAX) return this.#block;
    this.#workLeft -= cache.dirtyCount;
    let first = Number.POSITIVE_INFINITY;
    for (let frame = cache.oldestDirty; frame >= 0; frame = cache.nextDirty(frame)) {
      const block = frames.block[frame]!;
      if (frames.volume[frame] === this.#query.volume && block >= this.#block && block < first) first = block;
    }
    this.#cleanUpTo = first;
    return first;
  }
}

function finish(query: MappingQuery, status: BlockStatus): void {
  query.status = status;
  if (status !== BLOCK_STATUS.good) query.extents.length = 0;
  query.done(query);
}

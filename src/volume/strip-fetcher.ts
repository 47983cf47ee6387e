/**
 * The reads of strips that are under way for one pool: what is wanted of a strip in one turn goes to its drive as one read,
 * straight into frames; what comes is checked against its tags and handed to the read path, what does not is rebuilt.
 *
 *   want ─▶ gathered until the end of the turn ─▶ a staging region ─▶ the drive ─▶ tags match ─▶ settle
 *                                                    (tags, list)          └─ no, late, lost ─▶ from the other strips ─▶ settle
 *                                                                                                 └─ nor there ─▶ lost
 *
 * Runs on: the owning director's thread. Owns: fetches, and the frames of wanted blocks until they are settled.
 * Invariants:
 *  1. Nobody joins a fetch whose blocks are being looked at: each reader has its block looked for in what the drive has,
 *     and only then is it lost.
 *  2. A frame that a drive may still write to is neither published nor free (StripeReader, invariant 1).
 */

import { DriveError } from "../../drivers/drive/drive.ts";
import { partChecksum, writePart } from "../../drivers/drive/strip-parts.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import { decodePlace } from "../raid/geometry.ts";
import { isFenced } from "../raid/raid-group.ts";
import { TAG_BYTES, tagMatches } from "../raid/strip.ts";
import { BLOCK_STATUS, type BlockStatus } from "./block-io.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { type BlockWaiter, RETRIES_MAX, StripFetch, type WantedBlock } from "./strip-fetch.ts";

/** Who is told what became of wanted blocks: the read path. */
export interface FetchResults {
  /** The block is in its frame and is what the map expected: takes it off the fetch, and the frame with it. */
  settle(fetch: StripFetch, index: number, crc: number): void;
  /** The same, but the drive that should have had it did not. */
  repaired(volume: number, block: number, place: number): void;
  /** The block has moved meanwhile. */
  resolveAgain(waiters: BlockWaiter | undefined): void;
  deliverAll(waiters: BlockWaiter | undefined, frame: number, status: BlockStatus): void;
  /** A block, in the zone of this slot, can be had from nowhere. */
  lost(volume: number, block: number, slot: number): void;
}

export class StripFetcher {
  readonly #pool: PoolParts;
  readonly #served: FetchResults;
  /** Strip (place without the block's index) → the youngest fetch of it; the others follow by `earlier`. */
  readonly #fetches = new Map<number, StripFetch>();
  /** Fetches that gather blocks until the end of the turn, or wait for a staging region. */
  #unsent: StripFetch[] = [];
  #sendDeferred = false;
  /** Blocks being read that nobody waited for when they were asked for. */
  #aheadUnderWay = 0;
  // Bounded by the reads that are under way at a time.
  readonly #freeFetches: StripFetch[] = [];
  readonly #expected = { volume: 0, block: 0, zone: 0 };

  constructor(pool: PoolParts, served: FetchResults) {
    this.#pool = pool;
    this.#served = served;
  }

  get aheadUnderWay(): number {
    return this.#aheadUnderWay;
  }

  /** Whether the block at this place is on its way. */
  isUnderWay(place: number): boolean {
    return this.#fetchOf(place) !== undefined;
  }

  /** Lets `waiter` wait for the block at this place, if it is on its way. */
  join(place: number, waiter: BlockWaiter): boolean {
    const fetch = this.#fetchOf(place);
    if (fetch === undefined) return false;
    fetch.addWaiter((place - 1) % this.#pool.geometry.shape.blocksPerStrip, waiter);
    return true;
  }

  /** Wants the block at this place, which is not on its way, in `what.frame` (reserved): for `waiter`, or ahead of the host. */
  want(place: number, what: WantedBlock, waiter: BlockWaiter | undefined): void {
    const { blocksPerStrip } = this.#pool.geometry.shape;
    const index = (place - 1) % blocksPerStrip;
    const youngest = this.#fetches.get((place - 1 - index) / blocksPerStrip);
    const fetch = youngest === undefined || youngest.sent ? this.#begin(place) : youngest;
    fetch.want(index, what);
    if (waiter !== undefined) fetch.addWaiter(index, waiter);
    else {
      fetch.aheadCount += 1;
      this.#aheadUnderWay += 1;
    }
  }

  /** The fetch under way that brings the block at this place. */
  #fetchOf(place: number): StripFetch | undefined {
    const { blocksPerStrip } = this.#pool.geometry.shape;
    const index = (place - 1) % blocksPerStrip;
    let fetch = this.#fetches.get((place - 1 - index) / blocksPerStrip);
    while (fetch !== undefined && !fetch.wants(index)) fetch = fetch.earlier;
    return fetch;
  }

  #begin(place: number): StripFetch {
    const { geometry, map, zoneUse, runtime } = this.#pool;
    const fetch = this.#freeFetches.pop() ?? new StripFetch(geometry.shape.blocksPerStrip);
    Object.assign(fetch.at, decodePlace(geometry, place));
    fetch.strip = Math.floor((place - 1) / geometry.shape.blocksPerStrip);
    fetch.zone = map.zones.zone[fetch.at.slot]!;
    fetch.sent = false;
    fetch.aheadCount = 0;
    fetch.earlier = this.#fetches.get(fetch.strip);
    this.#fetches.set(fetch.strip, fetch);
    zoneUse.reading[fetch.at.slot]! += 1;
    this.#unsent.push(fetch);
    if (!this.#sendDeferred) {
      this.#sendDeferred = true;
      runtime.atTurnEnd(this.#sendAtTurnEnd);
    }
    return fetch;
  }

  readonly #sendAtTurnEnd = (): void => {
    this.#sendDeferred = false;
    this.#send();
  };

  /** Sends what was gathered, in order, as far as there are staging regions. */
  #send(): void {
    const { fetches } = this.#pool.staging;
    let sent = 0;
    while (sent < this.#unsent.length) {
      const scratch = fetches.tryTake();
      if (scratch < 0) break;
      const fetch = this.#unsent[sent++]!;
      fetch.scratch = scratch;
      fetch.sent = true;
      this.#fetch(fetch).catch((error: unknown) => this.#fail(fetch, error));
    }
    if (sent === this.#unsent.length) this.#unsent.length = 0;
    else if (sent > 0) this.#unsent = this.#unsent.slice(sent);
  }

  async #fetch(fetch: StripFetch): Promise<void> {
    const { reader, staging, counters } = this.#pool;
    const { at, zone, scratch } = fetch;
    const address = { zone, stripe: at.stripe, column: at.column };
    const position = reader.directPosition(address);
    const failure = await reader.readParts(address, this.#list(fetch), 1 + fetch.count);
    // Who asks from now on reads anew: what is served now may bring a reader in, who would find nothing to join.
    this.#leave(fetch);
    if (failure === undefined) this.#look(fetch);
    staging.fetches.giveLanded(scratch, failure?.landed === undefined ? [] : [failure.landed]);
    fetch.scratch = -1;
    if (fetch.count > 0 && failure?.landed !== undefined) this.#changeFrames(fetch, failure.landed);
    // What was only read ahead is not worth a repair; on a lost drive it is what reading costs.
    if (position >= 0) this.#dropUnawaited(fetch);
    if (fetch.count > 0) {
      const wanted = fetch.count;
      const rebuilt = await reader.readRebuilt(address, (strip) => {
        this.#lookRebuilt(fetch, strip, position);
        return fetch.count === 0;
      });
      if (rebuilt && !this.#isThere(position, fetch.zone)) counters[POOL_COUNT.rebuiltReads]! += 1;
      if (failure === undefined && fetch.count < wanted) reader.blame(position, address);
    }
    this.#end(fetch);
  }

  /** Where the drive finds what is wanted: the strip's tags, then each block. */
  #list(fetch: StripFetch): Address {
    const { global, geometry, frames } = this.#pool;
    const { shape } = geometry;
    const tagsBytes = shape.blocksPerStrip * TAG_BYTES;
    const list = fetch.scratch + tagsBytes;
    writePart(global, list, 0, { offsetBytes: shape.tagsAt, bytes: tagsBytes, address: fetch.scratch, checksum: false });
    let part = 1;
    for (let index = 0; index < shape.blocksPerStrip; index++) {
      if (!fetch.wants(index)) continue;
      const address = frames.addressOf(fetch.frame[index]!);
      writePart(global, list, part++, { offsetBytes: index * FRAME_BYTES, bytes: FRAME_BYTES, address, checksum: true });
    }
    return list;
  }

  /** Nobody joins this fetch any more; a younger one of the same strip stays. */
  #leave(fetch: StripFetch): void {
    let younger: StripFetch | undefined;
    let found = this.#fetches.get(fetch.strip);
    while (found !== undefined && found !== fetch) {
      younger = found;
      found = found.earlier;
    }
    if (found === undefined) return;
    if (younger !== undefined) younger.earlier = fetch.earlier;
    else if (fetch.earlier !== undefined) this.#fetches.set(fetch.strip, fetch.earlier);
    else this.#fetches.delete(fetch.strip);
    fetch.earlier = undefined;
  }

  /** Serves the blocks that came and are what the map expects. */
  #look(fetch: StripFetch): void {
    const { global, geometry } = this.#pool;
    const { scratch } = fetch;
    const list = scratch + geometry.shape.blocksPerStrip * TAG_BYTES;
    let part = 1;
    for (let index = 0; index < geometry.shape.blocksPerStrip; index++) {
      if (!fetch.wants(index)) continue;
      const crc = partChecksum(global, list, part++);
      if (this.#isExpected(fetch, index, scratch + index * TAG_BYTES, crc)) this.#served.settle(fetch, index, crc);
    }
  }

  /** Whether a drive that was to have a strip can still be read: if so, what it lacked was the strip. */
  #isThere(position: number, zone: number): boolean {
    return this.#pool.group.readable(position, zone) !== undefined;
  }

  /** The same of the strip as the others say it is: blocks and tags in staging. @param position - of the drive that did not have it */
  #lookRebuilt(fetch: StripFetch, strip: Address, position: number): void {
    const { global, geometry, frames, counters } = this.#pool;
    const { shape } = geometry;
    for (let index = 0; index < shape.blocksPerStrip; index++) {
      if (!fetch.wants(index)) continue;
      const frame = fetch.frame[index]!;
      global.kernels.copy(frames.addressOf(frame), strip + index * FRAME_BYTES, FRAME_BYTES);
      const crc = dataChecksum(frames.view(frame));
      if (!this.#isExpected(fetch, index, strip + shape.tagsAt + index * TAG_BYTES, crc)) continue;
      if (this.#isThere(position, fetch.zone)) {
        counters[POOL_COUNT.repairedBlocks]! += 1;
        this.#served.repaired(fetch.volume[index]!, fetch.block[index]!, fetch.placeOf(geometry, index));
      }
      this.#served.settle(fetch, index, crc);
    }
  }

  #isExpected(fetch: StripFetch, index: number, tag: Address, crc: number): boolean {
    const expected = this.#expected;
    expected.volume = fetch.volume[index]!;
    expected.block = fetch.block[index]!;
    expected.zone = fetch.zone;
    return tagMatches(this.#pool.global, tag, crc, expected);
  }

  /** The drive that was late may still write to the frames: the rebuilt blocks go to others. */
  #changeFrames(fetch: StripFetch, landed: Promise<void>): void {
    const { frames } = this.#pool;
    for (let index = 0; index < fetch.frame.length; index++) {
      if (!fetch.wants(index)) continue;
      const late = fetch.frame[index]!;
      void landed.then(() => frames.give(late));
      const fresh = frames.takeInternal(true);
      if (fresh >= 0) fetch.frame[index] = fresh;
      else this.#served.deliverAll(fetch.take(index), -1, BLOCK_STATUS.noMemory);
    }
  }

  #dropUnawaited(fetch: StripFetch): void {
    for (let index = 0; index < fetch.frame.length && fetch.count > 0; index++) {
      if (fetch.wants(index) && !fetch.isAwaited(index)) this.#drop(fetch, index);
    }
  }

  /** Gives the frame of a block back that did not come; says who waits for it. */
  #drop(fetch: StripFetch, index: number): BlockWaiter | undefined {
    const frame = fetch.frame[index]!;
    const waiters = fetch.take(index);
    this.#pool.frames.give(frame);
    return waiters;
  }

  /** Whoever is left: its block is nowhere in the stripe, unless it has moved or was written meanwhile. */
  #end(fetch: StripFetch): void {
    const { map, geometry, counters, zoneUse, frames } = this.#pool;
    zoneUse.reading[fetch.at.slot]! -= 1;
    for (let index = 0; index < fetch.frame.length && fetch.count > 0; index++) {
      if (!fetch.wants(index)) continue;
      const volume = fetch.volume[index]!;
      const block = fetch.block[index]!;
      const isNewer = map.lookup(volume, block) !== fetch.placeOf(geometry, index) || this.#isInMemory(volume, block);
      const waiters = this.#drop(fetch, index);
      if (waiters === undefined) continue;
      if (isNewer && waiters.retries < RETRIES_MAX) {
        this.#served.resolveAgain(waiters);
        continue;
      }
      counters[POOL_COUNT.lostBlocks]! += 1;
      this.#served.lost(volume, block, fetch.at.slot);
      this.#served.deliverAll(waiters, -1, BLOCK_STATUS.mediumError);
    }
    this.#aheadUnderWay -= fetch.aheadCount;
    this.#freeFetches.push(fetch);
    // Frames that were reserved are clean now: they count no longer against what host writes may hold.
    if (frames.waiting > 0) frames.serveWaiters();
    if (this.#unsent.length > 0 && !this.#sendDeferred) this.#send();
  }

  #isInMemory(volume: number, block: number): boolean {
    const { cache, frames, zeros } = this.#pool;
    const frame = cache.find(volume, block);
    return frame >= 0 ? frames.mask[frame] === MASK_FULL : zeros.covers(volume, block);
  }

  /**
   * The pool can't go on. Frames and region stay as they are, as a drive may still have them, unless it refused or was never
   * asked. What waits for a region fails with it: those that are left may be too few to come back.
   */
  #fail(fetch: StripFetch, error: unknown): void {
    this.#leave(fetch);
    this.#pool.zoneUse.reading[fetch.at.slot]! -= 1;
    this.#pool.health.fail(error);
    const isLate = error instanceof DriveError && error.landed !== undefined;
    const refused = (isFenced(error) && !isLate) || !fetch.sent;
    for (let index = 0; index < fetch.frame.length; index++) {
      if (!fetch.wants(index)) continue;
      const waiters = refused ? this.#drop(fetch, index) : fetch.take(index);
      this.#served.deliverAll(waiters, -1, this.#pool.health.status);
    }
    if (refused && fetch.scratch >= 0) this.#pool.staging.fetches.give(fetch.scratch);
    for (const unsent of this.#unsent.splice(0)) this.#fail(unsent, error);
  }
}

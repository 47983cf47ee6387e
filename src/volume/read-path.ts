/**
 * Reads of one pool: from the cache on the spot, from the drives when a block is not there.
 *
 *   each block: cache ─hit─▶ pin the frame
 *                 └miss─▶ zeroed, or not mapped ─▶ the zero frame
 *                         mapped ─▶ its strip is fetched once for all who wait ─▶ checked ─▶ frame published, pinned
 *
 * A partial dirty frame (a host wrote some sectors of a block that was not in memory) is merged with what the drives
 * have before anyone reads it; the destager uses the same way.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Every frame handed to a reader is full and pinned for it.
 *  2. What came from a drive is published, or merged into what a host wrote in part, only if the map still names the
 *     place it was read from.
 *  3. Nobody joins a fetch whose strip has been looked at: each reader has its block looked for in what the drive has,
 *     and only then is it lost.
 */

import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { FRAME_STATE, MASK_FULL } from "../cache/frame-pool.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { decodePlace, NOT_MAPPED, type Place } from "../raid/geometry.ts";
import { blockMatches, readTag } from "../raid/strip.ts";
import { growFrameRun } from "../scsi/task.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockIo, type BlockStatus } from "./block-io.ts";
import { overlay, zeroMissing } from "./block-merge.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";

/** A place may move (compaction) or vanish between lookup and read so many times before it counts as lost. */
const RETRIES_MAX = 5;

/** Gets the frame, pinned, or the status that says why there is none. */
type Delivery = (frame: number, status: BlockStatus) => void;

interface Waiter {
  readonly volume: number;
  readonly block: number;
  readonly place: number;
  readonly at: Place;
  /** Destage waits for this: it may use the last frames. */
  readonly urgent: boolean;
  readonly retries: number;
  readonly deliver: Delivery;
}

export class ReadPath {
  readonly #pool: PoolParts;
  /** Strip (place without the block's index) → who waits for it. */
  readonly #fetches = new Map<number, Waiter[]>();
  readonly #onRepaired: (volume: number, block: number, place: number) => void;

  constructor(pool: PoolParts, onRepaired: (volume: number, block: number, place: number) => void) {
    this.#pool = pool;
    this.#onRepaired = onRepaired;
  }

  read(io: BlockIo): void {
    const { cache, frames, counters } = this.#pool;
    const first = Math.floor(io.offsetBytes / BLOCK_BYTES);
    const count = Math.floor((io.offsetBytes + io.bytes - 1) / BLOCK_BYTES) - first + 1;
    growFrameRun(io.run, count);
    const { run } = io;
    run.phase = io.offsetBytes % BLOCK_BYTES;
    run.bytes = io.bytes;
    run.frameCount = count;
    io.status = BLOCK_STATUS.good;
    let missing = 0;
    for (let n = 0; n < count; n++) {
      const frame = cache.find(io.volume, first + n);
      if (frame >= 0 && frames.mask[frame] === MASK_FULL) {
        frames.pins[frame]! += 1;
        frames.referenced[frame] = 1;
        run.frames[n] = frame;
      } else {
        run.frames[n] = -1;
        missing++;
      }
    }
    counters[POOL_COUNT.readBlocksHit]! += count - missing;
    if (missing === 0) io.done(io);
    else this.#readMissing(io, first, count, missing);
  }

  release(io: BlockIo): void {
    const { frames } = this.#pool;
    const { run } = io;
    for (let n = 0; n < run.frameCount; n++) if (run.frames[n]! >= 0) frames.unpin(run.frames[n]!);
    run.frameCount = 0;
  }

  /** The newest full version of a block, pinned. For the array's own work. */
  fetchBlock(volume: number, block: number, urgent: boolean): Promise<{ frame: number; status: BlockStatus }> {
    return new Promise((resolve) => {
      this.#resolve({ volume, block, urgent, retries: 0, deliver: (frame, status) => resolve({ frame, status }) });
    });
  }

  #readMissing(io: BlockIo, first: number, count: number, missing: number): void {
    let left = missing;
    for (let n = 0; n < count; n++) {
      if (io.run.frames[n]! >= 0) continue;
      const deliver = (frame: number, status: BlockStatus): void => {
        io.run.frames[n] = frame;
        if (status !== BLOCK_STATUS.good && io.status === BLOCK_STATUS.good) {
          io.status = status;
          io.errorOffsetBytes = Math.max(io.offsetBytes, (first + n) * BLOCK_BYTES);
        }
        if (--left > 0) return;
        if (io.status !== BLOCK_STATUS.good) this.release(io);
        io.done(io);
      };
      this.#resolve({ volume: io.volume, block: first + n, urgent: false, retries: 0, deliver });
    }
  }

  /** Finds one block wherever it is now. */
  #resolve(want: { volume: number; block: number; urgent: boolean; retries: number; deliver: Delivery }): void {
    const { cache, frames, zeros, map, counters, health } = this.#pool;
    const { volume, block, deliver } = want;
    const cached = cache.find(volume, block);
    if (cached >= 0 && frames.mask[cached] === MASK_FULL) {
      frames.pin(cached);
      frames.referenced[cached] = 1;
      deliver(cached, BLOCK_STATUS.good);
      return;
    }
    if (health.failed) {
      deliver(-1, BLOCK_STATUS.failed);
      return;
    }
    // A partial frame is younger than a pending zero of its block, or it would have been made full at once.
    if (cached < 0 && zeros.covers(volume, block)) {
      counters[POOL_COUNT.readBlocksUnmapped]! += 1;
      deliver(frames.zeroFrame, BLOCK_STATUS.good);
      return;
    }
    const place = map.lookup(volume, block);
    if (place === PAGE_NOT_LOADED) {
      map.loadPage(volume, Math.floor(block / PAGE_BLOCKS)).then(
        () => this.#resolve(want),
        (error: unknown) => {
          health.fail(error);
          deliver(-1, BLOCK_STATUS.failed);
        },
      );
      return;
    }
    if (place === NOT_MAPPED) {
      counters[POOL_COUNT.readBlocksUnmapped]! += 1;
      if (cached >= 0) this.#mergeWithZeros(cached, want.urgent, deliver);
      else deliver(frames.zeroFrame, BLOCK_STATUS.good);
      return;
    }
    counters[POOL_COUNT.readBlocksMissed]! += 1;
    this.#fetch({ ...want, place, at: decodePlace(this.#pool.geometry, place) });
  }

  #fetch(waiter: Waiter): void {
    const strip = Math.floor((waiter.place - 1) / this.#pool.geometry.shape.blocksPerStrip);
    const joined = this.#fetches.get(strip);
    if (joined !== undefined) {
      joined.push(waiter);
      return;
    }
    const waiters = [waiter];
    this.#fetches.set(strip, waiters);
    this.#fetchStrip(strip, waiters).catch((error: unknown) => {
      this.#leave(strip, waiters);
      this.#pool.health.fail(error);
      for (const left of waiters.splice(0)) left.deliver(-1, BLOCK_STATUS.failed);
    });
  }

  /** Nobody joins this fetch any more; a younger one of the same strip stays. */
  #leave(strip: number, waiters: Waiter[]): void {
    if (this.#fetches.get(strip) === waiters) this.#fetches.delete(strip);
  }

  async #fetchStrip(strip: number, waiters: Waiter[]): Promise<void> {
    const { map, zoneUse, reader, counters } = this.#pool;
    const { at } = waiters[0]!;
    const zone = map.zones.zone[at.slot]!;
    zoneUse.reading[at.slot]! += 1;
    try {
      const outcome = await reader.read({ zone, stripe: at.stripe, column: at.column }, (address, rebuilt) => {
        // Who asks from now on reads anew: what is served now may bring a reader in, who would find the strip "not there".
        this.#leave(strip, waiters);
        return this.#serve(waiters, address, zone, rebuilt);
      });
      if (outcome === "rebuilt") counters[POOL_COUNT.rebuiltReads]! += 1;
    } finally {
      zoneUse.reading[at.slot]! -= 1;
    }
    this.#leave(strip, waiters);
    // Whoever is left: its block is nowhere in the stripe, unless it has moved meanwhile.
    for (const waiter of waiters.splice(0)) {
      if (map.lookup(waiter.volume, waiter.block) !== waiter.place && waiter.retries < RETRIES_MAX) {
        this.#resolve({ ...waiter, retries: waiter.retries + 1 });
        continue;
      }
      counters[POOL_COUNT.lostBlocks]! += 1;
      this.#pool.runtime.raise({
        severity: "critical",
        type: "block.lost",
        subject: `pool ${this.#pool.name}`,
        message: `block ${waiter.block} of volume ${waiter.volume} can't be read and can't be rebuilt from its stripe`,
      });
      waiter.deliver(-1, BLOCK_STATUS.mediumError);
    }
  }

  /** Hands each waiter its block if it is what the map expects; keeps the others. True: nobody is left. */
  #serve(waiters: Waiter[], strip: Address, zone: number, rebuilt: boolean): boolean {
    const { global, geometry, group, counters } = this.#pool;
    const left: Waiter[] = [];
    for (const waiter of waiters.splice(0)) {
      const expected = { volume: waiter.volume, block: waiter.block, zone };
      if (!blockMatches(global, strip, geometry.shape, waiter.at.index, expected)) {
        left.push(waiter);
        continue;
      }
      if (rebuilt && group.state === "optimal") {
        counters[POOL_COUNT.repairedBlocks]! += 1;
        this.#onRepaired(waiter.volume, waiter.block, waiter.place);
      }
      this.#deliver(waiter, strip);
    }
    waiters.push(...left);
    return left.length === 0;
  }

  #deliver(waiter: Waiter, strip: Address): void {
    const { cache, frames, map, global, geometry } = this.#pool;
    const { volume, block, deliver } = waiter;
    const source = strip + waiter.at.index * FRAME_BYTES;
    const cached = cache.find(volume, block);
    if (cached >= 0 && frames.mask[cached] === MASK_FULL) {
      frames.pin(cached);
      deliver(cached, BLOCK_STATUS.good);
      return;
    }
    const current = map.lookup(volume, block) === waiter.place;
    if (cached >= 0 && !current) {
      // The rest of a partial block is what the map names now, not what it named when the read began.
      if (waiter.retries < RETRIES_MAX) this.#resolve({ ...waiter, retries: waiter.retries + 1 });
      else deliver(-1, BLOCK_STATUS.noMemory);
      return;
    }
    const frame = frames.takeInternal(waiter.urgent);
    if (frame < 0) {
      deliver(-1, BLOCK_STATUS.noMemory);
      return;
    }
    const address = frames.addressOf(frame);
    global.kernels.copy(address, source, FRAME_BYTES);
    if (cached >= 0) {
      overlay(global.kernels, address, frames.mask[cached]!, frames.addressOf(cached));
      cache.replaceByMerged(cached, frame, dataCrc32c(frames.view(frame)));
      frames.pin(frame);
    } else if (current && !this.#pool.zeros.covers(volume, block)) {
      cache.publishClean(frame, volume, block, readTag(global, strip, geometry.shape, waiter.at.index).crc);
      frames.pin(frame);
    } else {
      // Rewritten or moved while it was read: right for this reader, whose read is as old, and for nobody else.
      frames.pin(frame);
      frames.publish(frame, FRAME_STATE.retired);
    }
    deliver(frame, BLOCK_STATUS.good);
  }

  #mergeWithZeros(partial: number, urgent: boolean, deliver: Delivery): void {
    const { cache, frames, global } = this.#pool;
    const frame = frames.takeInternal(urgent);
    if (frame < 0) {
      deliver(-1, BLOCK_STATUS.noMemory);
      return;
    }
    const address = frames.addressOf(frame);
    global.kernels.copy(address, frames.addressOf(partial), FRAME_BYTES);
    zeroMissing(global.kernels, address, frames.mask[partial]!);
    cache.replaceByMerged(partial, frame, dataCrc32c(frames.view(frame)));
    frames.pin(frame);
    deliver(frame, BLOCK_STATUS.good);
  }
}

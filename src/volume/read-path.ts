/**
 * Reads of one pool: from the cache on the spot, from the drives when a block is not there.
 *
 *   each block: cache ─hit─▶ pin the frame
 *                 └miss─▶ zeroed, or not mapped ─▶ the zero frame
 *                         lost for good, by the map ─▶ medium error
 *                         mapped ─▶ wanted of its strip (strip-fetcher.ts) ─▶ in its frame, checked ─▶ published, pinned for all who wait
 *
 * Blocks that a host is going to read next are wanted too, with nobody waiting (read-streams.ts says which). Where memory
 * is short they are not.
 *
 * A partial dirty frame (a host wrote some sectors of a block that was not in memory) is merged with what the drives
 * have before anyone reads it; the destager uses the same way.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Every frame handed to a reader is full and pinned for it.
 *  2. What came from a drive is published, or merged into what a host wrote in part, only if the map still names the
 *     place it was read from.
 */

import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { FRAME_STATE, MASK_FULL } from "../cache/frame-pool.ts";
import { Regroup } from "../cache/regroup.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { LOST_PLACE, NOT_MAPPED } from "../raid/geometry.ts";
import { growFrameRun } from "../scsi/task.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockIo, type BlockStatus } from "./block-io.ts";
import { overlay, zeroMissing } from "./block-merge.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { type ReadAhead, ReadStreams } from "./read-streams.ts";
import { BlockWaiter, type PendingRead, RETRIES_MAX, type StripFetch } from "./strip-fetch.ts";
import { type FetchResults, StripFetcher } from "./strip-fetcher.ts";

/** What is read ahead and not yet asked for is at most this part of the director's frames. */
const READ_AHEAD_SHARE = 1 / 8;

export class ReadPath implements FetchResults {
  readonly #pool: PoolParts;
  readonly repaired: FetchResults["repaired"];
  readonly lost: FetchResults["lost"];
  readonly #streams = new ReadStreams();
  readonly #regroup: Regroup;
  readonly #fetcher: StripFetcher;
  // Bounded by the reads that are under way at a time.
  readonly #freeWaiters: BlockWaiter[] = [];
  readonly #freeReads: PendingRead[] = [];

  constructor(pool: PoolParts, on: Pick<FetchResults, "repaired" | "lost">) {
    this.#pool = pool;
    this.repaired = on.repaired;
    this.lost = on.lost;
    this.#fetcher = new StripFetcher(pool, this);
    this.#regroup = new Regroup(pool.frames, pool.cache, pool.global);
  }

  read(io: BlockIo): void {
    const { cache, frames, counters } = this.#pool;
    const { volume, offsetBytes, bytes, run } = io;
    const end = offsetBytes + bytes;
    const first = Math.floor(offsetBytes / BLOCK_BYTES);
    const count = Math.floor((end - 1) / BLOCK_BYTES) - first + 1;
    growFrameRun(run, count);
    run.phase = offsetBytes % BLOCK_BYTES;
    run.bytes = bytes;
    run.frameCount = count;
    io.status = BLOCK_STATUS.good;
    let missing = 0;
    let frame = -1;
    for (let n = 0; n < count; n++) {
      frame = cache.findAfter(frame, volume, first + n);
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
    const ahead = this.#streams.observe(volume, first, count, Math.floor(end / BLOCK_BYTES), this.#aheadMax());
    if (missing > 0) {
      this.#readMissing(io, first, missing, ahead);
      return;
    }
    this.#regroup.regroup(run);
    if (ahead.to > ahead.from) this.#readAhead(volume, ahead);
    io.done(io);
  }

  /** Blocks that may be read ahead and not yet asked for. */
  #aheadMax(): number {
    return Math.floor(this.#pool.frames.heldFrames * READ_AHEAD_SHARE);
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
      const waiter = this.#waiter(volume, block);
      waiter.urgent = urgent;
      waiter.deliver = (frame, status) => resolve({ frame, status });
      this.#resolve(waiter);
    });
  }

  /** What is asked for goes out before what is read ahead; nobody else reads in between. */
  #readMissing(io: BlockIo, first: number, missing: number, ahead: ReadAhead): void {
    const read = this.#freeReads.pop() ?? { io: undefined, left: 0 };
    read.io = io;
    // One more than what is missing, so that the read does not end in here.
    read.left = missing + 1;
    const { volume, run } = io;
    let gone = false;
    for (let n = 0; n < run.frameCount; n++) {
      if (run.frames[n]! >= 0) continue;
      const waiter = this.#waiter(volume, first + n);
      waiter.read = read;
      waiter.frameIndex = n;
      if (this.#resolve(waiter) && first + n < ahead.askedTo) gone = true;
    }
    if (gone) {
      this.#pool.counters[POOL_COUNT.readAheadMissed]! += 1;
      this.#streams.missed(ahead.stream);
    } else if (ahead.to > ahead.from) this.#readAhead(volume, ahead);
    this.#arrived(read);
  }

  #waiter(volume: number, block: number): BlockWaiter {
    const waiter = this.#freeWaiters.pop() ?? new BlockWaiter();
    waiter.volume = volume;
    waiter.block = block;
    return waiter;
  }

  /** Ends one block's wait. */
  #deliver(waiter: BlockWaiter, frame: number, status: BlockStatus): void {
    const { read, frameIndex, deliver, block } = waiter;
    waiter.read = undefined;
    waiter.deliver = undefined;
    waiter.next = undefined;
    waiter.urgent = false;
    waiter.overPartial = false;
    waiter.retries = 0;
    this.#freeWaiters.push(waiter);
    if (read === undefined) {
      deliver!(frame, status);
      return;
    }
    const io = read.io!;
    io.run.frames[frameIndex] = frame;
    if (status !== BLOCK_STATUS.good && io.status === BLOCK_STATUS.good) {
      io.status = status;
      io.errorOffsetBytes = Math.max(io.offsetBytes, block * BLOCK_BYTES);
    }
    this.#arrived(read);
  }

  /** One of the blocks that a read waited for is there, or is known not to come. */
  #arrived(read: PendingRead): void {
    read.left -= 1;
    if (read.left > 0) return;
    const io = read.io!;
    read.io = undefined;
    this.#freeReads.push(read);
    if (io.status !== BLOCK_STATUS.good) this.release(io);
    io.done(io);
  }

  deliverAll(waiters: BlockWaiter | undefined, frame: number, status: BlockStatus): void {
    for (let waiter = waiters; waiter !== undefined; ) {
      const { next } = waiter;
      if (frame >= 0) this.#pool.frames.pin(frame);
      this.#deliver(waiter, frame, status);
      waiter = next;
    }
  }

  /** Finds one block wherever it is now. True: it is fetched for this waiter first. */
  #resolve(waiter: BlockWaiter): boolean {
    const { cache, frames, zeros, map, counters, health } = this.#pool;
    const { volume, block } = waiter;
    const cached = cache.find(volume, block);
    if (cached >= 0 && frames.mask[cached] === MASK_FULL) {
      frames.pin(cached);
      frames.referenced[cached] = 1;
      this.#deliver(waiter, cached, BLOCK_STATUS.good);
      return false;
    }
    if (health.failed) {
      this.#deliver(waiter, -1, health.status);
      return false;
    }
    // A partial frame is younger than a pending zero of its block, or it would have been made full at once.
    if (cached < 0 && zeros.covers(volume, block)) {
      counters[POOL_COUNT.readBlocksUnmapped]! += 1;
      this.#deliver(waiter, frames.zeroFrame, BLOCK_STATUS.good);
      return false;
    }
    const place = map.lookup(volume, block);
    if (place === PAGE_NOT_LOADED) {
      map.loadPage(volume, Math.floor(block / PAGE_BLOCKS)).then(
        () => this.#resolve(waiter),
        (error: unknown) => {
          health.fail(error);
          this.#deliver(waiter, -1, health.status);
        },
      );
      return false;
    }
    if (place === NOT_MAPPED) {
      counters[POOL_COUNT.readBlocksUnmapped]! += 1;
      if (cached >= 0) this.#mergeWithZeros(cached, waiter);
      else this.#deliver(waiter, frames.zeroFrame, BLOCK_STATUS.good);
      return false;
    }
    if (place === LOST_PLACE) {
      this.#deliver(waiter, -1, BLOCK_STATUS.mediumError);
      return false;
    }
    counters[POOL_COUNT.readBlocksMissed]! += 1;
    waiter.overPartial = cached >= 0;
    return this.#want(place, waiter, volume, block);
  }

  /** Asks for blocks that nobody waits for yet, as far as there is memory that nobody else waits for. */
  #readAhead(volume: number, { stream, from, to }: ReadAhead): void {
    const { cache, zeros, map, frames, health, counters, volumes } = this.#pool;
    const end = Math.min(to, volumes.get(volume)?.blockCount ?? 0);
    let cached = -1;
    for (let block = from; block < end; block++) {
      if (health.failed || frames.waiting > 0 || this.#fetcher.aheadUnderWay >= this.#aheadMax()) {
        this.#streams.stopped(stream, block, true);
        return;
      }
      cached = cache.findAfter(cached, volume, block);
      if (cached >= 0 || zeros.covers(volume, block)) continue;
      const place = map.lookup(volume, block);
      if (place === PAGE_NOT_LOADED) {
        // Whoever reads there next waits for the same loading; what fails then fails them.
        map.loadPage(volume, Math.floor(block / PAGE_BLOCKS)).catch(() => undefined);
        this.#streams.stopped(stream, block, false);
        return;
      }
      if (place === NOT_MAPPED || place === LOST_PLACE) continue;
      if (this.#fetcher.isUnderWay(place)) continue;
      if (!this.#want(place, undefined, volume, block)) {
        this.#streams.stopped(stream, block, true);
        return;
      }
      counters[POOL_COUNT.readAheadBlocks]! += 1;
    }
    if (end < to) this.#streams.stopped(stream, end, false);
  }

  /** Wants a block of its strip, for `waiter` if there is one. False: it is fetched already, or there is no memory for it. */
  #want(place: number, waiter: BlockWaiter | undefined, volume: number, block: number): boolean {
    const { frames } = this.#pool;
    if (waiter !== undefined && this.#fetcher.join(place, waiter)) return false;
    const frame = frames.takeInternal(waiter?.urgent ?? false);
    if (frame < 0) {
      if (waiter !== undefined) this.#deliver(waiter, -1, BLOCK_STATUS.noMemory);
      return false;
    }
    this.#fetcher.want(place, { volume, block, frame }, waiter);
    return true;
  }

  /** A block is there and right: publishes it, if it is still the newest, and hands it to all who wait. */
  settle(fetch: StripFetch, index: number, crc: number): void {
    const { cache, frames, map, global, geometry, zeros } = this.#pool;
    const place = fetch.placeOf(geometry, index);
    const volume = fetch.volume[index]!;
    const block = fetch.block[index]!;
    const frame = fetch.frame[index]!;
    const waiters = fetch.take(index);
    const cached = cache.find(volume, block);
    if (cached >= 0 && frames.mask[cached] === MASK_FULL) {
      // Pinned before the frame is given, as whoever waits for frames may write to this block at once.
      if (waiters !== undefined) frames.pin(cached);
      frames.give(frame);
      this.deliverAll(waiters, cached, BLOCK_STATUS.good);
      if (waiters !== undefined) frames.unpin(cached);
      return;
    }
    const current = map.lookup(volume, block) === place;
    if (cached >= 0 && !current) {
      // The rest of a partial block is what the map names now, not what it named when the read began.
      frames.give(frame);
      this.resolveAgain(waiters);
      return;
    }
    if (cached >= 0) {
      overlay(global.kernels, frames.addressOf(frame), frames.mask[cached]!, frames.addressOf(cached));
      cache.replaceByMerged(cached, frame, dataChecksum(frames.view(frame)));
    } else if (current && !zeros.covers(volume, block)) {
      if (waiters === undefined) cache.publishAhead(frame, volume, block, crc);
      else cache.publishClean(frame, volume, block, crc);
    } else if (waiters === undefined) {
      frames.give(frame);
      return;
    } else {
      // Rewritten or moved while it was read: right for the readers whose reads are as old, and for nobody else.
      frames.pin(frame);
      frames.publish(frame, FRAME_STATE.retired);
      this.#deliverOld(waiters, frame);
      frames.unpin(frame);
      return;
    }
    // Held until all have it: the first reader may be done with it, and a write may come, before the last is served.
    frames.pin(frame);
    this.deliverAll(waiters, frame, BLOCK_STATUS.good);
    frames.unpin(frame);
  }

  /** The frame lacks what a host had written in part, and what has gone since: who came after that write looks anew. */
  #deliverOld(waiters: BlockWaiter, frame: number): void {
    let later: BlockWaiter | undefined;
    for (let waiter: BlockWaiter | undefined = waiters; waiter !== undefined; ) {
      const { next }: BlockWaiter = waiter;
      if (waiter.overPartial) {
        waiter.next = later;
        later = waiter;
      } else {
        this.#pool.frames.pin(frame);
        this.#deliver(waiter, frame, BLOCK_STATUS.good);
      }
      waiter = next;
    }
    this.resolveAgain(later);
  }

  resolveAgain(waiters: BlockWaiter | undefined): void {
    for (let waiter = waiters; waiter !== undefined; ) {
      const { next } = waiter;
      waiter.next = undefined;
      waiter.retries += 1;
      if (waiter.retries <= RETRIES_MAX) this.#resolve(waiter);
      else this.#deliver(waiter, -1, BLOCK_STATUS.noMemory);
      waiter = next;
    }
  }

  #mergeWithZeros(partial: number, waiter: BlockWaiter): void {
    const { cache, frames, global } = this.#pool;
    const frame = frames.takeInternal(waiter.urgent);
    if (frame < 0) {
      this.#deliver(waiter, -1, BLOCK_STATUS.noMemory);
      return;
    }
    const address = frames.addressOf(frame);
    global.kernels.copy(address, frames.addressOf(partial), FRAME_BYTES);
    zeroMissing(global.kernels, address, frames.mask[partial]!);
    cache.replaceByMerged(partial, frame, dataChecksum(frames.view(frame)));
    frames.pin(frame);
    this.#deliver(waiter, frame, BLOCK_STATUS.good);
  }
}

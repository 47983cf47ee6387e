/**
 * Writes and zeros of one pool: into the journal in groups, then into the index, then acknowledged.
 *
 *   submit ─▶ queue ─(end of the turn)─▶ for each: merge partial blocks, checksum, journal entry, publish
 *                                        ─▶ one journal record for the group, one writev ─▶ done
 *                                        ─▶ FUA and write-through: done after the fdatasync that covers it
 *
 * Publishing comes a moment before the record is written, in the same uninterrupted step: nobody can look between, and
 * when the record can't be written the pool has failed and serves nothing any more.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Frames of a write are handed on or given back exactly once.
 *  2. Writes are published in the order of the queue; one that must wait for its map pages goes to the end.
 *  3. What does not fit (journal, pool) waits in the queue, which the sessions' windows bound.
 *  4. Once it is closed nothing is put into the journal any more: what its owner then says of that stays true.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES, JOURNAL_GATHER_BYTES } from "../../drivers/shared-memory/layout.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import { PayloadGather } from "../journal/payload-gather.ts";
import { RECORD_ENTRIES_MAX } from "../journal/record.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { isPlace, LOST_PLACE } from "../raid/geometry.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockIo, type BlockStatus } from "./block-io.ts";
import { sectorMask } from "./block-merge.ts";
import { completeBlock } from "./complete-block.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";

/** A write into a nearly full pool looks again after so many destage commits before it is refused. */
const SPACE_RETRIES_MAX = 64;

/** Writes of up to so many blocks are gathered for the journal; the frames of larger ones mostly lie side by side. */
const GATHERED_BLOCKS_MAX = 16;

export interface WritePathHooks {
  /** Volumes with WCE = 0 write through. */
  readonly writesThrough: (volume: number) => boolean;
  /** The journal or the pool is full: destage must make room. */
  readonly onPressure: () => void;
  /** Something became dirty. */
  readonly onDirty: () => void;
  /** A write was refused for want of space. */
  readonly onRefusedForSpace: () => void;
}

export class WritePath {
  readonly #pool: PoolParts;
  readonly #hooks: WritePathHooks;
  #queue: BlockIo[] = [];
  /** What a group leaves behind; swapped with the queue. */
  #left: BlockIo[] = [];
  #scheduled = false;
  #closed = false;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  #group: BlockIo[] = [];
  #spareGroup: BlockIo[] = [];
  /** Told only after the group's record is written: whoever is told may take frames that the record still refers to. */
  readonly #refused: { readonly io: BlockIo; readonly status: BlockStatus }[] = [];
  readonly #gather: PayloadGather;
  readonly #entry = { volume: 0, block: 0, mask: 0, crc: 0, nexus: 0, initiatorTaskTag: 0, request: 0, requesterEpoch: 0 };

  constructor(pool: PoolParts, hooks: WritePathHooks) {
    this.#pool = pool;
    this.#hooks = hooks;
    const { global, index } = pool;
    this.#gather = new PayloadGather(global, global.layout.journalGather[index]!, JOURNAL_GATHER_BYTES);
  }

  get queued(): number {
    return this.#queue.length;
  }

  write(io: BlockIo): void {
    this.#submit(io, false);
  }

  /** Whole blocks only; the caller turns the edges into writes. */
  zero(io: BlockIo): void {
    this.#submit(io, true);
  }

  /** Something that queued writes waited for has come: room in the journal or a page, or (`destaged`) a destage commit. */
  retry(destaged: boolean): void {
    for (const { waiting } of this.#queue) if (destaged || waiting.parkedFor === "page") waiting.parkedFor = "nothing";
    if (this.#queue.length > 0) this.#schedule();
  }

  /** No room will come for now: takes what can be taken, and refuses the rest. Those who ask the map first are left to that. */
  refuseWaiting(): void {
    this.flush();
    const asking = this.#queue.filter(({ waiting }) => waiting.parkedFor === "page");
    for (const io of this.#queue) if (io.waiting.parkedFor !== "page") this.#refuse(io, BLOCK_STATUS.spaceExhausted);
    this.#queue.length = 0;
    this.#queue.push(...asking);
    this.#tellRefused();
  }

  /** The pool comes to rest: what waits, and what comes, is not executed, and is to be asked for again elsewhere, or later. */
  close(): void {
    this.#closed = true;
    this.flush();
  }

  /** Takes as many groups as there is room for. */
  flush(): void {
    while (this.#queue.length > 0) {
      if (this.#pool.health.failed || this.#closed) {
        this.#failAll(this.#pool.health.failed ? this.#pool.health.status : BLOCK_STATUS.reopening);
        return;
      }
      if (!this.#flushGroup()) return;
    }
  }

  #submit(io: BlockIo, zeroes: boolean): void {
    const { waiting } = io;
    waiting.zeroes = zeroes;
    waiting.spaceRetries = 0;
    waiting.parkedFor = "nothing";
    this.#queue.push(io);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#pool.runtime.atTurnEnd(this.#flush);
  }

  /** One journal record. False: nothing could be taken. */
  #flushGroup(): boolean {
    const { journal } = this.#pool;
    const group = this.#group;
    const queue = this.#queue;
    const left = this.#left;
    const sequence = journal.nextSequence;
    let entries = 0;
    let frames = 0;
    let taken = 0;
    for (; taken < queue.length; taken++) {
      const io = queue[taken]!;
      const { waiting } = io;
      if (waiting.parkedFor !== "nothing") {
        left.push(io);
        continue;
      }
      const blocks = waiting.zeroes ? 0 : blockCountOf(io);
      const more = waiting.zeroes ? 1 : blocks;
      if (entries + more > RECORD_ENTRIES_MAX) break;
      if (!journal.fits(entries + more, frames + blocks)) {
        this.#pool.counters[POOL_COUNT.journalFullWaits]! += 1;
        this.#hooks.onPressure();
        break;
      }
      if (!this.#admit(io, blocks)) {
        if (isParked(io)) left.push(io);
        continue;
      }
      entries += more;
      frames += blocks;
      if (waiting.zeroes) this.#addZero(io, sequence);
      else this.#addWrite(io, sequence);
      group.push(io);
    }
    for (; taken < queue.length; taken++) left.push(queue[taken]!);
    queue.length = 0;
    this.#queue = left;
    this.#left = queue;
    const committed = group.length;
    if (committed > 0) this.#commit(sequence);
    return this.#tellRefused() || committed > 0;
  }

  #tellRefused(): boolean {
    if (this.#refused.length === 0) return false;
    for (const { io, status } of this.#refused.splice(0)) {
      this.#giveFrames(io);
      finish(io, status);
    }
    return true;
  }

  #commit(sequence: number): void {
    const { journal } = this.#pool;
    // `done` may submit and flush again, into a group of its own.
    const group = this.#group;
    this.#group = this.#spareGroup;
    this.#spareGroup = [];
    const failed = !this.#writeRecord();
    if (!failed) {
      this.#hooks.onDirty();
      // Blocks that were overwritten while dirty have given frames back.
      if (this.#pool.frames.waiting > 0) this.#pool.frames.serveWaiters();
    }
    for (const io of group) {
      if (failed) finish(io, this.#pool.health.status);
      else if (io.forceUnitAccess || journal.held || this.#hooks.writesThrough(io.volume)) {
        journal.whenSynced(sequence, (durable) => finish(io, durable ? BLOCK_STATUS.good : this.#pool.health.status));
      } else finish(io, BLOCK_STATUS.good);
    }
    group.length = 0;
    this.#spareGroup = group;
  }

  #writeRecord(): boolean {
    const { cache, journal, health } = this.#pool;
    try {
      this.#takeGathered();
      journal.commit();
      return true;
    } catch (error) {
      health.fail(error);
      // If the pool had failed before, with a part of the group published: that would stay dirty for ever.
      cache.clear();
      return false;
    } finally {
      this.#gather.clear();
    }
  }

  /** Whether a request may go on now. If not, it is parked with something that will call `retry`, or refused. */
  #admit(io: BlockIo, blocks: number): boolean {
    const { cache, space, zeros } = this.#pool;
    if (io.abandoned) {
      this.#refuse(io, BLOCK_STATUS.aborted);
      return false;
    }
    if (!this.#pool.volumes.has(io.volume)) {
      this.#refuse(io, BLOCK_STATUS.noVolume);
      return false;
    }
    if (io.waiting.zeroes) {
      if (!zeros.isFull) return true;
      io.waiting.parkedFor = "destage";
      this.#hooks.onPressure();
      return false;
    }
    if (this.#pool.map.lost.count(io.volume) > 0 && !this.#admitOverLost(io)) return false;
    return space.hasRoomFor(blocks, cache.dirtyCount) || this.#admitIntoFullPool(io, blocks);
  }

  /** The pool may be full: only blocks that have no place yet need room, so the map must be asked. */
  #admitIntoFullPool(io: BlockIo, blocks: number): boolean {
    const { cache, map, space, zeros, counters } = this.#pool;
    const { waiting } = io;
    const first = Math.floor(io.offsetBytes / BLOCK_BYTES);
    let newBlocks = 0;
    for (let block = first; block < first + blocks; block++) {
      const place = map.lookup(io.volume, block);
      if (place === PAGE_NOT_LOADED) {
        this.#parkForPage(io, block);
        return false;
      }
      const cached = cache.find(io.volume, block);
      const dirty = cached >= 0 && cache.isDirty(cached);
      if ((!isPlace(place) || zeros.covers(io.volume, block)) && !dirty) newBlocks++;
    }
    if (newBlocks === 0 || space.hasRoomFor(newBlocks, cache.dirtyCount)) return true;
    // Dirty blocks count as new ones until they are destaged; then it is known exactly.
    if ((cache.dirtyCount > 0 || !zeros.isEmpty) && waiting.spaceRetries < SPACE_RETRIES_MAX) {
      waiting.spaceRetries += 1;
      waiting.parkedFor = "destage";
      this.#hooks.onPressure();
      return false;
    }
    counters[POOL_COUNT.spaceExhausted]! += 1;
    this.#hooks.onRefusedForSpace();
    this.#refuse(io, BLOCK_STATUS.spaceExhausted);
    return false;
  }

  /**
   * A write of a part of a block that is lost for good is refused, as a disk does that can't read the rest of its sector:
   * the rest can't be made up, and what would be acknowledged could not be read. A whole block is welcome.
   */
  #admitOverLost(io: BlockIo): boolean {
    const end = io.offsetBytes + io.bytes;
    if (io.offsetBytes % BLOCK_BYTES !== 0 && !this.#admitPartOf(io, Math.floor(io.offsetBytes / BLOCK_BYTES))) return false;
    return end % BLOCK_BYTES === 0 || this.#admitPartOf(io, Math.floor(end / BLOCK_BYTES));
  }

  #admitPartOf(io: BlockIo, block: number): boolean {
    const { cache, frames, map, zeros } = this.#pool;
    const cached = cache.find(io.volume, block);
    if ((cached >= 0 && frames.mask[cached] === MASK_FULL) || zeros.covers(io.volume, block)) return true;
    const place = map.lookup(io.volume, block);
    if (place === PAGE_NOT_LOADED) {
      this.#parkForPage(io, block);
      return false;
    }
    if (place !== LOST_PLACE) return true;
    io.errorOffsetBytes = Math.max(io.offsetBytes, block * BLOCK_BYTES);
    this.#refuse(io, BLOCK_STATUS.mediumError);
    return false;
  }

  #parkForPage(io: BlockIo, block: number): void {
    const { map, health } = this.#pool;
    io.waiting.parkedFor = "page";
    map.loadPage(io.volume, Math.floor(block / PAGE_BLOCKS)).then(
      () => this.retry(false),
      (error: unknown) => {
        health.fail(error);
        this.retry(true);
      },
    );
  }

  #addWrite(io: BlockIo, sequence: number): void {
    const { cache, frames, journal, counters } = this.#pool;
    const { run } = io;
    const first = Math.floor(io.offsetBytes / BLOCK_BYTES);
    const end = io.offsetBytes + io.bytes;
    const gathers = run.frameCount <= GATHERED_BLOCKS_MAX && run.frameCount <= this.#gather.room;
    const entry = this.#entry;
    entry.volume = io.volume;
    entry.nexus = io.nexus;
    entry.initiatorTaskTag = io.initiatorTaskTag;
    entry.request = io.request;
    entry.requesterEpoch = io.requesterEpoch;
    for (let n = 0; n < run.frameCount; n++) {
      const block = first + n;
      const frame = run.frames[n]!;
      const from = Math.max(0, io.offsetBytes - block * BLOCK_BYTES);
      const to = Math.min(BLOCK_BYTES, end - block * BLOCK_BYTES);
      let mask = MASK_FULL;
      if (from > 0 || to < BLOCK_BYTES)
        mask = completeBlock(this.#pool, { volume: io.volume, block, frame, mask: sectorMask(from, to) });
      entry.block = block;
      entry.mask = mask;
      entry.crc = dataChecksum(gathers ? this.#gather.add(frames.addressOf(frame)) : frames.view(frame));
      journal.record.addWrite(entry);
      cache.publishDirty(frame, io.volume, block, mask, entry.crc, sequence);
    }
    counters[POOL_COUNT.writtenBlocks]! += run.frameCount;
    if (!gathers) this.#addPayload(io);
    // The frames belong to the cache now.
    run.frameCount = 0;
  }

  #takeGathered(): void {
    const gathered = this.#gather.take();
    if (gathered !== undefined) this.#pool.journal.record.addPayload(gathered);
  }

  /** Neighbouring frames go out as one buffer. */
  #addPayload(io: BlockIo): void {
    const { frames, journal, global } = this.#pool;
    const { run } = io;
    this.#takeGathered();
    for (let n = 0; n < run.frameCount; ) {
      const start = run.frames[n]!;
      let length = 1;
      while (n + length < run.frameCount && run.frames[n + length] === start + length) length++;
      journal.record.addPayload(length === 1 ? frames.view(start) : global.view(frames.addressOf(start), length * FRAME_BYTES));
      n += length;
    }
  }

  #addZero(io: BlockIo, sequence: number): void {
    const { cache, journal, zeros } = this.#pool;
    const block = io.offsetBytes / BLOCK_BYTES;
    const count = io.bytes / BLOCK_BYTES;
    const { volume, nexus, initiatorTaskTag, request, requesterEpoch } = io;
    journal.record.addZero({ volume, block, count, nexus, initiatorTaskTag, request, requesterEpoch });
    cache.removeRange(io.volume, block, count);
    zeros.add({ volume: io.volume, block, count, sequence });
  }

  #refuse(io: BlockIo, status: BlockStatus): void {
    io.waiting.parkedFor = "nothing";
    this.#refused.push({ io, status });
  }

  #failAll(status: BlockStatus): void {
    for (const io of this.#queue.splice(0)) {
      this.#giveFrames(io);
      finish(io, status);
    }
  }

  #giveFrames(io: BlockIo): void {
    const { frames } = this.#pool;
    for (let n = 0; n < io.run.frameCount; n++) frames.give(io.run.frames[n]!);
    io.run.frameCount = 0;
  }
}

function isParked(io: BlockIo): boolean {
  return io.waiting.parkedFor !== "nothing";
}

function blockCountOf(io: BlockIo): number {
  return Math.floor((io.offsetBytes + io.bytes - 1) / BLOCK_BYTES) - Math.floor(io.offsetBytes / BLOCK_BYTES) + 1;
}

function finish(io: BlockIo, status: BlockStatus): void {
  io.status = status;
  io.done(io);
}

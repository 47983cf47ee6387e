/**
 * Writes dirty blocks to the drives as whole new stripes, and makes the journal before them superfluous.
 *
 *   dirty frames, oldest first ─▶ batch ─▶ journal durable up to their records ─▶ stripes durable on the drives
 *     ─▶ map durable ─▶ frames clean ─▶ journal trimmed          (architecture, invariant 2: order is law)
 *
 * It runs when enough is dirty, when the journal fills, when something has been dirty for long, or on command, at the
 * rate that destage-pace.ts gives. Up to two batches are under way, so that one is put together while the other is written.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A frame is in one batch at most (`destaging`).
 *  2. Zeroed ranges are taken out of the map before any frame that is younger is written.
 *  3. A block is mapped to what a batch wrote only if that was still its newest version when the change was made up.
 */
import { observe } from "../../drivers/shared-memory/counters.ts";
import { FRAME_STATE, MASK_FULL } from "../cache/frame-pool.ts";
import { MapChange } from "../map/map-log.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { LOST_PLACE, NOT_MAPPED } from "../raid/geometry.ts";
import { unreadableChecksum } from "../raid/strip.ts";
import { StripeBatch } from "../raid/stripe-batch.ts";
import type { ZoneAppender } from "../raid/zone-appender.ts";
import { BLOCK_STATUS } from "./block-io.ts";
import { DestagePace } from "./destage-pace.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import type { ReadPath } from "./read-path.ts";

const BATCHES_AT_ONCE = 2;
/** Hosts that have not written for so long are idle: a pause between two bursts is no time for work. */
const IDLE_MILLISECONDS = 8000;
/** A pause of the pace is cut in such pieces: the rate follows what hosts do meanwhile. */
const PAUSE_MILLISECONDS_MAX = 10;
/** Map pages of a zeroed range whose entries one change takes out. */
const ZERO_PAGES_PER_CHANGE = 8;
const REPAIRS_MAX = 256;
/** The rest of a partial block that can't be read is asked for again after so long, each time … */
const REST_RETRY_MILLISECONDS = 2000;
/** … and given up after this, unless a drive is away that may have it; at once where others wait for room. */
const REST_PATIENCE_MILLISECONDS = 12_000;
const REST_JOURNAL_SHARE = 0.5;

export interface DestagerOptions {
  readonly pool: PoolParts;
  readonly reads: ReadPath;
  readonly appender: ZoneAppender;
  readonly stripesPerBatch: number;
  readonly ageSeconds: number;
  /** A batch is on the drives: writes that waited may go on. */
  readonly onProgress: () => void;
}

/** A partial block whose rest could not be read. */
interface UnreadRest {
  readonly volume: number;
  readonly block: number;
  readonly since: number;
  readonly retryAt: number;
}

interface Drain {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Destager {
  readonly #options: DestagerOptions;
  readonly #pool: PoolParts;
  readonly #pace = new DestagePace();
  readonly #spare: StripeBatch[] = [];
  #active = 0;
  #running = false;
  #again = false;
  #draining = false;
  /** What is dirty was given up: the journal is needed as it is. */
  #givenUp = false;
  #pressure = false;
  readonly #drains: Drain[] = [];
  /** When was which sequence the next: for the age of what is dirty. */
  readonly #ages: { at: number; sequence: number }[] = [];
  /** By place. */
  readonly #repairs = new Map<number, { volume: number; block: number; place: number }>();
  /** By volume and block. */
  readonly #unread = new Map<string, UnreadRest>();
  /** By frame that is given up with its rest: the place that was read in vain. */
  readonly #lostAt = new Map<number, number>();
  /** Journal sequence a tick ago, and the last tick before which hosts wrote. */
  #tickSequence = 0;
  #wroteAt = Number.NEGATIVE_INFINITY;
  /** Ends a pause of the pace. */
  #wake: (() => void) | undefined;
  #idle: (() => void) | undefined;

  constructor(options: DestagerOptions) {
    this.#options = options;
    this.#pool = options.pool;
    const capacity = options.stripesPerBatch * options.pool.geometry.blocksPerStripe;
    for (let n = 0; n < BATCHES_AT_ONCE; n++) this.#spare.push(new StripeBatch(capacity));
  }

  /** Looks whether there is something to do. Called after writes, at intervals, and on pressure. */
  poke(): void {
    if (this.#running) {
      this.#again = true;
      return;
    }
    if (this.#pool.health.failed || !this.#wanted()) return;
    this.#running = true;
    this.#again = false;
    this.#run().then(
      () => {
        this.#running = false;
        // Something came in while the last round ended.
        if (this.#again) this.poke();
        this.#settleIdle();
      },
      (error: unknown) => {
        this.#running = false;
        this.#fail(error);
        this.#settleIdle();
      },
    );
  }

  /** Writes wait for room (journal, space, frames): go on until something was given back. */
  press(): void {
    this.#pressure = true;
    this.#wake?.();
    this.poke();
  }

  /** Once a second. */
  tick(): void {
    const { journal, runtime } = this.#pool;
    const now = runtime.nowMilliseconds();
    if (journal.nextSequence !== this.#tickSequence) this.#wroteAt = now;
    this.#tickSequence = journal.nextSequence;
    this.#ages.push({ at: now, sequence: journal.nextSequence });
    while (this.#ages.length > 1 && now - this.#ages[1]!.at >= this.#options.ageSeconds * 1000) this.#ages.shift();
    for (const [key, { volume, block }] of this.#unread) if (!this.#isPartial(volume, block)) this.#unread.delete(key);
    this.poke();
  }

  /** Resolves when everything that is dirty now is on the drives, but for parts of blocks whose rest a drive has that is away. */
  drain(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#pool.health.failed || this.#draining) {
        reject(this.#whyEnded());
        return;
      }
      this.#drains.push({ sequence: this.#pool.journal.nextSequence - 1, resolve, reject });
      this.#settleDrains();
      this.#wake?.();
      this.poke();
    });
  }

  /**
   * A block whose copy on a drive was bad: it gets a new place.
   * @param isLast - memory alone has it. Others are found again, so that there need not be room for all of them.
   */
  repair(volume: number, block: number, place: number, isLast = false): void {
    if (this.#repairs.has(place) || (this.#repairs.size >= REPAIRS_MAX && !isLast)) return;
    this.#repairs.set(place, { volume, block, place });
    this.#wake?.();
    this.poke();
  }

  /** Takes nothing more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#draining = true;
    this.#wake?.();
    while (this.#running || this.#active > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }

  /**
   * What is dirty leaves the cache without being on the drives: the next start finds it in the journal, of which nothing
   * is given back from now on, whatever ends here.
   */
  giveUp(): void {
    this.#draining = true;
    this.#givenUp = true;
    this.#wake?.();
    for (const drain of this.#drains.splice(0)) drain.reject(this.#whyEnded());
  }

  #wanted(): boolean {
    return !this.#draining && (!this.#pool.zeros.isEmpty || this.#wantsBatch());
  }

  #wantsBatch(): boolean {
    return this.#rate() > 0;
  }

  /** Blocks per second that destage is to go at; 0: there is nothing to do. */
  #rate(): number {
    const { cache, frames, journal, runtime } = this.#pool;
    if (cache.dirtyCount === 0) return this.#repairs.size > 0 ? Number.POSITIVE_INFINITY : 0;
    return this.#pace.rate({
      dirtyShare: cache.dirtyCount / frames.writeFramesPossible(cache.dirtyCount),
      journalShare: journal.fullness,
      isOld: this.#isOld(),
      isBusy: runtime.nowMilliseconds() - this.#wroteAt < IDLE_MILLISECONDS,
      isAwaited: this.#pressure || frames.waiting > 0 || this.#drains.length > 0 || this.#repairs.size > 0,
    });
  }

  #isOld(): boolean {
    const oldest = this.#ages[0];
    if (oldest === undefined || this.#pool.runtime.nowMilliseconds() - oldest.at < this.#options.ageSeconds * 1000) return false;
    return this.#pool.cache.oldestSequence < oldest.sequence;
  }

  async #run(): Promise<void> {
    while (this.#wanted() && !this.#pool.health.failed) {
      await this.#applyZeros();
      // Zeros alone write nothing to the drives but the map.
      if (!this.#wantsBatch()) continue;
      if (await this.#pausedForPace()) continue;
      const batch = await this.#takeBatch();
      if (this.#draining) {
        this.#giveBatch(batch);
        return;
      }
      const merged = await this.#pick(batch);
      if (batch.count === 0) {
        this.#giveBatch(batch);
        // Everything dirty is in batches under way, had to be merged first, or waits for a range that was zeroed meanwhile.
        if (merged > 0 || !this.#pool.zeros.isEmpty) continue;
        if (this.#active === 0) {
          this.#settleRests();
          return;
        }
        await this.#nextEnd();
        continue;
      }
      this.#active += 1;
      this.#pool.counters[POOL_COUNT.destageBatchesActive] = this.#active;
      this.#pace.began(this.#pool.runtime.nowMilliseconds(), batch.count);
      void this.#process(batch).then(
        () => this.#ended(batch),
        (error: unknown) => {
          this.#fail(error);
          this.#ended(batch);
        },
      );
    }
  }

  /** Waits for a part of what the pace asks for; false: a batch may begin now. */
  async #pausedForPace(): Promise<boolean> {
    const { runtime } = this.#pool;
    const milliseconds = this.#pace.pause(runtime.nowMilliseconds(), this.#rate());
    if (milliseconds <= 0) return false;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        this.#wake = undefined;
        resolve();
      };
      const cancel = runtime.every(Math.min(milliseconds, PAUSE_MILLISECONDS_MAX), end);
      this.#wake = end;
    });
    return true;
  }

  // — one batch —

  /** Fills the batch with the oldest dirty blocks, neighbours together; returns how many partial ones became whole. */
  async #pick(batch: StripeBatch): Promise<number> {
    const { cache, frames, zeros } = this.#pool;
    await this.#pickRepairs(batch);
    const partial: number[] = [];
    const picked: number[] = [];
    for (
      let frame = cache.oldestDirty;
      frame >= 0 && picked.length < batch.capacity - batch.count;
      frame = cache.nextDirty(frame)
    ) {
      // Invariant 2: a range was zeroed since `#applyZeros`. It goes first, or it would take this frame's place out again.
      if (frames.sequence[frame]! >= zeros.oldestSequence) break;
      if (frames.destaging[frame] === 1) continue;
      if (frames.mask[frame] === MASK_FULL || frames.poisoned[frame] === 1) picked.push(frame);
      else if (partial.length < batch.capacity && this.#mayMerge(frames.volume[frame]!, frames.block[frame]!))
        partial.push(frame);
    }
    picked.sort((a, b) => frames.volume[a]! - frames.volume[b]! || frames.block[a]! - frames.block[b]!);
    for (const frame of picked) {
      frames.destaging[frame] = 1;
      batch.add({
        volume: frames.volume[frame]!,
        block: frames.block[frame]!,
        // A checksum that can't be right makes every later read of the block a medium error, until it is written whole.
        crc: frames.poisoned[frame] === 1 ? unreadableChecksum(frames.crc[frame]!) : frames.crc[frame]!,
        source: frames.addressOf(frame),
        frame,
        from: NOT_MAPPED,
      });
    }
    // Partial blocks are made whole now and taken in the next round.
    const wanted = partial.map((frame) => ({ volume: frames.volume[frame]!, block: frames.block[frame]! }));
    const merged = await Promise.all(wanted.map((want) => this.#merge(want.volume, want.block)));
    return merged.filter(Boolean).length;
  }

  /** Reads the rest of a partial block. If that is lost, the block goes to the drives as unreadable: never wrong bytes. */
  async #merge(volume: number, block: number): Promise<boolean> {
    const { cache, frames, map } = this.#pool;
    const { frame, status } = await this.#options.reads.fetchBlock(volume, block, true);
    if (status === BLOCK_STATUS.good) {
      frames.unpin(frame);
      return true;
    }
    if (status !== BLOCK_STATUS.mediumError || this.#waitsForRest(volume, block)) return false;
    if (!this.#isPartial(volume, block)) return true;
    const place = map.lookup(volume, block);
    if (place === PAGE_NOT_LOADED) return false;
    const cached = cache.find(volume, block);
    frames.poisoned[cached] = 1;
    this.#lostAt.set(cached, place);
    return true;
  }

  #isPartial(volume: number, block: number): boolean {
    const frame = this.#pool.cache.find(volume, block);
    return frame >= 0 && this.#pool.frames.mask[frame] !== MASK_FULL;
  }

  #mayMerge(volume: number, block: number): boolean {
    const unread = this.#unread.get(keyOf(volume, block));
    return unread === undefined || this.#isPressed || this.#pool.runtime.nowMilliseconds() >= unread.retryAt;
  }

  /** What can't be read now may be read once a drive is back, or an error has passed: the journal keeps the part meanwhile. */
  #waitsForRest(volume: number, block: number): boolean {
    const { group, map, runtime } = this.#pool;
    const key = keyOf(volume, block);
    const now = runtime.nowMilliseconds();
    const since = this.#unread.get(key)?.since ?? now;
    const isGone = map.lookup(volume, block) === LOST_PLACE;
    // Who only waits for it to be on the drives does not make it unneeded.
    const hasPatience = this.#drains.length === 0 && now - since < REST_PATIENCE_MILLISECONDS;
    const waits = !isGone && !this.#needsRoom && (group.mayComeBack || hasPatience);
    if (waits) this.#unread.set(key, { volume, block, since, retryAt: now + REST_RETRY_MILLISECONDS });
    else this.#unread.delete(key);
    return waits;
  }

  /** Somebody waits for what is dirty. */
  get #isPressed(): boolean {
    return this.#needsRoom || this.#drains.length > 0;
  }

  /** Writes wait for what dirty blocks have, in memory or in the journal, or soon will. */
  get #needsRoom(): boolean {
    const { frames, journal } = this.#pool;
    return this.#pressure || frames.waiting > 0 || journal.fullness > REST_JOURNAL_SHARE;
  }

  async #pickRepairs(batch: StripeBatch): Promise<void> {
    const { cache, frames, map } = this.#pool;
    // Half of the batch is left to what hosts wrote; the others are in the next one.
    for (const repair of [...this.#repairs.values()]) {
      if (batch.count * 2 >= batch.capacity) break;
      this.#repairs.delete(repair.place);
      const fetched = await this.#options.reads.fetchBlock(repair.volume, repair.block, true);
      if (fetched.status !== BLOCK_STATUS.good) continue;
      frames.unpin(fetched.frame);
      // Where it is now: a read may have moved it since it was found.
      const frame = cache.find(repair.volume, repair.block);
      const isClean = frame >= 0 && frames.state[frame] === FRAME_STATE.clean && frames.destaging[frame] === 0;
      if (isClean && map.lookup(repair.volume, repair.block) === repair.place) {
        // A clean frame in a batch is kept by `destaging` alone.
        frames.destaging[frame] = 1;
        batch.add({ ...repair, crc: frames.crc[frame]!, source: frames.addressOf(frame), frame, from: repair.place });
      }
    }
  }

  async #process(batch: StripeBatch): Promise<void> {
    const { frames, journal, staging, map, counters, global, runtime } = this.#pool;
    const started = global.clock.nowMicroseconds();
    const startedAt = runtime.nowMilliseconds();
    let newest = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.from[n] === NOT_MAPPED) newest = Math.max(newest, frames.sequence[batch.frame[n]!]!);
    }
    if (newest > 0 && newest <= journal.recoveredSequence) newest = journal.recoveredSequence;
    await journal.synced(newest);
    runtime.reached("destage.journalDurable");
    const base = await staging.batches.take();
    try {
      await this.#options.appender.append(batch, base);
    } finally {
      staging.batches.give(base);
    }
    const unpin = await map.pinPages(batch.volume, batch.block, batch.count);
    try {
      await map.exclusive(() => this.#commit(batch));
      runtime.reached("destage.committed");
    } finally {
      unpin();
    }
    counters[POOL_COUNT.destageBatches]! += 1;
    const stripes = Math.ceil(batch.count / this.#pool.geometry.blocksPerStripe);
    counters[POOL_COUNT.paddedBlocks]! += stripes * this.#pool.geometry.blocksPerStripe - batch.count;
    observe(counters, POOL_COUNT.destageBatchTime, global.clock.nowMicroseconds() - started);
    this.#pace.ended(startedAt, runtime.nowMilliseconds(), batch.count);
  }

  async #commit(batch: StripeBatch): Promise<void> {
    const { cache, frames, map, volumes, counters } = this.#pool;
    const change = new MapChange();
    const mapped: number[] = [];
    for (let n = 0; n < batch.count; n++) {
      const volume = batch.volume[n]!;
      const block = batch.block[n]!;
      const old = map.lookup(volume, block);
      if (old === PAGE_NOT_LOADED) throw new Error(`invariant: map page of ${volume}/${block} is not pinned`);
      const current = volumes.has(volume) && cache.find(volume, block) === batch.frame[n];
      const unmoved = batch.from[n] === NOT_MAPPED || batch.from[n] === old;
      if (!current || !unmoved) {
        counters[POOL_COUNT.destagedSupersededBlocks]! += 1;
        continue;
      }
      const frame = batch.frame[n]!;
      const isLost = frames.poisoned[frame] === 1;
      // Moved meanwhile, its rest was read after all: it is merged in the next round.
      if (isLost && this.#lostAt.get(frame) !== old) {
        frames.poisoned[frame] = 0;
        continue;
      }
      // What can't be read is on record as lost, whatever was written of it.
      change.add(volume, block, isLost ? LOST_PLACE : batch.place[n]!, old);
      mapped.push(frame);
    }
    await map.commit(change);
    counters[POOL_COUNT.destagedBlocks]! += mapped.length;
    for (const frame of mapped) {
      // Overwritten while the change was made durable: the newer version is dirty, this one is retired.
      if (!cache.isDirty(frame)) continue;
      if (frames.poisoned[frame] === 1) {
        this.#lostAt.delete(frame);
        cache.remove(frame);
      } else cache.markClean(frame);
    }
  }

  #ended(batch: StripeBatch): void {
    const { frames } = this.#pool;
    for (let n = 0; n < batch.count; n++) frames.endDestage(batch.frame[n]!);
    this.#options.appender.committed(batch);
    this.#giveBatch(batch);
    this.#active -= 1;
    this.#pool.counters[POOL_COUNT.destageBatchesActive] = this.#active;
    this.#pressure = false;
    this.trim();
    this.#settleIdle();
    for (const resolve of this.#endWaiters.splice(0)) resolve();
  }

  /** What waits no more for its place on the drives, because it is there or gone, need not be in the journal. */
  trim(): void {
    const { cache, journal, map, zeros, frames, health } = this.#pool;
    if (health.failed || this.#givenUp) return;
    journal.trim(Math.min(cache.oldestSequence, zeros.oldestSequence, journal.nextSequence), map.logSequence);
    this.#settleDrains();
    frames.serveWaiters();
    this.#options.onProgress();
    this.poke();
  }

  // — zeroed ranges —

  async #applyZeros(): Promise<void> {
    const { journal, zeros, map, counters, runtime } = this.#pool;
    for (let range = zeros.oldest; range !== undefined && !this.#draining; range = zeros.oldest) {
      await journal.synced(range.sequence);
      const rangeEnd = range.block + range.count;
      const pageEnd = Math.ceil(rangeEnd / PAGE_BLOCKS);
      // Also of a volume that is being deleted: should that fail, the volume is as it was.
      for (let page = Math.floor(range.block / PAGE_BLOCKS); ; page += ZERO_PAGES_PER_CHANGE) {
        page = await map.nextUsedPage(range.volume, page, pageEnd);
        if (page >= pageEnd) break;
        const first = Math.max(range.block, page * PAGE_BLOCKS);
        const end = Math.min(rangeEnd, (page + ZERO_PAGES_PER_CHANGE) * PAGE_BLOCKS);
        counters[POOL_COUNT.unmappedBlocks]! += await unmapRange(map, range.volume, first, end);
        runtime.reached("destage.zeroUnmapped");
      }
      // The range may have gone with its volume meanwhile.
      runtime.reached("destage.zeroApplied");
      if (zeros.oldest === range) zeros.removeOldest();
      this.trim();
    }
  }

  // — plumbing —

  readonly #batchWaiters: ((batch: StripeBatch) => void)[] = [];
  readonly #endWaiters: (() => void)[] = [];

  #takeBatch(): Promise<StripeBatch> {
    const batch = this.#spare.pop();
    if (batch !== undefined) return Promise.resolve(batch);
    return new Promise((resolve) => this.#batchWaiters.push(resolve));
  }

  #giveBatch(batch: StripeBatch): void {
    batch.count = 0;
    const waiter = this.#batchWaiters.shift();
    if (waiter !== undefined) waiter(batch);
    else this.#spare.push(batch);
  }

  #nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#endWaiters.push(resolve));
  }

  #settleIdle(): void {
    if (!this.#running && this.#active === 0) this.#idle?.();
  }

  #settleDrains(): void {
    const { cache, zeros } = this.#pool;
    const oldest = Math.min(cache.oldestSequence, zeros.oldestSequence);
    for (let n = this.#drains.length - 1; n >= 0; n--) {
      if (oldest > this.#drains[n]!.sequence) this.#drains.splice(n, 1)[0]!.resolve();
    }
  }

  /** Nothing more can be done: if all that is dirty waits for its rest, nobody waits for that. */
  #settleRests(): void {
    const { cache, group } = this.#pool;
    if (!group.mayComeBack || cache.dirtyCount === 0) return;
    for (let frame = cache.oldestDirty; frame >= 0; frame = cache.nextDirty(frame)) if (!this.#isUnread(frame)) return;
    for (const drain of this.#drains.splice(0)) drain.resolve();
  }

  #isUnread(frame: number): boolean {
    const { volume, block, mask } = this.#pool.frames;
    return mask[frame] !== MASK_FULL && this.#unread.has(keyOf(volume[frame]!, block[frame]!));
  }

  #whyEnded(): Error {
    const { reason } = this.#pool.health;
    return reason === undefined ? new PoolClosedError() : new Error(reason);
  }

  #fail(error: unknown): void {
    // What did not get a zone any more stays in the journal.
    if (!this.#givenUp && !(error instanceof PoolClosedError)) this.#pool.health.fail(error);
    this.#options.onProgress();
  }
}

/** Takes blocks [first, end) out of the map; returns how many were mapped. */
export async function unmapRange(map: PoolParts["map"], volume: number, first: number, end: number): Promise<number> {
  const pages: number[] = [];
  for (let page = Math.floor(first / PAGE_BLOCKS); page * PAGE_BLOCKS < end; page++) {
    await map.loadPage(volume, page);
    if (!map.pages.isKnownEmpty(volume, page)) pages.push(page * PAGE_BLOCKS);
  }
  if (pages.length === 0) return 0;
  const unpin = await map.pinPages(new Uint32Array(pages.length).fill(volume), pages, pages.length);
  try {
    return await map.exclusive(async () => {
      const change = new MapChange();
      for (let block = first; block < end; block++) {
        const old = map.lookup(volume, block);
        if (old > NOT_MAPPED) change.add(volume, block, NOT_MAPPED, old);
      }
      await map.commit(change);
      return change.count;
    });
  } finally {
    unpin();
  }
}

function keyOf(volume: number, block: number): string {
  return `${volume}/${block}`;
}

/**
 * Blocks are moved together while everything else goes on: hosts write, destage batches and readers hold frames, partial blocks
 * are merged, frames are evicted, another pool and another director use the same memory. Whatever is done, each block has the
 * content that was written last, what a reader or a batch holds does not change, and no frame is lost or counted twice.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { BlockCache } from "../../src/cache/block-cache.ts";
import { FRAME_STATE, type FramePool, MASK_FULL } from "../../src/cache/frame-pool.ts";
import { Regroup } from "../../src/cache/regroup.ts";
import type { FrameRun } from "../../src/scsi/task.ts";
import { testFramePool, testFramePools } from "../support/frame-pool.ts";
import { Random } from "../support/random.ts";

const FRAMES = 1024;
/** Of each of the two pools: together about what one director can have. */
const BLOCKS = 350;
const STEPS = 400;
/** Written in part: the second half is that of nobody. */
const MASK_PART = 0x0f;

const seen = { moved: 0, movedDirty: 0, movedUnderReader: 0, besideBatch: 0, cleared: 0, givenBack: 0, evicted: 0 };

interface Held {
  readonly frame: number;
  readonly value: number;
}

/** One pool's cache with what ought to be in it. */
class Side {
  readonly volume: number;
  readonly cache: BlockCache;
  readonly regroup: Regroup;
  /** By block: what was written last. */
  readonly values = new Map<number, { value: number; sequence: number; crc: number; partial: boolean }>();

  constructor(volume: number, frames: FramePool, global: GlobalMemory) {
    this.volume = volume;
    this.cache = new BlockCache(frames);
    this.regroup = new Regroup(frames, this.cache, global);
  }
}

/** `expect` for what is asked a hundred thousand times. */
function same(found: number | undefined, expected: number | undefined, what: string): void {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`);
}

class Bench {
  readonly random: Random;
  readonly global: GlobalMemory;
  readonly frames: FramePool;
  readonly other: FramePool;
  readonly sides: readonly Side[];
  readonly readers: Held[][] = [];
  readonly batches: Held[][] = [];
  readonly otherFrames: number[] = [];
  #next = 1;

  constructor(seed: number) {
    this.random = new Random(seed);
    const { global, pools } = testFramePools({ frameCount: FRAMES, directorCount: 2 });
    this.global = global;
    this.frames = pools[0]!;
    this.other = pools[1]!;
    this.sides = [7, 8].map((volume) => new Side(volume, this.frames, global));
  }

  run(): void {
    this.#scatter();
    for (let n = 0; n < STEPS; n++) {
      this.#step();
      if (n % 8 === 0) this.check();
    }
    this.check();
    for (const held of this.readers.splice(0)) this.#letGo(held);
    for (const batch of this.batches.splice(0)) for (const { frame } of batch) this.frames.endDestage(frame);
    for (const { cache } of this.sides) cache.clear();
    this.frames.checkCounts();
    // The zero frame.
    expect(this.frames.count(FRAME_STATE.retired)).toBe(1);
    expect(this.frames.count(FRAME_STATE.free)).toBe(this.frames.heldFrames - 1);
  }

  /** Random writes, until each block is there and memory is full. */
  #scatter(): void {
    const { random } = this;
    const order = Array.from({ length: BLOCKS }, (_, block) => block);
    for (let n = BLOCKS - 1; n > 0; n--) {
      const other = random.between(0, n);
      [order[n], order[other]] = [order[other]!, order[n]!];
    }
    for (const block of order) for (const side of this.sides) this.#write(side, block, 1);
    this.#calm();
  }

  #step(): void {
    const { random } = this;
    const side = this.sides[random.chance(0.8) ? 0 : 1]!;
    const dice = random.next();
    if (dice < 0.3) this.#writeSome(side);
    else if (dice < 0.55) this.#read(side);
    else if (dice < 0.65 && this.readers.length > 0) this.#letGo(this.readers.splice(this.#any(this.readers), 1)[0]!);
    else if (dice < 0.73) this.#beginBatch(side);
    else if (dice < 0.81 && this.batches.length > 0) this.#endBatch();
    else if (dice < 0.87) this.#merge(side);
    else if (dice < 0.9) this.#zero(side);
    else if (dice < 0.93) seen.evicted += side.cache.reclaim(random.between(1, 60));
    else if (dice < 0.99) this.#share();
    else this.#calm();
  }

  /** Nobody holds anything: whole chunks may go to the other director. */
  #calm(): void {
    while (this.readers.length > 0) this.#letGo(this.readers.pop()!);
    for (const side of this.sides) {
      this.#merge(side);
      this.#beginBatch(side, BLOCKS);
    }
    while (this.batches.length > 0) this.#endBatch();
    for (let n = 0; n < 3; n++) this.#share();
  }

  #any(list: readonly unknown[]): number {
    return this.random.between(0, list.length - 1);
  }

  #writeSome(side: Side): void {
    const count = this.random.chance(0.7) ? 1 : this.random.between(2, 40);
    this.#write(side, this.random.between(0, BLOCKS - count), count);
  }

  #write(side: Side, first: number, count: number): void {
    const { random, frames } = this;
    const out = new Int32Array(count);
    if (!frames.tryTake(count, out, 0)) return;
    const sequence = this.#next++;
    for (let n = 0; n < count; n++) {
      const value = this.#next++;
      const partial = random.chance(0.02);
      this.#fill(out[n]!, value);
      side.cache.publishDirty(out[n]!, side.volume, first + n, partial ? MASK_PART : MASK_FULL, value ^ 0x55, sequence);
      side.values.set(first + n, { value, sequence, crc: value ^ 0x55, partial });
    }
  }

  #read(side: Side): void {
    const { random, frames } = this;
    const count = random.between(16, 64);
    const first = random.between(0, BLOCKS - count);
    const found: number[] = [];
    let frame = -1;
    for (let block = first; block < first + count; block++) {
      frame = side.cache.findAfter(frame, side.volume, block);
      same(frame, side.cache.find(side.volume, block), `block ${block}`);
      if (frame < 0) frame = this.#fetch(side, block);
      if (frame < 0 || frames.mask[frame] !== MASK_FULL) break;
      frames.pin(frame);
      found.push(frame);
    }
    if (found.length < count) {
      for (const one of found) frames.unpin(one);
      return;
    }
    const states = found.map((one) => frames.state[one]!);
    const run: FrameRun = { frames: Int32Array.from(found), frameCount: count, phase: 0, bytes: count * FRAME_BYTES };
    const before = this.#where();
    side.regroup.regroup(run);
    const held: Held[] = [];
    for (let n = 0; n < count; n++) {
      const now = run.frames[n]!;
      same(frames.state[now], states[n], "state");
      if (now !== found[n]) this.#wasMoved(found[n]!, now);
      held.push({ frame: now, value: side.values.get(first + n)!.value });
    }
    this.readers.push(held);
    const moved = this.#where().filter((one, n) => one !== before[n]).length;
    if (moved > run.frames.filter((one, n) => one !== found[n]).length) seen.cleared += 1;
  }

  /** What has left comes back from the drives. */
  #fetch({ cache, volume, values }: Side, block: number): number {
    const { frames } = this;
    const frame = frames.takeInternal(false);
    if (frame < 0) return -1;
    let there = values.get(block);
    if (there === undefined) {
      there = { value: this.#next++, sequence: 0, crc: 0, partial: false };
      values.set(block, there);
    }
    this.#fill(frame, there.value);
    cache.publishClean(frame, volume, block, there.crc);
    there.sequence = frames.sequence[frame]!;
    return frame;
  }

  #where(): number[] {
    return this.sides.flatMap(({ cache, volume }) => Array.from({ length: BLOCKS }, (_, block) => cache.find(volume, block)));
  }

  #wasMoved(old: number, now: number): void {
    const { state } = this.frames;
    seen.moved += 1;
    if (state[now] === FRAME_STATE.dirty) seen.movedDirty += 1;
    if (state[old] === FRAME_STATE.retired) seen.movedUnderReader += 1;
    if (this.batches.length > 0) seen.besideBatch += 1;
  }

  #letGo(held: readonly Held[]): void {
    for (const { frame } of held) this.frames.unpin(frame);
  }

  /** As the destager picks: the oldest whole ones. */
  #beginBatch({ cache, volume, values }: Side, most = this.random.between(1, 40)): void {
    const { frames } = this;
    const batch: Held[] = [];
    for (let frame = cache.oldestDirty; frame >= 0 && batch.length < most; frame = cache.nextDirty(frame)) {
      if (frames.destaging[frame] === 1 || frames.mask[frame] !== MASK_FULL) continue;
      same(frames.volume[frame], volume, "volume");
      const there = values.get(frames.block[frame]!)!;
      same(frames.crc[frame], there.crc, "checksum");
      frames.destaging[frame] = 1;
      batch.push({ frame, value: there.value });
    }
    this.batches.push(batch);
  }

  #endBatch(): void {
    const { frames } = this;
    const batch = this.batches.splice(this.#any(this.batches), 1)[0]!;
    for (const { frame } of batch) {
      const side = this.sides.find(({ volume }) => volume === frames.volume[frame])!;
      if (side.cache.find(side.volume, frames.block[frame]!) === frame && side.cache.isDirty(frame)) side.cache.markClean(frame);
    }
    for (const { frame } of batch) frames.endDestage(frame);
  }

  #merge({ cache, volume, values }: Side): void {
    const { frames } = this;
    for (const [block, there] of values) {
      if (!there.partial) continue;
      const frame = frames.takeInternal(true);
      if (frame < 0) return;
      this.#fill(frame, there.value);
      cache.replaceByMerged(cache.find(volume, block), frame, there.crc);
      there.partial = false;
    }
  }

  #zero({ cache, volume, values }: Side): void {
    const count = this.random.between(1, 20);
    const first = this.random.between(0, BLOCKS - count);
    cache.removeRange(volume, first, count);
    for (let block = first; block < first + count; block++) values.delete(block);
  }

  /** The other director takes memory, or gives it back; both do their housekeeping. */
  #share(): void {
    const { random, other, otherFrames, frames } = this;
    if (random.chance(0.5)) {
      const out = new Int32Array(random.between(1, 200));
      if (other.tryTake(out.length, out, 0)) otherFrames.push(...out);
    } else for (const frame of otherFrames.splice(0)) other.give(frame);
    for (const frame of otherFrames) this.#fill(frame, -frame);
    const before = frames.heldFrames;
    frames.tick();
    other.tick();
    if (frames.heldFrames < before) seen.givenBack += 1;
  }

  #fill(frame: number, value: number): void {
    const { global, frames } = this;
    global.i32.fill(value, frames.addressOf(frame) >> 2, (frames.addressOf(frame) + FRAME_BYTES) >> 2);
  }

  #expectValue(frame: number, value: number, what: string): void {
    const { global, frames } = this;
    const word = frames.addressOf(frame) >> 2;
    same(global.i32[word], value, what);
    same(global.i32[word + FRAME_BYTES / 4 - 1], value, what);
  }

  check(): void {
    const { frames, other } = this;
    frames.checkCounts();
    other.checkCounts();
    let dirty = 0;
    let clean = 0;
    for (const { cache, volume, values } of this.sides) {
      let near = -1;
      let there = 0;
      for (let block = 0; block < BLOCKS; block++) {
        const frame = cache.find(volume, block);
        same(cache.findAfter(near, volume, block), frame, "found after its neighbour");
        near = frame;
        if (frame < 0) continue;
        there += 1;
        const expected = values.get(block)!;
        this.#expectValue(frame, expected.value, `volume ${volume}, block ${block}`);
        same(frames.crc[frame], expected.crc, "checksum");
        same(frames.mask[frame], expected.partial ? MASK_PART : MASK_FULL, "mask");
        same(frames.sequence[frame], expected.sequence, "sequence");
      }
      expect(cache.index.size).toBe(there);
      expect(cache.dirtyCount + cache.cleanCount).toBe(there);
      let last = 0;
      let listed = 0;
      for (let frame = cache.oldestDirty; frame >= 0; frame = cache.nextDirty(frame)) {
        same(frames.state[frame], FRAME_STATE.dirty, "state");
        same(Math.max(last, frames.sequence[frame]!), frames.sequence[frame], "the order of the dirty list");
        last = frames.sequence[frame]!;
        listed += 1;
      }
      expect(cache.dirtyCount).toBe(listed);
      let queued = 0;
      cache.clean.each(() => {
        queued += 1;
      });
      expect(queued).toBe(cache.cleanCount);
      dirty += listed;
      clean += queued;
    }
    expect([frames.count(FRAME_STATE.dirty), frames.count(FRAME_STATE.clean)]).toEqual([dirty, clean]);
    expect(frames.count(FRAME_STATE.reserved)).toBe(0);
    for (const held of [...this.readers, ...this.batches])
      for (const { frame, value } of held) this.#expectValue(frame, value, `frame ${frame} that somebody holds`);
    for (const frame of this.otherFrames) this.#expectValue(frame, -frame, `frame ${frame} of the other director`);
    const pins = this.readers.reduce((sum, held) => sum + held.length, 0);
    expect(frames.pins.reduce((sum, count) => sum + count, 0)).toBe(pins + 1);
  }
}

describe("moving blocks together while others use them", () => {
  test("loses nothing, mixes nothing up and counts right", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => new Bench(seed).run()),
      { numRuns: Number(process.env["VARRAY_TEST_RUNS"] ?? 40), endOnFailure: true },
    );
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });

  test("comes to an end, however reads of different offsets overlap and however full memory is", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { random, frames, cache, regroup } = fullMemory(seed);
        const reads = Array.from({ length: random.between(2, 20) }, () => ({
          first: random.between(0, 120),
          count: random.between(16, 64),
        }));
        let rounds = 0;
        while (reads.map((read) => readAll(frames, cache, regroup, read)).some((moved) => moved > 0)) {
          rounds += 1;
          same(Math.min(rounds, 20), rounds, "rounds in which blocks moved");
        }
        frames.checkCounts();
      }),
      { numRuns: Number(process.env["VARRAY_TEST_RUNS"] ?? 40), endOnFailure: true },
    );
  });
});

/** Short stretches of a volume in no order, with just so much room between them that a group can be cleared. */
function fullMemory(seed: number): { random: Random; frames: FramePool; cache: BlockCache; regroup: Regroup } {
  const random = new Random(seed);
  const { global, pool: frames } = testFramePool(512);
  const cache = new BlockCache(frames);
  const taken: number[] = [];
  for (let frame = frames.takeInternal(true); frame >= 0; frame = frames.takeInternal(true)) taken.push(frame);
  taken.sort((a, b) => a - b);
  const stretches: number[][] = [];
  for (let block = 0; block < taken.length; ) {
    const stretch = Array.from({ length: Math.min(random.between(1, 4), taken.length - block) }, (_, n) => block + n);
    stretches.splice(random.between(0, stretches.length), 0, stretch);
    block += stretch.length;
  }
  for (const [n, block] of stretches.flat().entries()) cache.publishClean(taken[n]!, 7, block, 0);
  while (!frames.hasSpare(20)) {
    const frame = cache.find(7, random.between(200, taken.length - 1));
    if (frame >= 0) cache.remove(frame);
  }
  return { random, frames, cache, regroup: new Regroup(frames, cache, global) };
}

/** Returns how many of the read's blocks have moved. */
function readAll(frames: FramePool, cache: BlockCache, regroup: Regroup, read: { first: number; count: number }): number {
  const found = Int32Array.from({ length: read.count }, (_, n) => cache.find(7, read.first + n));
  for (const frame of found) frames.pin(frame);
  const run: FrameRun = { frames: found.slice(), frameCount: read.count, phase: 0, bytes: read.count * FRAME_BYTES };
  regroup.regroup(run);
  for (const frame of run.frames) frames.unpin(frame);
  return run.frames.filter((frame, n) => frame !== found[n]).length;
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { BlockCache } from "../../../src/cache/block-cache.ts";
import { GROUP_FRAMES } from "../../../src/cache/frame-groups.ts";
import { FRAME_STATE, type FramePool } from "../../../src/cache/frame-pool.ts";
import { Regroup } from "../../../src/cache/regroup.ts";
import type { FrameRun } from "../../../src/scsi/task.ts";
import { testFramePool } from "../../support/frame-pool.ts";

const VOLUME = 3;
const BLOCKS = 64;

/** A pool of 1,024 frames in which the blocks of a volume lie in frames all over it; odd ones are clean. */
function scattered(blocks = BLOCKS) {
  const { global, pool } = testFramePool(1024);
  const cache = new BlockCache(pool);
  const out = new Int32Array(blocks * 4);
  if (!pool.tryTake(out.length, out, 0)) throw new Error("the test has no frames left");
  for (let block = 0; block < blocks; block++) {
    const frame = out[((block * 37) % blocks) * 4]!;
    global.i32.fill(block + 1, pool.addressOf(frame) >> 2, (pool.addressOf(frame) + FRAME_BYTES) >> 2);
    cache.publishDirty(frame, VOLUME, block, 0xff, block, block + 1);
    if (block % 2 === 1) cache.markClean(frame);
  }
  for (const frame of out) if (pool.state[frame] === FRAME_STATE.reserved) pool.give(frame);
  return { global, pool, cache, regroup: new Regroup(pool, cache, global) };
}

const OTHER = 4;

/** Blocks of another volume, in no order, wherever there was room for a host's data. */
function fill(pool: FramePool, cache: BlockCache): void {
  const taken: number[] = [];
  const kept = found(pool, cache, 0, BLOCKS); // what is pinned does not leave
  for (let frame = pool.takeInternal(true); frame >= 0; frame = pool.takeInternal(true)) taken.push(frame);
  release(pool, kept);
  for (const [n, frame] of taken.entries()) {
    const block = (n * 61) % taken.length;
    pool.view(frame).fill(0);
    new Int32Array(pool.view(frame).buffer, pool.view(frame).byteOffset, 1)[0] = -1 - block;
    cache.publishDirty(frame, OTHER, block, 0xff, 0, 500 + n);
    cache.markClean(frame);
  }
  // There is room again, here and there: no group is free.
  for (let n = 0; !pool.hasSpare(40); n += 5) cache.remove(taken[n]!);
}

/** What a read of these blocks has found and pinned. */
function found(pool: FramePool, cache: BlockCache, first: number, count: number): FrameRun {
  const frames = Int32Array.from({ length: count }, (_, n) => cache.find(VOLUME, first + n));
  for (const frame of frames) pool.pin(frame);
  return { frames, frameCount: count, phase: 0, bytes: count * FRAME_BYTES };
}

function release(pool: FramePool, run: FrameRun): void {
  for (let n = 0; n < run.frameCount; n++) pool.unpin(run.frames[n]!);
}

function stretches(run: FrameRun): number {
  let count = 1;
  for (let n = 1; n < run.frameCount; n++) if (run.frames[n] !== run.frames[n - 1]! + 1) count += 1;
  return count;
}

describe("regrouping the blocks of a large read", () => {
  test("puts them side by side, with their content, state and order, and gives back as many frames", () => {
    const { global, pool, cache, regroup } = scattered();
    const free = pool.count(FRAME_STATE.free);
    const run = found(pool, cache, 0, BLOCKS);
    regroup.regroup(run);
    expect(stretches(run)).toBeLessThanOrEqual(4);
    for (let block = 0; block < BLOCKS; block++) {
      const frame = cache.find(VOLUME, block);
      expect(frame).toBe(run.frames[block]);
      expect(global.i32[pool.addressOf(frame) >> 2]).toBe(block + 1);
      expect(global.i32[((pool.addressOf(frame) + FRAME_BYTES) >> 2) - 1]).toBe(block + 1);
      expect(pool.state[frame]).toBe(block % 2 === 1 ? FRAME_STATE.clean : FRAME_STATE.dirty);
      expect(pool.crc[frame]).toBe(block);
      expect(pool.pins[frame]).toBe(1);
    }
    const sequences: number[] = [];
    for (let at = cache.oldestDirty; at >= 0; at = cache.nextDirty(at)) sequences.push(pool.sequence[at]!);
    expect(sequences).toEqual(Array.from({ length: BLOCKS / 2 }, (_, n) => 2 * n + 1));
    release(pool, run);
    expect(pool.count(FRAME_STATE.free)).toBe(free);
    pool.checkCounts();
    expect(cache.reclaim(BLOCKS)).toBe(BLOCKS / 2);
  });

  test("a reader of the old frames keeps them, unchanged, until it lets go", () => {
    const { global, pool, cache, regroup } = scattered();
    const other = found(pool, cache, 0, BLOCKS);
    const run = found(pool, cache, 0, BLOCKS);
    regroup.regroup(run);
    for (let n = 0; n < BLOCKS; n++) {
      expect(pool.state[other.frames[n]!]).toBe(FRAME_STATE.retired);
      expect(global.i32[pool.addressOf(other.frames[n]!) >> 2]).toBe(n + 1);
    }
    release(pool, other);
    expect(pool.count(FRAME_STATE.retired)).toBe(1); // the zero frame
    release(pool, run);
    pool.checkCounts();
  });

  test.each(["destaging", "poisoned"] as const)("leaves the sixteen blocks where they are of which one is %s", (mark) => {
    const { pool, cache, regroup } = scattered();
    const run = found(pool, cache, 0, BLOCKS);
    const before = [...run.frames];
    pool[mark][run.frames[40]!] = 1;
    regroup.regroup(run);
    expect([...run.frames.subarray(32, 48)]).toEqual(before.slice(32, 48));
    expect(run.frames[31]).toBe(run.frames[16]! + 15);
    expect(run.frames[63]).toBe(run.frames[48]! + 15);
  });

  test("where no group is free it clears one, and what lay there stays what it was", () => {
    const { global, pool, cache, regroup } = scattered();
    fill(pool, cache);
    expect(pool.count(FRAME_STATE.free)).toBeGreaterThan(16);
    for (let round = 0; round < 3; round++) {
      const run = found(pool, cache, 0, BLOCKS);
      regroup.regroup(run);
      release(pool, run);
    }
    const run = found(pool, cache, 0, BLOCKS);
    expect(stretches(run)).toBeLessThanOrEqual(8);
    release(pool, run);
    for (let block = 0; block < BLOCKS; block++)
      expect(global.i32[pool.addressOf(cache.find(VOLUME, block)) >> 2], `block ${block}`).toBe(block + 1);
    for (let block = 0; block < 1024; block++)
      if (cache.find(OTHER, block) >= 0)
        expect(global.i32[pool.addressOf(cache.find(OTHER, block)) >> 2], `other ${block}`).toBe(-1 - block);
    pool.checkCounts();
  });

  test.each(["pinned", "destaging", "partial", "poisoned", "another pool's"] as const)(
    "a group with a frame that is %s is not cleared",
    (what) => {
      const { pool, cache, regroup } = scattered();
      fill(pool, cache);
      const run = found(pool, cache, 0, BLOCKS);
      const before = [...run.frames];
      const other = new BlockCache(pool);
      for (let frame = 0; frame < 1024; frame++) {
        if (pool.volume[frame] !== OTHER || pool.state[frame] !== FRAME_STATE.clean) continue;
        if (what === "pinned") pool.pin(frame);
        else if (what === "destaging") pool.destaging[frame] = 1;
        else if (what === "partial") pool.mask[frame] = 0x0f;
        else if (what === "poisoned") pool.poisoned[frame] = 1;
        else {
          const { block } = pool;
          cache.remove(frame);
          pool.tryTakeThis(frame);
          other.publishClean(frame, OTHER, block[frame]!, 0);
        }
      }
      regroup.regroup(run);
      expect([...run.frames]).toEqual(before);
    },
  );

  /** Blocks 0 to 15 lie together, memory is full, no group is free; then these blocks are written anew, elsewhere. */
  function rewritten(blocks: readonly number[]) {
    const made = scattered();
    const { pool, cache, regroup } = made;
    const run = found(pool, cache, 0, GROUP_FRAMES);
    regroup.regroup(run);
    expect(stretches(run)).toBe(1);
    release(pool, run);
    fill(pool, cache);
    const frames = blocks.map(() => pool.takeInternal(false));
    for (const [n, block] of blocks.entries()) cache.publishDirty(frames[n]!, VOLUME, block, 0xff, block, 2000);
    return made;
  }

  test("a group in which most blocks are still in order is not cleared", () => {
    const { pool, cache, regroup } = rewritten([1, 3, 5]);
    const run = found(pool, cache, 0, GROUP_FRAMES);
    const before = [...run.frames];
    expect(stretches(run)).toBeGreaterThan(4);
    regroup.regroup(run);
    expect([...run.frames]).toEqual(before);
  });

  test("one of which too little is left is, whatever its free frames held before", () => {
    const { pool, cache, regroup } = rewritten([1, 4, 7, 10, 13]);
    const run = found(pool, cache, 0, GROUP_FRAMES);
    regroup.regroup(run);
    expect(stretches(run)).toBe(1);
    release(pool, run);
    pool.checkCounts();
  });

  test("a read moves four groups and no more: the next one goes on", () => {
    const { pool, cache, regroup } = scattered(2 * BLOCKS);
    const run = found(pool, cache, 0, 2 * BLOCKS);
    const before = [...run.frames];
    regroup.regroup(run);
    expect(run.frames.filter((frame, n) => frame !== before[n]).length).toBe(4 * GROUP_FRAMES);
    regroup.regroup(run);
    expect(stretches(run)).toBeLessThanOrEqual(8);
    release(pool, run);
    pool.checkCounts();
  });

  test("moves nothing, and claims no memory, while host writes wait", () => {
    const { pool, cache, regroup } = scattered();
    pool.whenAvailable(1, () => undefined);
    const held = pool.heldFrames;
    const run = found(pool, cache, 0, BLOCKS);
    const before = [...run.frames];
    regroup.regroup(run);
    expect([...run.frames]).toEqual(before);
    expect(pool.heldFrames).toBe(held);
  });

  test("memory that nobody uses is claimed for it", () => {
    const { pool, cache, regroup } = scattered();
    while (pool.count(FRAME_STATE.free) > 0) pool.takeInternal(true);
    const held = pool.heldFrames;
    const run = found(pool, cache, 0, GROUP_FRAMES);
    regroup.regroup(run);
    expect(stretches(run)).toBe(1);
    expect(pool.heldFrames).toBeGreaterThan(held);
    pool.checkCounts();
  });

  test("takes nothing that host writes may need: with memory full it does nothing", () => {
    const { pool, cache, regroup } = scattered();
    while (pool.takeInternal(true) >= 0);
    const run = found(pool, cache, 0, BLOCKS);
    const before = [...run.frames];
    regroup.regroup(run);
    expect([...run.frames]).toEqual(before);
  });

  test("does not move what another read has moved together, also when a block of it was rewritten", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: BLOCKS - 16 }),
        fc.integer({ min: 16, max: BLOCKS }),
        fc.option(fc.nat({ max: BLOCKS - 1 })),
        (first, count, rewritten) => {
          const { pool, cache, regroup } = scattered();
          const whole = found(pool, cache, 0, BLOCKS);
          regroup.regroup(whole);
          release(pool, whole);
          if (rewritten !== null) cache.publishDirty(pool.takeInternal(false), VOLUME, rewritten, 0xff, rewritten, 1000);
          const run = found(pool, cache, first, Math.min(count, BLOCKS - first));
          const before = [...run.frames];
          regroup.regroup(run);
          expect([...run.frames]).toEqual(before);
          release(pool, run);
        },
      ),
      { numRuns: 50 },
    );
  });
});

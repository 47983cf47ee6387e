import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameChunks } from "../../../drivers/shared-memory/frame-chunks.ts";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { BlockCache } from "../../../src/cache/block-cache.ts";
import { FRAME_STATE, FramePool } from "../../../src/cache/frame-pool.ts";
import { Regroup } from "../../../src/cache/regroup.ts";
import type { FrameRun } from "../../../src/scsi/task.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const VOLUME = 3;
const BLOCKS = 64;

/** A pool of 1,024 frames in which the blocks of a volume lie in frames all over it; odd ones are clean. */
function scattered() {
  const { global } = testGlobalMemory({ frameCount: 1024 });
  const pool = new FramePool({
    global,
    chunks: new FrameChunks(global),
    directorIndex: 0,
    directorCount: 1,
    dirtyPercentMax: 90,
  });
  const cache = new BlockCache(pool);
  const out = new Int32Array(BLOCKS * 4);
  if (!pool.tryTake(out.length, out, 0)) throw new Error("the test has no frames left");
  for (let block = 0; block < BLOCKS; block++) {
    const frame = out[((block * 37) % BLOCKS) * 4]!;
    global.i32.fill(block + 1, pool.addressOf(frame) >> 2, (pool.addressOf(frame) + FRAME_BYTES) >> 2);
    cache.publishDirty(frame, VOLUME, block, 0xff, block, block + 1);
    if (block % 2 === 1) cache.markClean(frame);
  }
  for (const frame of out) if (pool.state[frame] === FRAME_STATE.reserved) pool.give(frame);
  return { global, pool, cache, regroup: new Regroup(pool, cache, global) };
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
    expect(regroup.regroup(run)).toBe(true);
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
    expect(regroup.regroup(run)).toBe(true);
    for (let n = 0; n < BLOCKS; n++) {
      expect(pool.state[other.frames[n]!]).toBe(FRAME_STATE.retired);
      expect(global.i32[pool.addressOf(other.frames[n]!) >> 2]).toBe(n + 1);
    }
    release(pool, other);
    expect(pool.count(FRAME_STATE.retired)).toBe(1); // the zero frame
    release(pool, run);
    pool.checkCounts();
  });

  test.each(["destaging", "poisoned"] as const)("leaves all where they are when one is %s", (mark) => {
    const { pool, cache, regroup } = scattered();
    const run = found(pool, cache, 0, BLOCKS);
    const before = [...run.frames];
    pool[mark][run.frames[40]!] = 1;
    expect(regroup.regroup(run)).toBe(false);
    expect([...run.frames]).toEqual(before);
  });

  test("takes nothing that host writes may need: with memory nearly full it does nothing", () => {
    const { pool, cache, regroup } = scattered();
    const out = new Int32Array(1024);
    while (pool.tryTake(1, out, 0));
    const run = found(pool, cache, 0, BLOCKS);
    expect(regroup.regroup(run)).toBe(false);
    expect(stretches(run)).toBeGreaterThan(4);
  });

  test("does not move what another read has moved together", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: BLOCKS - 16 }), fc.integer({ min: 16, max: BLOCKS }), (first, count) => {
        const { pool, cache, regroup } = scattered();
        const whole = found(pool, cache, 0, BLOCKS);
        regroup.regroup(whole);
        release(pool, whole);
        const run = found(pool, cache, first, Math.min(count, BLOCKS - first));
        expect(regroup.regroup(run)).toBe(false);
        release(pool, run);
      }),
      { numRuns: 30 },
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockCache } from "../../../src/cache/block-cache.ts";
import { QUEUE } from "../../../src/cache/clean-queues.ts";
import { FRAME_STATE, type FramePool } from "../../../src/cache/frame-pool.ts";
import { testFramePool } from "../../support/frame-pool.ts";

function setUp(): { pool: FramePool; cache: BlockCache } {
  const { pool } = testFramePool(512);
  return { pool, cache: new BlockCache(pool) };
}

function frame(pool: FramePool): number {
  const out = new Int32Array(1);
  if (!pool.tryTake(1, out, 0)) throw new Error("the test has no frames left");
  return out[0]!;
}

function dirtyList(pool: FramePool, cache: BlockCache): [block: number, sequence: number][] {
  const list: [number, number][] = [];
  for (let at = cache.oldestDirty; at >= 0; at = cache.nextDirty(at)) list.push([pool.block[at]!, pool.sequence[at]!]);
  return list;
}

describe("BlockCache: dirty list and index (invariants 2 and 3)", () => {
  test("name the newest version of each block, in the order of the journal, whatever is done", () => {
    type Act = {
      kind: "write" | "clean" | "remove" | "removeRange" | "merge" | "move" | "reclaim";
      block: number;
      count: number;
    };
    const act: fc.Arbitrary<Act> = fc.record({
      kind: fc.constantFrom<Act["kind"]>("write", "write", "write", "clean", "remove", "removeRange", "merge", "move", "reclaim"),
      block: fc.nat({ max: 30 }),
      count: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(500)),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 150, size: "max" }), (acts) => {
        const { pool, cache } = setUp();
        const dirty = new Map<number, { frame: number; sequence: number; partial: boolean }>();
        const clean = new Map<number, number>();
        let sequence = 1;
        for (const { kind, block, count } of acts) {
          const there = dirty.get(block);
          if (kind === "write") {
            const partial = count % 2 === 1;
            const made = frame(pool);
            cache.publishDirty(made, 1, block, partial ? 0x0f : 0xff, 0, sequence);
            clean.delete(block);
            dirty.delete(block);
            dirty.set(block, { frame: made, sequence, partial });
            sequence += count % 3 === 0 ? 0 : 1; // a record holds several blocks
          } else if (kind === "clean" && there !== undefined && !there.partial) {
            cache.markClean(there.frame);
            dirty.delete(block);
            clean.set(block, there.frame);
          } else if (kind === "merge" && there?.partial === true) {
            const merged = frame(pool);
            cache.replaceByMerged(there.frame, merged, 0);
            there.frame = merged;
            there.partial = false;
          } else if (kind === "move" && there?.partial !== true && cache.find(1, block) >= 0) {
            const made = frame(pool);
            cache.move(cache.find(1, block), made);
            if (there !== undefined) there.frame = made;
            else clean.set(block, made);
          } else if (kind === "remove") {
            const found = cache.find(1, block);
            if (found >= 0) cache.remove(found);
            dirty.delete(block);
            clean.delete(block);
          } else if (kind === "removeRange") {
            cache.removeRange(1, block, count);
            for (let n = block; n < block + count; n++) {
              dirty.delete(n);
              clean.delete(n);
            }
          } else if (kind === "reclaim") {
            cache.reclaim(count);
            for (const [at, held] of clean) if (pool.state[held] === FRAME_STATE.free) clean.delete(at);
          }
          // Found the same from wherever the search comes.
          const astray: string[] = [];
          for (let n = 0; n <= 31; n++) {
            const there = cache.find(1, n);
            for (let near = -1; near < 40; near++) if (cache.findAfter(near, 1, n) !== there) astray.push(`${n} after ${near}`);
          }
          expect(astray).toEqual([]);
          for (let n = 0; n <= 40; n++) expect(cache.find(1, n)).toBe(dirty.get(n)?.frame ?? clean.get(n) ?? -1);
          const list = dirtyList(pool, cache);
          expect(list).toEqual([...list].sort((a, b) => a[1] - b[1]));
          expect(new Map(list)).toEqual(new Map([...dirty].map(([at, { sequence: of }]) => [at, of])));
          expect(cache.dirtyCount).toBe(dirty.size);
          expect(cache.cleanCount).toBe(clean.size);
          expect(cache.oldestSequence).toBe(list[0]?.[1] ?? Number.POSITIVE_INFINITY);
          pool.checkCounts();
        }
      }),
      { numRuns: 100 },
    );
  });

  test("a range is removed either way, and nothing beside it, in no other volume", () => {
    for (const others of [0, 100]) {
      for (const count of [3, 4, 90]) {
        const { pool, cache } = setUp();
        for (let n = 0; n < others; n++) cache.publishDirty(frame(pool), 2, n, 0xff, 0, 1);
        for (let n = 0; n < 10; n++) {
          const made = frame(pool);
          cache.publishDirty(made, 1, n, 0xff, 0, 1);
          if (n % 2 === 0) cache.markClean(made);
        }
        cache.removeRange(1, 2, count);
        for (let n = 0; n < 10; n++) expect(cache.find(1, n) >= 0, `block ${n}`).toBe(n < 2 || n >= 2 + count);
        for (let n = 0; n < others; n++) expect(cache.find(2, n)).toBeGreaterThanOrEqual(0);
        pool.checkCounts();
      }
    }
  });
});

describe("BlockCache: a block that moves", () => {
  test("stays as much worth keeping as it was, dirty or clean", () => {
    const { pool, cache } = setUp();
    const publish = (block: number): number => {
      const made = frame(pool);
      cache.publishDirty(made, 1, block, 0xff, 0, block);
      return made;
    };
    const move = (old: number): number => {
      const made = frame(pool);
      pool.queue[made] = QUEUE.ahead; // what it was in when it held something else
      cache.move(old, made);
      return made;
    };
    // Used while it was clean, it is in main, and so is what is written over it.
    const used = publish(1);
    cache.markClean(used);
    pool.referenced[used] = 1;
    expect(cache.clean.look(false)).toBe(-1);
    expect(cache.clean.countIn(QUEUE.main)).toBe(1);
    const dirty = publish(1);
    pool.referenced[dirty] = 1;
    const moved = move(dirty);
    expect(pool.referenced[moved]).toBe(1);
    cache.markClean(moved);
    expect(cache.clean.countIn(QUEUE.main)).toBe(1);

    const once = publish(2);
    cache.markClean(once);
    pool.referenced[once] = 1;
    expect(pool.referenced[move(once)]).toBe(1);
    expect([cache.clean.countIn(QUEUE.main), cache.clean.countIn(QUEUE.probation)]).toEqual([1, 1]);
    pool.checkCounts();
  });

  test("of a pool is not found where another pool of the director looks for the same number", () => {
    const { pool, cache } = setUp();
    const other = new BlockCache(pool);
    const out = new Int32Array(2);
    expect(pool.tryTake(2, out, 0)).toBe(true);
    expect(out[1]).toBe(out[0]! + 1);
    cache.publishDirty(out[0]!, 1, 10, 0xff, 0, 1);
    other.publishDirty(out[1]!, 2, 11, 0xff, 0, 1);
    expect(cache.findAfter(out[0]!, 1, 11)).toBe(-1);
    expect(other.findAfter(out[0]!, 2, 11)).toBe(out[1]);
  });
});

describe("BlockCache: reclaim (invariant 1)", () => {
  test("gives a second chance to what was read, never takes what is dirty or pinned, and comes to an end", () => {
    const { pool, cache } = setUp();
    const frames = Array.from({ length: 6 }, (_, n) => {
      const made = frame(pool);
      cache.publishDirty(made, 1, n, 0xff, 0, n);
      if (n < 5) cache.markClean(made);
      return made;
    });
    pool.referenced[frames[0]!] = 1;
    pool.pin(frames[1]!);
    expect(cache.reclaim(2)).toBe(2);
    expect([0, 1, 2, 3, 4, 5].map((n) => cache.find(1, n) >= 0)).toEqual([true, true, false, false, true, true]);
    expect(cache.reclaim(100)).toBe(2);
    expect([0, 1, 4, 5].map((n) => cache.find(1, n) >= 0)).toEqual([false, true, false, true]);
    expect(cache.reclaim(1)).toBe(0);
    pool.checkCounts();
  });
});

describe("BlockCache: clear", () => {
  test("gives every frame back, dirty and clean ones, but for what is pinned or on its way to the drives", () => {
    const { pool, cache } = setUp();
    const frames = [1, 2, 3, 4].map((block) => {
      const one = frame(pool);
      cache.publishDirty(one, 1, block, 0xff, 0, block);
      return one;
    });
    cache.markClean(frames[0]!);
    pool.pin(frames[1]!);
    pool.destaging[frames[2]!] = 1;
    cache.clear();
    expect([cache.dirtyCount, cache.cleanCount, cache.index.size]).toEqual([0, 0, 0]);
    expect(frames.map((one) => pool.state[one])).toEqual([
      FRAME_STATE.free,
      FRAME_STATE.retired,
      FRAME_STATE.retired,
      FRAME_STATE.free,
    ]);
    pool.unpin(frames[1]!);
    pool.endDestage(frames[2]!);
    expect(pool.count(FRAME_STATE.dirty) + pool.count(FRAME_STATE.clean)).toBe(0);
    pool.checkCounts();
  });
});

describe("BlockCache: a long scan", () => {
  test("leaves what is read again and again in memory, and what is dirty, and gives back what was read ahead for nothing", () => {
    const { pool, cache } = setUp();
    const read = (block: number, publish: "publishClean" | "publishAhead" = "publishClean"): boolean => {
      const there = cache.find(1, block);
      if (there >= 0) {
        pool.referenced[there] = 1;
        return true;
      }
      cache[publish](pool.takeInternal(true), 1, block, 0);
      return false;
    };
    for (let n = 0; n < 40; n++) cache.publishDirty(frame(pool), 1, 5000 + n, 0xff, 0, n);
    for (let round = 0; round < 3; round++) for (let block = 0; block < 300; block++) read(block);
    for (let block = 10_000; block < 20_000; block++) {
      read(block);
      if (block % 2 === 0) read(block + 100_000, "publishAhead");
      if (block % 40 === 0) for (let hot = 0; hot < 300; hot++) expect(read(hot), `block ${hot}`).toBe(true);
    }
    for (let n = 0; n < 40; n++) expect(cache.isDirty(cache.find(1, 5000 + n))).toBe(true);
    expect(cache.clean.aheadUnused).toBeGreaterThan(4000);
    expect(cache.clean.evicted).toBeGreaterThan(14_000);
    pool.checkCounts();
  });

  test("one reclaim looks at a bounded number of frames: where all were used, some leave all the same", () => {
    const { pool, cache } = setUp();
    for (let block = 0; block < 400; block++) cache.publishClean(pool.takeInternal(true), 1, block, 0);
    pool.referenced.fill(1);
    expect(cache.reclaim(10)).toBe(10);
    expect(cache.reclaim(1000)).toBe(390);
    expect([cache.cleanCount, cache.index.size]).toEqual([0, 0]);
    pool.checkCounts();
  });
});

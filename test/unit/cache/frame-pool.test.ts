import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockCache } from "../../../src/cache/block-cache.ts";
import { GROUP_FRAMES } from "../../../src/cache/frame-groups.ts";
import { CHUNK_FRAMES, FRAME_STATE, type FramePool } from "../../../src/cache/frame-pool.ts";
import { testFramePools } from "../../support/frame-pool.ts";

function pools(frameCount: number, directorCount = 1, dirtyPercentMax = 70): readonly FramePool[] {
  return testFramePools({ frameCount, directorCount, dirtyPercentMax }).pools;
}

function take(pool: FramePool, count: number): number[] | undefined {
  const out = new Int32Array(count);
  return pool.tryTake(count, out, 0) ? [...out] : undefined;
}

/** Fills the pool to its limit with single frames. */
function takeAll(pool: FramePool): number[] {
  const taken: number[] = [];
  for (let frames = take(pool, 1); frames !== undefined; frames = take(pool, 1)) taken.push(...frames);
  return taken;
}

describe("FramePool: states (invariants 1 and 2)", () => {
  test("sum up to the frames that are held, and no frame is handed out twice, whatever is done", () => {
    type Act = { kind: "take" | "give" | "dirty" | "clean" | "retire" | "pin" | "unpin" | "internal" | "reclaim"; n: number };
    const act: fc.Arbitrary<Act> = fc.record({
      kind: fc.constantFrom<Act["kind"]>(
        "take",
        "take",
        "give",
        "dirty",
        "dirty",
        "clean",
        "retire",
        "pin",
        "unpin",
        "internal",
        "reclaim",
      ),
      n: fc.nat({ max: 1000 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120, size: "max" }), (acts) => {
        const pool = pools(512)[0]!;
        const cache = new BlockCache(pool);
        const reserved: number[] = [];
        const pinned: number[] = [];
        const cached = new Set<number>();
        let block = 0;
        const pick = (list: number[], n: number): number | undefined => list.splice(n % Math.max(1, list.length), 1)[0];
        for (const { kind, n } of acts) {
          if (kind === "take") {
            const taken = take(pool, 1 + (n % 60)) ?? [];
            for (const frame of taken) {
              expect(pool.state[frame]).toBe(FRAME_STATE.reserved);
              expect(reserved).not.toContain(frame);
              expect(pinned).not.toContain(frame);
              cached.delete(frame);
            }
            reserved.push(...taken);
          } else if (kind === "internal") {
            const frame = pool.takeInternal(n % 2 === 0);
            if (frame >= 0) {
              cached.delete(frame);
              reserved.push(frame);
            }
          } else if (kind === "give") {
            const frame = pick(reserved, n);
            if (frame !== undefined) pool.give(frame);
          } else if (kind === "dirty") {
            const frame = pick(reserved, n);
            if (frame === undefined) continue;
            cache.publishDirty(frame, 1, n % 40, 0xff, 0, block++);
            cached.add(frame);
          } else if (kind === "clean") {
            if (cache.oldestDirty >= 0) cache.markClean(cache.oldestDirty);
          } else if (kind === "retire") {
            const frame = cache.find(1, n % 40);
            if (frame >= 0) cache.remove(frame);
          } else if (kind === "pin") {
            const frame = cache.find(1, n % 40);
            if (frame < 0) continue;
            pool.pin(frame);
            pinned.push(frame);
          } else if (kind === "unpin") {
            const frame = pick(pinned, n);
            if (frame !== undefined) pool.unpin(frame);
          } else cache.reclaim(n % 30);
          pool.checkCounts();
          // What a reader holds is never free, and never somebody else's.
          for (const frame of pinned)
            expect([FRAME_STATE.dirty, FRAME_STATE.clean, FRAME_STATE.retired]).toContain(pool.state[frame]);
          expect(pool.count(FRAME_STATE.reserved)).toBe(reserved.length);
          expect(pool.count(FRAME_STATE.dirty)).toBe(cache.dirtyCount);
          expect(pool.count(FRAME_STATE.clean)).toBe(cache.cleanCount);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("a frame that is given back twice, or unpinned once too often, is our own mistake", () => {
    const pool = pools(512)[0]!;
    const [frame] = take(pool, 1)!;
    pool.give(frame!);
    expect(() => pool.give(frame!)).toThrow(/invariant/);
    expect(() => pool.unpin(frame!)).toThrow(/invariant/);
  });

  test("a batch keeps a frame as a reader does, until it lets go", () => {
    const pool = pools(512)[0]!;
    const cache = new BlockCache(pool);
    const [frame] = take(pool, 1)!;
    cache.publishDirty(frame!, 1, 1, 0xff, 0, 1);
    pool.destaging[frame!] = 1;
    pool.pin(frame!);
    cache.remove(frame!);
    expect(pool.state[frame!]).toBe(FRAME_STATE.retired);
    pool.endDestage(frame!);
    expect(pool.state[frame!]).toBe(FRAME_STATE.retired);
    pool.unpin(frame!);
    expect(pool.state[frame!]).toBe(FRAME_STATE.free);

    const [other] = take(pool, 1)!;
    cache.publishDirty(other!, 1, 2, 0xff, 0, 2);
    pool.destaging[other!] = 1;
    cache.remove(other!);
    expect(pool.state[other!]).toBe(FRAME_STATE.retired);
    pool.endDestage(other!);
    expect(pool.state[other!]).toBe(FRAME_STATE.free);
  });
});

describe("FramePool: limits (invariant 4)", () => {
  test("host writes stop at their share, and the array's own work has frames left", () => {
    const pool = pools(1024)[0]!;
    const taken = takeAll(pool);
    expect(taken.length).toBe(pool.writeFramesMax);
    expect(new Set(taken).size).toBe(taken.length);
    expect(take(pool, 1)).toBeUndefined();
    let own = 0;
    while (pool.takeInternal(false) >= 0) own += 1;
    expect(own).toBeGreaterThan(0);
    // Destage may go on when reads have taken what they may.
    expect(pool.takeInternal(true)).toBeGreaterThanOrEqual(0);
    pool.checkCounts();
  });

  test("all or none, and neighbours where it can", () => {
    const pool = pools(1024)[0]!;
    const run = take(pool, 64)!;
    expect(run).toEqual(run.map((_, n) => run[0]! + n));
    const before = pool.count(FRAME_STATE.reserved);
    expect(take(pool, 1024)).toBeUndefined();
    expect(pool.count(FRAME_STATE.reserved)).toBe(before);
  });

  test("clean frames make room; dirty and pinned ones do not", () => {
    const pool = pools(512)[0]!;
    const cache = new BlockCache(pool);
    for (let round = 0; round < 4; round++) {
      for (const frame of takeAll(pool)) {
        cache.publishDirty(frame, 1, round * 1000 + frame, 0xff, 0, 1);
        cache.markClean(frame);
      }
    }
    const held: number[] = [];
    for (let frame = 0; frame < 512; frame++) {
      if (pool.state[frame] !== FRAME_STATE.clean) continue;
      pool.pin(frame);
      held.push(frame);
    }
    takeAll(pool);
    for (const frame of held) expect(pool.state[frame]).toBe(FRAME_STATE.clean);
    pool.checkCounts();
  });
});

describe("FramePool: waiters", () => {
  test("are called in the order of asking, when their frames are there; later small takes do not pass them", () => {
    const pool = pools(512)[0]!;
    const taken = takeAll(pool);
    const calls: string[] = [];
    pool.whenAvailable(100, () => {
      calls.push("large");
      expect(take(pool, 100)).toHaveLength(100);
    });
    const cancelled = pool.whenAvailable(1, () => calls.push("cancelled"));
    pool.whenAvailable(1, () => {
      calls.push("small");
      expect(take(pool, 1)).toHaveLength(1);
    });
    pool.cancelWait(cancelled);
    for (let n = 0; n < 99; n++) pool.give(taken.pop()!);
    expect(calls).toEqual([]);
    expect(take(pool, 1)).toBeUndefined();
    pool.give(taken.pop()!);
    expect(calls).toEqual(["large"]);
    pool.give(taken.pop()!);
    expect(calls).toEqual(["large", "small"]);
    expect(pool.waiting).toBe(0);
  });

  test("the first one going away lets the next one go on", () => {
    const pool = pools(512)[0]!;
    const taken = takeAll(pool);
    const calls: string[] = [];
    const large = pool.whenAvailable(100, () => calls.push("large"));
    pool.whenAvailable(1, () => calls.push("small"));
    pool.give(taken.pop()!);
    expect(calls).toEqual([]);
    pool.cancelWait(large);
    expect(calls).toEqual(["small"]);
  });

  test("ask the caches' pools for destage when they begin to wait", () => {
    const pool = pools(512)[0]!;
    const cache = new BlockCache(pool);
    let asked = 0;
    cache.shortage = () => {
      asked += 1;
    };
    takeAll(pool);
    pool.whenAvailable(1, () => undefined);
    expect(asked).toBe(1);
  });
});

describe("FramePool: two directors and one memory", () => {
  test("a director takes what nobody uses, and gives idle chunks back when the other one wants them", () => {
    const [one, two] = pools(8 * CHUNK_FRAMES, 2) as [FramePool, FramePool];
    const fair = 4 * CHUNK_FRAMES;
    expect(one.heldFrames).toBe(two.heldFrames);
    const cacheOfOne = new BlockCache(one);
    const taken = takeAll(one);
    expect(one.heldFrames).toBeGreaterThan(fair);
    for (const [n, frame] of taken.entries()) {
      cacheOfOne.publishDirty(frame, 1, n, 0xff, 0, 1);
      cacheOfOne.markClean(frame);
    }
    // The second director finds no chunk: it says so, and the first gives back one with each tick, down to its fair share.
    const before = takeAll(two).length;
    expect(two.heldFrames).toBeLessThan(fair);
    for (let tick = 0; tick < 20; tick++) {
      one.tick();
      takeAll(two);
      one.checkCounts();
      two.checkCounts();
      expect(one.heldFrames + two.heldFrames).toBeLessThanOrEqual(8 * CHUNK_FRAMES);
    }
    expect(one.heldFrames).toBe(fair);
    expect(two.heldFrames).toBe(fair);
    expect(before).toBeGreaterThan(0);
  });

  test("who has more than its fair share doesn't take back what it gave, however much it asks for", () => {
    const [one, two] = pools(8 * CHUNK_FRAMES, 2) as [FramePool, FramePool];
    const cacheOfOne = new BlockCache(one);
    for (const [n, frame] of takeAll(one).entries()) {
      cacheOfOne.publishDirty(frame, 1, n, 0xff, 0, 1);
      cacheOfOne.markClean(frame);
    }
    takeAll(two);
    const group = new Int32Array(GROUP_FRAMES);
    for (let round = 0; round < 20; round++) {
      one.tick();
      if (one.tryTakeGroup(group)) for (const frame of group) one.give(frame);
      for (let n = 0; n < 2 * CHUNK_FRAMES; n++) {
        const read = one.takeInternal(false);
        if (read >= 0) cacheOfOne.publishClean(read, 1, 100_000 + round * 1000 + n, 0);
      }
      takeAll(two);
    }
    expect([one.heldFrames, two.heldFrames]).toEqual([4 * CHUNK_FRAMES, 4 * CHUNK_FRAMES]);
    one.checkCounts();
    two.checkCounts();
  });

  test("frames of a chunk that was given back are not handed out by who gave it", () => {
    const [one, two] = pools(8 * CHUNK_FRAMES, 2) as [FramePool, FramePool];
    for (const frame of takeAll(one)) one.give(frame);
    const others = new Set<number>();
    for (let tick = 0; tick < 20; tick++) {
      for (const frame of takeAll(two)) others.add(frame);
      one.tick();
    }
    for (const frame of takeAll(one)) expect(others.has(frame)).toBe(false);
    expect(others.has(one.zeroFrame)).toBe(false);
  });
});

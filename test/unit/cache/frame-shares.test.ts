import { describe, expect, test } from "vitest";
import { FRAME_STATE, type FramePool } from "../../../src/cache/frame-pool.ts";
import { testFramePool } from "../../support/frame-pool.ts";

function makePool(): FramePool {
  return testFramePool(1024, 80).pool;
}

const many = (): Int32Array => new Int32Array(1024);

describe("FramePool: shares of host writes", () => {
  test("a share that is full of waiting data leaves room for the others", () => {
    const pool = makePool();
    const unasked = pool.share({ fraction: 0.4, least: 8 });
    const solicited = pool.share({ fraction: 0.4, least: 8 });
    const held = many();
    let count = 0;
    while (unasked.tryTake(1, held, count)) count++;
    expect(count).toBe(Math.floor(pool.writeFramesMax * 0.4));
    expect(solicited.tryTake(8, many(), 0)).toBe(true);
    while (solicited.tryTake(1, many(), 0));
    // What neither may have is there for everybody else: the channel.
    expect(pool.tryTake(Math.floor(pool.writeFramesMax * 0.15), many(), 0)).toBe(true);
    expect(unasked.tryTake(1, many(), 0)).toBe(false);
    pool.checkCounts();
  });

  test("a frame that becomes dirty is no longer its share's", () => {
    const pool = makePool();
    const share = pool.share({ fraction: 0, least: 4 });
    const held = many();
    expect(share.tryTake(4, held, 0)).toBe(true);
    expect(share.tryTake(1, held, 4)).toBe(false);
    pool.publish(held[0]!, FRAME_STATE.dirty);
    expect(share.tryTake(1, held, 4)).toBe(true);
    expect(share.tryTake(1, held, 5)).toBe(false);
  });

  test("who waits in a full share does not hold up those of another", () => {
    const pool = makePool();
    const full = pool.share({ fraction: 0, least: 4 });
    const other = pool.share({ fraction: 0, least: 4 });
    const held = many();
    full.tryTake(4, held, 0);
    const calls: string[] = [];
    full.whenAvailable(2, () => calls.push("full"));
    other.whenAvailable(2, () => calls.push("other"));
    pool.serveWaiters();
    expect(calls).toEqual(["other"]);
    full.give(held[0]!);
    expect(calls).toEqual(["other"]);
    full.give(held[1]!);
    expect(calls).toEqual(["other", "full"]);
  });

  test("the least holds also where the fraction is nothing, and a take over it is never granted", () => {
    const pool = makePool();
    const share = pool.share({ fraction: 0.001, least: 16 });
    expect(share.tryTake(17, many(), 0)).toBe(false);
    expect(share.tryTake(16, many(), 0)).toBe(true);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DestageLook, DestagePace, START_SHARE, URGENT_SHARE } from "../../../src/volume/destage-pace.ts";

const QUIET: DestageLook = { dirtyShare: 0, journalShare: 0, isOld: false, isBusy: false, isAwaited: false };

describe("DestagePace: the rate", () => {
  test("is nothing below the start, though hosts write", () => {
    const pace = new DestagePace();
    expect(pace.rate({ ...QUIET, dirtyShare: START_SHARE, journalShare: START_SHARE, isBusy: true })).toBe(0);
  });

  test("follows the fuller of cache and journal", () => {
    const pace = new DestagePace();
    const rate = pace.rate({ ...QUIET, dirtyShare: 0.8 });
    expect(rate).toBeGreaterThan(0);
    expect(pace.rate({ ...QUIET, journalShare: 0.8 })).toBe(rate);
    expect(pace.rate({ ...QUIET, dirtyShare: 0.7, journalShare: 0.8 })).toBe(rate);
  });

  test("never falls as the fill rises, and has no limit from the urgent share on (invariants 1, 2)", () => {
    const share = fc.double({ min: 0, max: 1.2, noNaN: true });
    fc.assert(
      fc.property(share, share, fc.boolean(), fc.boolean(), (a, b, isOld, isBusy) => {
        const pace = new DestagePace();
        const rateAt = (dirtyShare: number): number => pace.rate({ ...QUIET, dirtyShare, isOld, isBusy });
        expect(rateAt(Math.max(a, b))).toBeGreaterThanOrEqual(rateAt(Math.min(a, b)));
        if (a >= URGENT_SHARE) expect(rateAt(a)).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test("has no limit while somebody waits", () => {
    expect(new DestagePace().rate({ ...QUIET, isAwaited: true })).toBe(Number.POSITIVE_INFINITY);
  });

  test("is a part of what the drives take for old blocks, less while hosts write", () => {
    const pace = new DestagePace();
    const idle = pace.rate({ ...QUIET, isOld: true });
    const busy = pace.rate({ ...QUIET, isOld: true, isBusy: true });
    expect(busy).toBeGreaterThan(0);
    expect(busy).toBeLessThan(idle);
    expect(idle).toBeLessThan(pace.capacity);
  });
});

describe("DestagePace: pauses", () => {
  test("a batch begins when the one before has had its time at the rate", () => {
    const pace = new DestagePace();
    pace.began(1000, 360);
    expect(pace.pause(1000, 3600)).toBe(100);
    expect(pace.pause(1099, 3600)).toBe(1);
    expect(pace.pause(1100, 3600)).toBeLessThanOrEqual(0);
  });

  test("a rate that rises shortens the pause that is under way", () => {
    const pace = new DestagePace();
    pace.began(1000, 360);
    expect(pace.pause(1010, 36_000)).toBe(0);
    expect(pace.pause(1001, Number.POSITIVE_INFINITY)).toBe(0);
  });
});

describe("DestagePace: what the drives take", () => {
  test("comes to what batches take, one after the other or side by side", () => {
    const pace = new DestagePace();
    for (let n = 0; n < 200; n++) pace.ended(n * 10, n * 10 + 10, 300);
    expect(pace.capacity).toBeCloseTo(30_000, -2);
    // Two under way at a time, each for 20 ms: one ends every 10 ms.
    for (let n = 200; n < 400; n++) pace.ended(n * 10 - 10, n * 10 + 10, 300);
    expect(pace.capacity).toBeCloseTo(30_000, -2);
  });

  test("falls when they stall, and not to nothing", () => {
    const pace = new DestagePace();
    const before = pace.capacity;
    pace.ended(0, 60_000, 300);
    expect(pace.capacity).toBeLessThan(before);
    for (let n = 1; n < 500; n++) pace.ended(n * 60_000, (n + 1) * 60_000, 1);
    expect(pace.capacity).toBeGreaterThan(0);
    expect(pace.rate({ ...QUIET, isOld: true })).toBeGreaterThan(0);
  });
});

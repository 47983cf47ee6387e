import { describe, expect, test } from "vitest";
import { EPOCH_MAX, poolEpoch, raisePoolEpoch, raiseThreadEpoch, threadEpoch } from "../../../drivers/shared-memory/epoch.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("epochs", () => {
  test("begin at 0, rise by one, and each pool and thread has its own", () => {
    const { global } = testGlobalMemory();
    expect(poolEpoch(global, 0)).toBe(0);
    expect(raisePoolEpoch(global, 0)).toBe(1);
    expect(raisePoolEpoch(global, 0)).toBe(2);
    expect(raiseThreadEpoch(global, 0)).toBe(1);
    expect([poolEpoch(global, 0), poolEpoch(global, 1), threadEpoch(global, 0), threadEpoch(global, 1)]).toEqual([2, 0, 1, 0]);
  });

  test("rise to what is asked at least, and never fall", () => {
    const { global } = testGlobalMemory();
    expect(raisePoolEpoch(global, 0, 41)).toBe(41);
    expect(raisePoolEpoch(global, 0, 7)).toBe(42);
    expect(raisePoolEpoch(global, 0, 42)).toBe(43);
  });

  test("refuse to go past the last, and what is no epoch", () => {
    const { global } = testGlobalMemory();
    expect(raisePoolEpoch(global, 0, EPOCH_MAX)).toBe(EPOCH_MAX);
    expect(() => raisePoolEpoch(global, 0)).toThrow(RangeError);
    expect(() => raisePoolEpoch(global, 1, EPOCH_MAX + 1)).toThrow(RangeError);
    expect(() => raisePoolEpoch(global, 1, 1.5)).toThrow(RangeError);
    expect(poolEpoch(global, 0)).toBe(EPOCH_MAX);
    expect(poolEpoch(global, 1)).toBe(0);
  });
});

import { describe, expect, test } from "vitest";
import { median, spread } from "../../../bench/statistics.ts";

describe("medians", () => {
  test("are the middle value, or the mean of the two in the middle, by size and not by spelling", () => {
    expect(median([10, 9, 100])).toBe(10);
    expect(median([100, 9, 10, 20])).toBe(15);
    expect(median([7])).toBe(7);
    expect(median([])).toBeNaN();
  });

  test("leave what they were given in its order", () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test("come with a spread: largest less smallest, over the median", () => {
    expect(spread([90, 100, 120])).toBeCloseTo(0.3);
    expect(spread([5])).toBe(0);
  });
});

import { describe, expect, test } from "vitest";
import { ReadPace } from "../../../drivers/drive/read-pace.ts";

/** Reads that take so long; says how many of them were done on the spot. */
function reads(pace: ReadPace, count: number, microseconds: number): number {
  let onTheSpot = 0;
  for (let n = 0; n < count; n++) {
    if (!pace.onTheSpot()) continue;
    onTheSpot += 1;
    pace.took(microseconds);
  }
  return onTheSpot;
}

describe("ReadPace", () => {
  test("does fast reads on the spot, whatever single slow ones come between", () => {
    const pace = new ReadPace();
    for (let n = 0; n < 50; n++) {
      expect(reads(pace, 1, 5000)).toBe(1);
      expect(reads(pace, 64, 18)).toBe(64);
    }
  });

  test("hands reads of a slow disk aside, but for one now and then that looks whether it still is", () => {
    const pace = new ReadPace();
    expect(reads(pace, 6500, 900)).toBeLessThan(105);
    expect(reads(pace, 6500, 900)).toBeGreaterThan(95);
  });

  test("comes back when the data does", () => {
    const pace = new ReadPace();
    reads(pace, 1000, 900);
    reads(pace, 65, 18);
    expect(reads(pace, 1000, 18)).toBe(1000);
  });
});

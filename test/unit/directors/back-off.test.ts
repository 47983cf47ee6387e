import { describe, expect, test } from "vitest";
import { BackOff } from "../../../directors/back-off.ts";

/** Opportunities that pass before one is used; that try then ends as `paid` says. */
function passed(backOff: BackOff, paid: boolean): number {
  let count = 0;
  while (!backOff.admits()) count += 1;
  backOff.ended(paid);
  return count;
}

describe("BackOff", () => {
  test("uses each opportunity while it pays", () => {
    const backOff = new BackOff();
    for (let n = 0; n < 10; n++) expect(passed(backOff, true)).toBe(0);
  });

  test("lets twice as many pass after each vain try, 256 at most", () => {
    const backOff = new BackOff();
    const counts = Array.from({ length: 12 }, () => passed(backOff, false));
    expect(counts).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
  });

  test("begins anew once a try paid", () => {
    const backOff = new BackOff();
    for (let n = 0; n < 5; n++) passed(backOff, false);
    expect(passed(backOff, true)).toBe(16);
    expect(passed(backOff, false)).toBe(0);
    expect(passed(backOff, false)).toBe(1);
  });

  test("goes on using opportunities while it is not told how the last one went", () => {
    const backOff = new BackOff();
    expect(backOff.admits()).toBe(true);
    expect(backOff.admits()).toBe(true);
  });
});

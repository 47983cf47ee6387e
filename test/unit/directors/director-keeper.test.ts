import { expect, test } from "vitest";
import { partnersAtStart } from "../../../directors/director-keeper.ts";

test("a director begins with those that run; two that return at a time hear of each other when each is ready, and once", () => {
  expect(partnersAtStart(["starting", "starting", "starting", "starting"], 2)).toEqual([0, 1, 3]);
  expect(partnersAtStart(["returning", "active", "dead", "leaving"], 0)).toEqual([1, 3]);
  expect(partnersAtStart(["returning", "active", "returning", "active"], 0)).toEqual([1, 3]);
  expect(partnersAtStart(["returning", "active", "returning", "active"], 2)).toEqual([1, 3]);
});

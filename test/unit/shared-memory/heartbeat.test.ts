import { describe, expect, test } from "vitest";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { beat, clearHeartbeat, heartbeatAgeMilliseconds } from "../../../drivers/shared-memory/heartbeat.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

/** Global memory whose clock stands where the test puts it. */
function clocked() {
  let now = 0;
  const global: GlobalMemory = { ...testGlobalMemory().global, clock: { nowMicroseconds: () => now } };
  return { global, at: (milliseconds: number) => (now = milliseconds * 1000) };
}

describe("heartbeat", () => {
  test("of a thread that never beat is infinitely old, also after it was cleared", () => {
    const { global, at } = clocked();
    expect(heartbeatAgeMilliseconds(global, 3)).toBe(Number.POSITIVE_INFINITY);
    at(10);
    beat(global, 3);
    clearHeartbeat(global, 3);
    expect(heartbeatAgeMilliseconds(global, 3)).toBe(Number.POSITIVE_INFINITY);
  });

  test("grows old with the time base, each thread's by itself", () => {
    const { global, at } = clocked();
    at(1000);
    beat(global, 0);
    at(1500);
    beat(global, 1);
    at(2250);
    expect(heartbeatAgeMilliseconds(global, 0)).toBe(1250);
    expect(heartbeatAgeMilliseconds(global, 1)).toBe(750);
  });

  test("counts as beaten in the very first millisecond", () => {
    const { global, at } = clocked();
    at(0);
    beat(global, 0);
    expect(heartbeatAgeMilliseconds(global, 0)).toBe(0);
    at(500);
    expect(heartbeatAgeMilliseconds(global, 0)).toBe(499);
  });

  test.each([2 ** 31 - 100, 2 ** 32 - 100])("is right over the wrap of its word (%d)", (start) => {
    const { global, at } = clocked();
    at(start);
    beat(global, 0);
    at(start + 5000);
    expect(heartbeatAgeMilliseconds(global, 0)).toBe(5000);
  });
});

import { afterEach, describe, expect, test } from "vitest";
import { counterBlock, HISTOGRAM_BUCKETS } from "../../../drivers/shared-memory/counters.ts";
import { THREAD_COUNTERS } from "../../../drivers/shared-memory/thread-counters.ts";
import { watchVitals } from "../../../drivers/shared-memory/thread-vitals.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const C = THREAD_COUNTERS.slots;
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function watched(thread: number) {
  const { global } = testGlobalMemory();
  stops.push(watchVitals(global, thread));
  return { block: counterBlock(global, "thread", thread), global };
}

/** Enough short-lived objects for several collections of any young generation; reachable for a while, or V8 would make none. */
function litter(): void {
  const recent: number[][] = [];
  for (let n = 0; n < 1_000_000; n++) recent[n % 1000] = [n, n + 1, n + 2];
}

describe("vitals of a thread", () => {
  test("count minor collections, their time, and what was allocated before them", async () => {
    const { block } = watched(3);
    await expect
      .poll(
        () => {
          litter();
          return block[C.gcMinorRuns];
        },
        { timeout: 20_000 },
      )
      .toBeGreaterThan(0);
    expect(block[C.gcMinorSeconds]).toBeGreaterThan(0);
    expect(block[C.allocatedBytes]! / block[C.gcMinorRuns]!).toBeGreaterThanOrEqual(64 * 1024);
    expect(block[C.gcPause + HISTOGRAM_BUCKETS + 1]).toBeGreaterThanOrEqual(block[C.gcMinorRuns]!);
  });

  test("tell the heap, and how late the event loop is: a loop that was blocked is later", async () => {
    const { block } = watched(0);
    await expect.poll(() => block[C.heapBytes], { timeout: 10_000 }).toBeGreaterThan(1_000_000);
    const before = block[C.loopDelay + HISTOGRAM_BUCKETS]!;
    const end = performance.now() + 200;
    while (performance.now() < end);
    await expect.poll(() => block[C.loopDelay + HISTOGRAM_BUCKETS]! - before, { timeout: 10_000 }).toBeGreaterThan(100_000);
  });

  test("go to the thread's own block", async () => {
    const { block, global } = watched(1);
    await expect.poll(() => block[C.loopDelay + HISTOGRAM_BUCKETS + 1], { timeout: 10_000 }).toBeGreaterThan(0);
    expect(counterBlock(global, "thread", 0).some((value) => value !== 0)).toBe(false);
    expect(counterBlock(global, "thread", 2).some((value) => value !== 0)).toBe(false);
  });
});

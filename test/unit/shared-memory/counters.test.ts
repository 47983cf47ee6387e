import { describe, expect, test } from "vitest";
import {
  COUNTER_BLOCK_SLOTS,
  counterBlock,
  defineCounters,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_SLOTS,
  observe,
} from "../../../drivers/shared-memory/counters.ts";
import { attachGlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const spec = { type: "counter", metric: "varray_test_total", help: "" } as const;

describe("counters", () => {
  test("get their slots in the order of the table, histograms as many as they need", () => {
    const table = defineCounters("cache", { a: spec, b: { ...spec, type: "histogram" }, c: spec });
    expect(table.slots).toEqual({ a: 0, b: 1, c: 1 + HISTOGRAM_SLOTS });
  });

  test("refuse a table that does not fit its block", () => {
    const many = Object.fromEntries(Array.from({ length: COUNTER_BLOCK_SLOTS + 1 }, (_, i) => [`c${i}`, spec]));
    expect(() => defineCounters("cache", many)).toThrow(RangeError);
  });

  test("are read by another thread's attachment, and no two blocks overlap", () => {
    const { global, transfer } = testGlobalMemory();
    const reader = attachGlobalMemory(transfer);
    counterBlock(global, "cache", 0).fill(1);
    counterBlock(global, "cache", 1).fill(2);
    counterBlock(global, "drive", 7).fill(3);
    expect([...new Set(counterBlock(reader, "cache", 0))]).toEqual([1]);
    expect([...new Set(counterBlock(reader, "cache", 1))]).toEqual([2]);
    expect([...new Set(counterBlock(reader, "drive", 7))]).toEqual([3]);
    expect([...new Set(counterBlock(reader, "drive", 6))]).toEqual([0]);
  });
});

describe("observe", () => {
  test.each([
    [0, 0],
    [1, 0],
    [1.5, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [2 ** 23, 23],
    [2 ** 23 + 1, 24],
    [2 ** 31, 24],
  ])("puts %d µs into bucket %d", (microseconds, bucket) => {
    const block = new Float64Array(COUNTER_BLOCK_SLOTS);
    observe(block, 10, microseconds);
    const expected = new Float64Array(HISTOGRAM_BUCKETS);
    expected[bucket] = 1;
    expect(block.subarray(10, 10 + HISTOGRAM_BUCKETS)).toEqual(expected);
    expect(block[10 + HISTOGRAM_BUCKETS]).toBe(microseconds);
    expect(block[10 + HISTOGRAM_BUCKETS + 1]).toBe(1);
  });
});

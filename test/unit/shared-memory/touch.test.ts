import { describe, expect, test } from "vitest";
import { touchPages, touchSteps } from "../../../drivers/shared-memory/touch.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("touch", () => {
  test("cuts a range into steps that cover it once", () => {
    expect(touchSteps({ address: 4096, bytes: 10_000 }, 4096)).toEqual([
      { address: 4096, bytes: 4096 },
      { address: 8192, bytes: 4096 },
      { address: 12_288, bytes: 1808 },
    ]);
    expect(touchSteps({ address: 4096, bytes: 0 }, 4096)).toEqual([]);
    expect(() => touchSteps({ address: 0, bytes: 1 }, 0)).toThrow(RangeError);
  });

  test.each([
    [0, 0, 0],
    [0, 1, 1],
    [0, 4096, 1],
    [0, 4097, 2],
    [4095, 2, 2],
    [100, 65_536, 17],
  ])("touches every page with a byte of the range (offset %d, %d bytes: %d pages)", (offset, bytes, pages) => {
    const { global } = testGlobalMemory();
    expect(touchPages(global, { address: global.layout.frames + offset, bytes })).toBe(pages);
  });

  test("changes nothing, up to the last page of the memory", () => {
    const { global } = testGlobalMemory();
    const { frames, totalBytes } = global.layout;
    const range = global.view(frames, totalBytes - frames);
    for (let i = 0; i < range.length; i += 4) range.writeInt32LE(i ^ 0xdeadbeef, i);
    const before = Buffer.from(range);
    touchPages(global, { address: frames, bytes: totalBytes - frames });
    expect(before.equals(range)).toBe(true);
  });
});

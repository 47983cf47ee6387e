import { describe, expect, test } from "vitest";
import { frameAddress } from "../../../drivers/shared-memory/layout.ts";
import { FrameViews, VIEWS_MAX } from "../../../src/cache/frame-views.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("FrameViews", () => {
  const { global } = testGlobalMemory({ frameCount: VIEWS_MAX + 256 });
  const addressOf = (frame: number): number => frameAddress(global.layout, frame);

  test("shows each frame itself, whoever had its place in the table before", () => {
    const views = new FrameViews(global, addressOf);
    for (const frame of [0, 5, VIEWS_MAX + 5, VIEWS_MAX, VIEWS_MAX + 255]) global.view(addressOf(frame), 4096).fill(frame % 251);
    for (const frame of [5, VIEWS_MAX + 5, 5, 0, VIEWS_MAX, 0, VIEWS_MAX + 255, VIEWS_MAX + 5]) {
      const view = views.view(frame);
      expect(view.length).toBe(4096);
      expect([view[0], view[4095]]).toEqual([frame % 251, frame % 251]);
    }
  });

  test("is the same Buffer as long as no other frame wanted its place, and one that was handed out stays as it is", () => {
    const views = new FrameViews(global, addressOf);
    const first = views.view(7);
    expect(views.view(7)).toBe(first);
    views.view(VIEWS_MAX + 7);
    global.view(addressOf(7), 4096).fill(0x77);
    expect(first[100]).toBe(0x77);
    expect(views.view(7)).not.toBe(first);
  });
});

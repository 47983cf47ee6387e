import { describe, expect, test } from "vitest";
import { FrameChunks } from "../../../drivers/shared-memory/frame-chunks.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const CHUNKS = 5;

function testChunks() {
  const { global } = testGlobalMemory({ frameCount: CHUNKS * 256, directorCount: 3 });
  return { mine: new FrameChunks(global), theirs: new FrameChunks(global) };
}

describe("frame chunks", () => {
  test("are claimed lowest first, each once, until none is free", () => {
    const { mine, theirs } = testChunks();
    expect(mine.freeChunks()).toBe(CHUNKS);
    expect([mine.claim(0), theirs.claim(1), mine.claim(0), mine.claim(0), theirs.claim(1)]).toEqual([0, 1, 2, 3, 4]);
    expect(mine.claim(0)).toBe(-1);
    expect(mine.freeChunks()).toBe(0);
    expect([0, 1, 2, 3, 4].map((chunk) => mine.ownerOf(chunk))).toEqual([0, 1, 0, 0, 1]);
  });

  test("can be claimed by another once given back", () => {
    const { mine, theirs } = testChunks();
    mine.claim(0);
    mine.claim(0);
    mine.release(0);
    expect(mine.ownerOf(0)).toBe(-1);
    expect(theirs.claim(2)).toBe(0);
    expect(mine.ownerOf(0)).toBe(2);
  });

  test("refuse to be given back twice, and numbers that there are not", () => {
    const { mine } = testChunks();
    mine.claim(0);
    mine.release(0);
    expect(() => mine.release(0)).toThrow("free already");
    expect(() => mine.ownerOf(CHUNKS)).toThrow(RangeError);
    expect(() => mine.release(-1)).toThrow(RangeError);
    expect(() => mine.claim(3)).toThrow(RangeError);
  });

  test("are wished for by the others: a director's own wish does not count", () => {
    const { mine, theirs } = testChunks();
    mine.want(0, 4);
    mine.want(1, 2);
    expect(theirs.wantedByOthers(0)).toBe(2);
    expect(theirs.wantedByOthers(1)).toBe(4);
    expect(theirs.wantedByOthers(2)).toBe(6);
    mine.want(0, 0);
    expect(theirs.wantedByOthers(2)).toBe(2);
  });

  test("have their frames one after the other", () => {
    const { mine } = testChunks();
    expect(mine.firstFrameOf(2)).toBe(512);
  });
});

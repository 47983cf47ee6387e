import { describe, expect, test } from "vitest";
import { COUNTER_BLOCK_SLOTS } from "../../../drivers/shared-memory/counters.ts";
import {
  channelRing,
  driveCompletionRing,
  drivePath,
  driveRequestRing,
  FRAME_BYTES,
  frameAddress,
  type LayoutShape,
  layoutOf,
  mailbox,
  POOL_WORD,
  poolWords,
  RING_HEADER_BYTES,
  SLOT_BYTES,
  THREAD_DOUBLE,
  THREAD_WORD,
  threadNumber,
  threadWords,
} from "../../../drivers/shared-memory/layout.ts";
import { TEST_SHAPE } from "../../support/global-memory.ts";

const SHAPES: Record<string, LayoutShape> = {
  "one engine": TEST_SHAPE,
  "one director, no pool": { ...TEST_SHAPE, directorCount: 1, poolCount: 0, driveCount: 0, poolReachedBy: [] },
  "four engines, odd sizes": {
    directorCount: 8,
    poolCount: 5,
    driveCount: 33,
    poolReachedBy: [[0, 1], [3, 2], [4], [7, 6], []],
    frameCount: 1001,
    stagingBytesPerPool: 100_001,
    mailboxBytes: 777,
    channelRingSlots: 16,
    driveRingSlots: 64,
  },
};

describe.each(Object.entries(SHAPES))("layoutOf, %s", (_, shape) => {
  const layout = layoutOf(shape);

  test("places regions one after the other without overlap, inside the whole", () => {
    let end = 0;
    for (const region of layout.regions) {
      expect(region.address, region.name).toBeGreaterThanOrEqual(end);
      end = region.address + region.bytes;
    }
    expect(layout.totalBytes).toBeGreaterThanOrEqual(end);
    expect(layout.totalBytes % 65_536).toBe(0);
  });

  test("aligns regions to cache lines, rings and threads to pairs of them, staging and frames to 64 KiB", () => {
    for (const { name, address } of layout.regions) {
      expect(address % 64, name).toBe(0);
      if (/^channel|requests$|completions$|^threads$/.test(name)) expect(address % 128, name).toBe(0);
      if (/^staging|^frames$/.test(name)) expect(address % 65_536, name).toBe(0);
    }
  });

  test("leaves the first page to the kernels", () => {
    expect(layout.regions[0]).toEqual({ name: "kernels", address: 0, bytes: 65_536 });
    expect(layout.header).toBeGreaterThanOrEqual(65_536);
  });

  test("gives every region a name of its own", () => {
    expect(new Set(layout.regions.map((region) => region.name)).size).toBe(layout.regions.length);
  });

  test("has room for all that each region holds", () => {
    const bytesOf = (name: string) => layout.regions.find((region) => region.name === name)?.bytes;
    expect(bytesOf("threads")).toBe((shape.directorCount + 2 * shape.poolCount) * 128);
    expect(bytesOf("pools")).toBe(shape.poolCount * 64);
    expect(bytesOf("frameChunks")).toBe(Math.ceil(shape.frameCount / 256) * 4);
    expect(bytesOf("framesWanted")).toBe(shape.directorCount * 64);
    expect(bytesOf("counters.drive")).toBe(shape.driveCount * COUNTER_BLOCK_SLOTS * 8);
    expect(bytesOf("counters.pool")).toBe(shape.poolCount * COUNTER_BLOCK_SLOTS * 8);
    expect(bytesOf("frames")).toBe(Math.ceil(shape.frameCount / 256) * 256 * FRAME_BYTES);
    if (shape.poolCount > 0) expect(bytesOf("staging.0")).toBe(shape.stagingBytesPerPool);
  });

  test("gives each ordered pair of directors a channel ring, and none to a director with itself", () => {
    const addresses = new Set<number>();
    for (let from = 0; from < shape.directorCount; from++) {
      for (let to = 0; to < shape.directorCount; to++) {
        if (from === to) expect(() => channelRing(layout, from, to)).toThrow(RangeError);
        else addresses.add(channelRing(layout, from, to).address);
      }
    }
    expect(addresses.size).toBe(shape.directorCount * (shape.directorCount - 1));
  });

  test("gives each director that reaches a pool two rings and a mailbox, and none to another", () => {
    for (let pool = 0; pool < shape.poolCount; pool++) {
      for (let director = 0; director < shape.directorCount; director++) {
        if (!shape.poolReachedBy[pool]!.includes(director)) {
          expect(() => drivePath(layout, pool, director)).toThrow(`director ${director} does not reach`);
          continue;
        }
        const name = `drive.${pool}.${director}`;
        const region = (what: string) => layout.regions.find((candidate) => candidate.name === `${name}.${what}`)!;
        expect(driveRequestRing(layout, pool, director).address).toBe(region("requests").address);
        expect(driveCompletionRing(layout, pool, director).address).toBe(region("completions").address);
        expect(mailbox(layout, pool, director)).toBe(region("mailbox").address);
        expect(region("mailbox").bytes).toBe(shape.mailboxBytes);
        expect(region("requests").bytes).toBe(RING_HEADER_BYTES + (shape.driveRingSlots ?? 1024) * SLOT_BYTES);
      }
    }
  });

  test("numbers threads without gap or double", () => {
    const numbers = new Set<number>();
    for (let i = 0; i < shape.directorCount; i++) numbers.add(threadNumber(layout, "director", i));
    for (let i = 0; i < shape.poolCount; i++) {
      numbers.add(threadNumber(layout, "drive", i));
      numbers.add(threadNumber(layout, "journalSync", i));
    }
    expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: layout.threadCount }, (_, i) => i));
  });

  test("survives being posted to a thread", () => {
    expect(structuredClone(layout)).toEqual(layout);
  });
});

describe("layoutOf, limits", () => {
  test("rounds frames up to whole chunks and says so", () => {
    expect(layoutOf({ ...TEST_SHAPE, frameCount: 257 }).shape.frameCount).toBe(512);
  });

  test("takes the last frame count that fits in 4 GiB, and refuses the next with what takes the room", () => {
    const least = layoutOf({ ...TEST_SHAPE, frameCount: 0 }).totalBytes;
    const frameCount = Math.floor((2 ** 32 - least) / FRAME_BYTES / 256) * 256;
    expect(layoutOf({ ...TEST_SHAPE, frameCount }).totalBytes).toBeLessThanOrEqual(2 ** 32);
    expect(() => layoutOf({ ...TEST_SHAPE, frameCount: frameCount + 512 })).toThrow(
      /^layout: global memory would take 4\d\d\d MiB, at most 4096 MiB can be had: frames \d+ MiB, all else \d+ MiB$/,
    );
  });

  test.each<[string, Partial<LayoutShape>]>([
    ["directorCount", { directorCount: 0 }],
    ["directorCount", { directorCount: 1.5 }],
    ["poolCount", { poolCount: -1 }],
    ["poolReachedBy", { poolReachedBy: [[0, 1]] }],
    ["poolReachedBy", { poolReachedBy: [[0, 2], [0]] }],
    ["poolReachedBy", { poolReachedBy: [[0, 0], [0]] }],
    ["frameCount", { frameCount: Number.NaN }],
    ["frameCount", { frameCount: Number.POSITIVE_INFINITY }],
    ["stagingBytesPerPool", { stagingBytesPerPool: -1 }],
    ["mailboxBytes", { mailboxBytes: 0.5 }],
    ["channelRingSlots", { channelRingSlots: 1000 }],
    ["driveRingSlots", { driveRingSlots: 1 }],
  ])("refuses a bad %s with a RangeError that names it (%j)", (name, part) => {
    const make = () => layoutOf({ ...TEST_SHAPE, ...part });
    expect(make).toThrow(RangeError);
    expect(make).toThrow(name);
  });

  test("refuses threads, pools and paths that there are not", () => {
    const layout = layoutOf(TEST_SHAPE);
    expect(() => threadNumber(layout, "director", 2)).toThrow(RangeError);
    expect(() => threadNumber(layout, "drive", -1)).toThrow(RangeError);
    expect(() => threadWords(layout, layout.threadCount)).toThrow(RangeError);
    expect(() => poolWords(layout, 2)).toThrow(RangeError);
  });
});

describe("line tables", () => {
  test("keep a thread's own words off the line that others write", () => {
    expect(THREAD_WORD.doorbell).toBeLessThan(16);
    for (const word of [THREAD_WORD.heartbeat, THREAD_WORD.epoch]) expect(word).toBeGreaterThanOrEqual(16);
    const { doorbell: _, nap: __, ...own } = THREAD_WORD;
    const words = [...Object.values(own), ...Object.values(THREAD_DOUBLE).flatMap((d) => [2 * d, 2 * d + 1])];
    expect(new Set(words).size).toBe(words.length);
    expect(Math.max(...words)).toBeLessThan(32);
    expect(Math.min(...words)).toBeGreaterThanOrEqual(16);
  });

  test("give a pool's words places of their own in one line", () => {
    const words = Object.values(POOL_WORD);
    expect(new Set(words).size).toBe(words.length);
    expect(Math.max(...words)).toBeLessThan(16);
  });

  test("put frames 4 KiB apart", () => {
    const layout = layoutOf(TEST_SHAPE);
    expect(frameAddress(layout, 3) - frameAddress(layout, 2)).toBe(4096);
  });
});

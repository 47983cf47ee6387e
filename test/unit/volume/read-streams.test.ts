import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ReadStreams,
  STREAMS_MAX,
  STREAMS_PER_VOLUME_MAX,
  WINDOW_BLOCKS_MAX,
  WINDOW_BLOCKS_MIN,
} from "../../../src/volume/read-streams.ts";

const BUDGET = 16_384;

/** A host that reads `count` blocks after the other; says what was asked for ahead of it. */
function host(streams: ReadStreams, volume: number, start: number, count = 8, budget = BUDGET) {
  let next = start;
  return () => {
    const { stream, from, to, askedTo } = streams.observe(volume, next, count, next + count, budget);
    next += count;
    return { stream, from, to, askedTo, next };
  };
}

describe("ReadStreams", () => {
  test("asks for nothing at the first two reads in a row, and for a small window at the third", () => {
    const read = host(new ReadStreams(), 1, 1000);
    expect(read()).toMatchObject({ stream: -1, from: 0, to: 0 });
    expect(read()).toMatchObject({ stream: -1, from: 0, to: 0 });
    expect(read()).toMatchObject({ stream: 0, from: 1024, to: 1024 + WINDOW_BLOCKS_MIN });
  });

  test("takes two large reads in a row for a stream", () => {
    const read = host(new ReadStreams(), 1, 0, 64);
    expect(read().stream).toBe(-1);
    expect(read()).toMatchObject({ stream: 0, from: 128, to: 256 });
  });

  test("grows the window with success, up to its bound, and asks for each block once and in order", () => {
    const read = host(new ReadStreams(), 1, 0);
    let asked = -1;
    let widest = 0;
    for (let n = 0; n < 500; n++) {
      const { from, to, next } = read();
      if (to === from) continue;
      if (asked >= 0) expect(from).toBe(asked);
      asked = to;
      widest = Math.max(widest, to - next);
      expect(to - next).toBeLessThanOrEqual(WINDOW_BLOCKS_MAX + 8);
    }
    expect(widest).toBeGreaterThanOrEqual(WINDOW_BLOCKS_MAX);
  });

  test("follows interleaved streams, of one volume and of several, among random reads", () => {
    const streams = new ReadStreams();
    const hosts = Array.from({ length: 12 }, (_, n) => host(streams, 1 + (n % 3), 100_000 * (n + 1)));
    const asked = new Float64Array(hosts.length);
    let seed = 7;
    for (let round = 0; round < 200; round++) {
      hosts.forEach((read, n) => {
        const { from, to } = read();
        asked[n]! += to - from;
        for (let k = 0; k < 5; k++) {
          seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
          const block = 5_000_000 + (seed % 4_000_000);
          expect(streams.observe(1 + (k % 3), block, 1, block + 1, BUDGET).to).toBe(0);
        }
      });
    }
    // Each was read ahead of for most of its way: 1,600 blocks and what lies ahead now.
    for (const blocks of asked) expect(blocks).toBeGreaterThan(1500);
    expect(streams.count).toBe(12);
  });

  test("makes nothing of random reads", () => {
    const streams = new ReadStreams();
    let seed = 1;
    for (let n = 0; n < 50_000; n++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      const block = seed % 4_000_000;
      const { from, to } = streams.observe(1, block, 1, block + 1, BUDGET);
      expect(to).toBe(from);
    }
    expect(streams.count).toBe(0);
    expect(streams.unreadBlocks).toBe(0);
  });

  test("goes on ahead of a stream whose reads come out of order", () => {
    const streams = new ReadStreams();
    let asked = 0;
    for (let group = 0; group < 50; group++) {
      for (const n of [0, 3, 1, 2, 7, 5, 4, 6]) {
        const first = (group * 8 + n) * 64;
        const { from, to } = streams.observe(1, first, 64, first + 64, BUDGET);
        asked += to - from;
      }
    }
    expect(streams.count).toBe(1);
    expect(asked).toBeGreaterThan(50 * 8 * 64 * 0.9);
  });

  test("goes on where a read ends within a block", () => {
    const streams = new ReadStreams();
    let asked = 0;
    for (let sector = 0; sector < 2000; sector += 3) {
      const first = Math.floor(sector / 8);
      const end = sector + 3;
      const { from, to } = streams.observe(1, first, Math.ceil(end / 8) - first, Math.floor(end / 8), BUDGET);
      asked += to - from;
    }
    expect(streams.count).toBe(1);
    expect(asked).toBeGreaterThanOrEqual(250);
  });

  test("halves the window when what was read ahead has gone, and asks for it anew", () => {
    const streams = new ReadStreams();
    const read = host(streams, 1, 0);
    for (let n = 0; n < 300; n++) read();
    expect(streams.unreadBlocks).toBeGreaterThan(WINDOW_BLOCKS_MAX / 2);
    for (let n = 0; n < 10; n++) streams.missed(0);
    expect(streams.unreadBlocks).toBe(0);
    const { from, to, next } = read();
    expect(from).toBe(next);
    expect(to - from).toBeLessThanOrEqual(WINDOW_BLOCKS_MIN * 2 + 8);
  });

  test("asks again from where reading ahead was stopped", () => {
    const streams = new ReadStreams();
    const read = host(streams, 1, 0);
    read();
    read();
    const { from } = read();
    streams.stopped(0, from + 3, true);
    expect(streams.unreadBlocks).toBe(3);
    expect(read()).toMatchObject({ from: 32, askedTo: 27 });
  });

  test("never claims more than its bounds, for any mixture of streams, random reads and mishaps (property)", () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant("read" as const), host: fc.nat(99), times: fc.integer({ min: 1, max: 9 }) }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("random" as const), block: fc.nat(1_000_000), volume: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("mishap" as const), missed: fc.boolean() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 8, max: 4096 }), (steps, budget) => {
        const streams = new ReadStreams();
        const hosts = Array.from({ length: 100 }, (_, n) => host(streams, n % 6, n * 20_000, 1 + (n % 70), budget));
        let last = -1;
        const look = ({ stream, from, to }: { stream: number; from: number; to: number }): void => {
          expect(to).toBeGreaterThanOrEqual(from);
          expect(to - from).toBeLessThanOrEqual(Math.min(budget, WINDOW_BLOCKS_MAX + 8));
          expect(streams.count).toBeLessThanOrEqual(STREAMS_MAX);
          expect(streams.unreadBlocks).toBeLessThanOrEqual(budget);
          last = stream;
        };
        for (const one of steps) {
          if (one.do === "read") for (let n = 0; n < one.times; n++) look(hosts[one.host]!());
          else if (one.do === "random") look(streams.observe(one.volume, one.block, 1, one.block + 1, budget));
          else if (last >= 0 && one.missed) streams.missed(last);
          else if (last >= 0) streams.stopped(last, 0, true);
        }
      }),
    );
  });

  test("gives a volume its share of streams and no more", () => {
    const streams = new ReadStreams();
    const other = host(streams, 2, 0);
    for (let n = 0; n < 4; n++) other();
    for (let n = 0; n < STREAMS_PER_VOLUME_MAX * 3; n++) {
      const read = host(streams, 1, n * 10_000);
      for (let k = 0; k < 4; k++) read();
    }
    expect(streams.count).toBe(1 + STREAMS_PER_VOLUME_MAX);
    expect(other().stream).toBeGreaterThanOrEqual(0);
  });

  test("takes the claims of streams that rest for those that read", () => {
    const streams = new ReadStreams();
    const budget = 1024;
    for (let n = 0; n < 10; n++) {
      const read = host(streams, 1, n * 10_000, 8, budget);
      for (let k = 0; k < 200; k++) read();
    }
    const read = host(streams, 3, 0, 8, budget);
    let asked = 0;
    for (let k = 0; k < 100; k++) {
      const { from, to } = read();
      asked += to - from;
    }
    expect(asked).toBeGreaterThan(700);
    expect(streams.unreadBlocks).toBeLessThanOrEqual(budget);
  });
});

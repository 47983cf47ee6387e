import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LiveRecords } from "../../../src/journal/live-records.ts";

describe("live records of a journal", () => {
  test("keep a mark at or before the oldest record that is needed, and no further back than a mark's stretch", () => {
    const dataBytes = 16_384 * 640;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 96, max: 9000 }), fc.double({ min: 0, max: 1, noNaN: true })), {
          maxLength: 400,
          size: "max",
        }),
        (steps) => {
          const live = new LiveRecords(dataBytes);
          const offsets = new Map<number, number>();
          let [sequence, offset, needed] = [0, 0, 1];
          for (const [bytes, share] of steps) {
            sequence += 1;
            offsets.set(sequence, offset);
            live.push(sequence, 7, offset);
            offset += bytes;
            needed = Math.max(needed, Math.floor(sequence * share));
            live.dropBelow(needed);
            const { oldest } = live;
            expect(oldest!.epoch).toBe(7);
            expect(oldest!.sequence).toBeLessThanOrEqual(needed);
            expect(oldest!.offset).toBe(offsets.get(oldest!.sequence));
            expect(offsets.get(needed)! - oldest!.offset).toBeLessThan(640 + 9000);
          }
          live.dropBelow(sequence + 1);
          expect(live.isEmpty).toBe(true);
          expect(live.oldest).toBeUndefined();
        },
      ),
    );
  });

  test("have room for the smallest records in all of the data area", () => {
    const dataBytes = 64 << 20;
    const live = new LiveRecords(dataBytes);
    let sequence = 0;
    for (let offset = 0; offset + 96 <= dataBytes; offset += 96) live.push(++sequence, 1, offset);
    expect(live.oldest).toEqual({ sequence: 1, epoch: 1, offset: 0 });
  });
});

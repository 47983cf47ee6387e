import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LostBlocks } from "../../../src/map/lost-blocks.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../../src/map/map-log.ts";
import { ZoneTable } from "../../../src/map/zone-table.ts";

const VOLUMES = 2;
const BLOCKS = 24;

/** Each toggles a block: lost, or good again. */
const toggles = fc.array(fc.tuple(fc.integer({ min: 1, max: VOLUMES }), fc.nat(BLOCKS - 1)), { maxLength: 120 });

function toggled(lost: LostBlocks, steps: readonly (readonly [number, number])[]): Set<string> {
  const model = new Set<string>();
  for (const [volume, block] of steps) {
    const key = `${volume}/${block}`;
    if (model.delete(key)) lost.remove(volume, block);
    else {
      model.add(key);
      lost.add(volume, block);
    }
  }
  return model;
}

function named(lost: LostBlocks): string[] {
  return lost.ranges.flatMap(({ volume, firstBlock, blockCount }) =>
    Array.from({ length: blockCount }, (_, n) => `${volume}/${firstBlock + n}`),
  );
}

describe("LostBlocks", () => {
  test("is a set of blocks, in the fewest ranges, in order", () => {
    fc.assert(
      fc.property(toggles, (steps) => {
        const lost = new LostBlocks();
        const model = toggled(lost, steps);
        expect(new Set(named(lost))).toEqual(model);
        expect(lost.total).toBe(model.size);
        for (let n = 1; n < lost.ranges.length; n++) {
          const [before, range] = [lost.ranges[n - 1]!, lost.ranges[n]!];
          const isApart = before.firstBlock + before.blockCount < range.firstBlock;
          expect(before.volume < range.volume || (before.volume === range.volume && isApart)).toBe(true);
        }
      }),
    );
  });

  test("past its bound names some of the blocks, none that is not lost, and counts them all", () => {
    fc.assert(
      fc.property(toggles, fc.integer({ min: 1, max: 4 }), (steps, rangesMax) => {
        const lost = new LostBlocks(rangesMax);
        const model = toggled(lost, steps);
        expect(lost.ranges.length).toBeLessThanOrEqual(rangesMax);
        for (const block of named(lost)) expect(model).toContain(block);
        expect(lost.total).toBe(model.size);
        for (let volume = 1; volume <= VOLUMES; volume++)
          expect(lost.count(volume)).toBe([...model].filter((key) => key.startsWith(`${volume}/`)).length);
      }),
    );
  });

  test("comes back from a checkpoint as it was; one cut short is not taken", () => {
    fc.assert(
      fc.property(toggles, (steps) => {
        const lost = new LostBlocks(8);
        toggled(lost, steps);
        const zones = new ZoneTable(3);
        const value = encodeCheckpoint({ logSequence: 7, zones, mapped: new Map([[1, 5]]), lost });
        const again = decodeCheckpoint(value, 3)!.lost;
        expect(again.ranges).toEqual(lost.ranges);
        expect(again.counts).toEqual(lost.counts);
        for (let bytes = 0; bytes < value.length; bytes += 4)
          expect(decodeCheckpoint(value.subarray(0, bytes), 3)).toBeUndefined();
      }),
    );
  });
});

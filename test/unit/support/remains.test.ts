import { expect, test } from "vitest";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { canBeHad } from "../../simulation/remains.ts";
import { builtStripes } from "../../support/built-stripes.ts";

const LEVELS: readonly RaidShape[] = [
  { level: 1, dataDrives: 1, copies: 3 },
  { level: 5, dataDrives: 3, copies: 1 },
  { level: 6, dataDrives: 4, copies: 1 },
  { level: 10, dataDrives: 2, copies: 2 },
];

function subsets(count: number): number[][] {
  return Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (_, n) => n).filter((n) => (bits >> n) & 1),
  );
}

test.each(LEVELS)("RAID-$level, $dataDrives × $copies: a block can be had exactly where the level says so", (raid) => {
  const { geometry, job, strip } = builtStripes(raid);
  const { level, shape } = geometry;
  for (const gone of subsets(level.driveCount)) {
    for (let column = 0; column < level.dataColumns; column++) {
      const copies = Array.from({ length: level.copies }, (_, copy) => level.positionOf(job.firstStripe, column, copy));
      const isThere = copies.some((position) => !gone.includes(position));
      const block = 100 + column * shape.blocksPerStrip;
      const had = canBeHad({
        ...{ level, shape, zone: job.zone, stripe: job.firstStripe, column, index: 0, volume: 7, block },
        strip: (position) => (gone.includes(position) ? undefined : strip(position, 0)),
      });
      expect(had, `column ${column} without ${gone.join(", ")}`).toBe(isThere || level.survives(gone));
    }
  }
});

test("with two parities a strip that is bad without showing it is left out; with one nothing is made up", () => {
  for (const [raid, expected] of [
    [{ level: 6, dataDrives: 4, copies: 1 }, true],
    [{ level: 5, dataDrives: 3, copies: 1 }, false],
  ] as const) {
    const { geometry, job, strip } = builtStripes(raid);
    const { level, shape } = geometry;
    const lost = level.positionOf(job.firstStripe, 0, 0);
    strip(level.positionOf(job.firstStripe, 1, 0), 0)[5]! ^= 4;
    const had = canBeHad({
      ...{ level, shape, zone: job.zone, stripe: job.firstStripe, column: 0, index: 0, volume: 7, block: 100 },
      strip: (position) => (position === lost ? undefined : strip(position, 0)),
    });
    expect(had).toBe(expected);
  }
});

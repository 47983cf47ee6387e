import { describe, expect, test } from "vitest";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { writeStripHeader } from "../../../src/raid/strip.ts";
import { NO_STRIPS } from "../../../src/raid/stripes-job.ts";
import { verifyStripes } from "../../../src/raid/verify-stripes.ts";
import { builtStripes } from "../../support/built-stripes.ts";

const SHAPES: readonly [string, RaidShape][] = [
  { level: 1, dataDrives: 1, copies: 3 } as const,
  { level: 5, dataDrives: 3 } as const,
  { level: 6, dataDrives: 4 } as const,
  { level: 10, dataDrives: 2 } as const,
].map((shape) => [raidLevel(shape).label, shape]);

describe("verifyStripes: what a scrub looks at", () => {
  test.each(SHAPES)("%s: finds nothing in stripes as they were built, padding and unreadable blocks included", (_, shape) => {
    const built = builtStripes(shape);
    expect(verifyStripes(built.global, built.job)).toEqual([]);
    for (const [position, before] of built.original.entries()) expect(built.drive(position).equals(before)).toBe(true);
  });

  test.each(SHAPES)("%s: finds a bit that flipped anywhere, and says which drive has it", (_, shape) => {
    const built = builtStripes(shape);
    const { level } = built.geometry;
    const { stripBytes, headerAt } = built.geometry.shape;
    const stripe = built.job.firstStripe + 1;
    // The last words of a header are zero and mean nothing.
    const offsets = [0, 4095, 4096, 8191, ...Array.from({ length: headerAt + 32 - 8192 }, (_strip, n) => 8192 + n)];
    for (let position = 0; position < level.driveCount; position++) {
      for (const offset of offsets) {
        const strip = built.strip(position, 1);
        strip[offset]! ^= 0x10;
        const isBlock = level.role(stripe, position) >= 0 && offset < 8192;
        expect(verifyStripes(built.global, built.job), `${position}, byte ${offset} of ${stripBytes}`).toEqual([
          isBlock ? { stripe, position, kind: "block", index: offset >> 12 } : { stripe, position, kind: "unsound" },
        ]);
        strip[offset]! ^= 0x10;
      }
    }
  });

  test("finds parity that proves itself but is not that of the data", () => {
    for (const dataDrives of [3, 4]) {
      const built = builtStripes({ level: dataDrives === 3 ? 5 : 6, dataDrives });
      const { level, shape } = built.geometry;
      const stripe = built.job.firstStripe + 2;
      for (const role of level.roles.filter((parity) => parity < 0)) {
        const position = level.positionOf(stripe, role, 0);
        built.strip(position, 2)[33]! ^= 1;
        const at = built.job.strips[position]! + 2 * shape.stripBytes;
        writeStripHeader(built.global, at, shape, { zone: built.job.zone, stripe, position, role });
        expect(verifyStripes(built.global, built.job)).toEqual([{ stripe, position, kind: "disagrees" }]);
        built.reset();
      }
    }
  });

  test("finds a strip of another place, and looks at what is there when a drive is not", () => {
    const built = builtStripes({ level: 5, dataDrives: 3 });
    const strips = built.job.strips.map((at, position) => (position === 2 ? NO_STRIPS : at));
    expect(verifyStripes(built.global, { ...built.job, strips })).toEqual([]);
    built.strip(1, 0).set(built.strip(1, 1));
    expect(verifyStripes(built.global, { ...built.job, strips })).toEqual([
      { stripe: built.job.firstStripe, position: 1, kind: "unsound" },
    ]);
  });
});

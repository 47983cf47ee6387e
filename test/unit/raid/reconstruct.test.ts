import { describe, expect, test } from "vitest";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { reconstruct } from "../../../src/raid/reconstruct.ts";
import { NO_STRIPS } from "../../../src/raid/stripes-job.ts";
import { type BuiltStripes, builtStripes } from "../../support/built-stripes.ts";

const SHAPES: readonly [string, RaidShape][] = [
  { level: 1, dataDrives: 1, copies: 2 } as const,
  { level: 1, dataDrives: 1, copies: 3 } as const,
  { level: 5, dataDrives: 2 } as const,
  { level: 5, dataDrives: 15 } as const,
  { level: 6, dataDrives: 2 } as const,
  { level: 6, dataDrives: 14 } as const,
  { level: 10, dataDrives: 3 } as const,
].map((shape) => [raidLevel(shape).label, shape]);

const ALL_MADE = { lost: [], doubtful: [] };

/** The job without these drives; the target's memory has something else in it. */
function jobWithout(built: BuiltStripes, target: number, lost: readonly number[]) {
  built.drive(target).fill(0x77);
  for (const position of lost) if (position !== target) built.drive(position).fill(0x55);
  const strips = built.job.strips.map((at, position) => (position !== target && lost.includes(position) ? NO_STRIPS : at));
  return { ...built.job, strips, target };
}

describe("reconstruct: strips of one drive, many stripes at a time", () => {
  test.each(SHAPES)("%s: every drive is made anew byte for byte, whatever else the level survives is lost", (_, shape) => {
    const built = builtStripes(shape);
    const { level } = built.geometry;
    for (let target = 0; target < level.driveCount; target++) {
      for (let other = 0; other < level.driveCount; other++) {
        const lost = other === target ? [target] : [target, other];
        if (!level.survives(lost)) continue;
        expect(reconstruct(built.global, jobWithout(built, target, lost))).toEqual(ALL_MADE);
        expect(built.drive(target).equals(built.original[target]!), `drive ${target} without ${lost}`).toBe(true);
        built.reset();
      }
    }
  });

  test.each(SHAPES)("%s: a survivor that is bad in silence is worked around, or its blocks are told as lost", (_, shape) => {
    const built = builtStripes(shape);
    const { level } = built.geometry;
    for (let target = 0; target < level.driveCount; target++) {
      for (let bad = 0; bad < level.driveCount; bad++) {
        if (bad === target) continue;
        // One block of one strip: its header does not tell.
        built.strip(bad, 1)[4096 + 17]! ^= 2;
        const { lost, doubtful } = reconstruct(built.global, jobWithout(built, target, [target]));
        const made = built.drive(target);
        const stripe = built.job.firstStripe + 1;
        const survives = level.survives([target, bad]) || level.role(stripe, target) < 0;
        if (survives) expect(lost, `drive ${target}, ${bad} bad`).toEqual([]);
        else if (level.parities > 0)
          expect(lost, `drive ${target}, ${bad} bad`).toEqual([{ stripe, position: target, index: 1 }]);
        // One parity is made of what it finds; of two, the other may say what is right. A parity that is bad is not looked at.
        const asIs = level.role(stripe, target) < 0 && level.role(stripe, bad) >= 0 && !level.survives([target, bad]);
        expect(doubtful, `drive ${target}, ${bad} bad`).toEqual(asIs ? [stripe] : []);
        // Parity that can't be made of what was there is made of what is.
        const exact = level.survives([target, bad]) || (lost.length === 0 && level.role(stripe, target) >= 0);
        if (exact) expect(made.equals(built.original[target]!), `drive ${target}, ${bad} bad`).toBe(true);
        built.reset();
      }
    }
  });

  test("with one survivor too few each block is told as lost, and none is made up", () => {
    for (const [, shape] of SHAPES) {
      const built = builtStripes(shape);
      const { level, shape: strip } = built.geometry;
      const lost = Array.from({ length: level.tolerance + 1 }, (_, n) => n);
      const target = 0;
      const { lost: told, doubtful } = reconstruct(built.global, jobWithout(built, target, lost));
      const expected: unknown[] = [];
      const unmade: number[] = [];
      for (let stripe = built.job.firstStripe; stripe < built.job.firstStripe + built.job.count; stripe++) {
        const left = new Set(
          Array.from({ length: level.driveCount }, (_, position) => position)
            .filter((position) => !lost.includes(position))
            .map((position) => level.role(stripe, position)),
        );
        const role = level.role(stripe, target);
        const gone = level.parities === 0 ? !left.has(role) : left.size < level.dataColumns;
        if (gone && role < 0) unmade.push(stripe);
        if (!gone || role < 0) continue;
        for (let index = 0; index < strip.blocksPerStrip; index++) expected.push({ stripe, position: target, index });
      }
      expect(told, level.label).toEqual(expected);
      expect(doubtful, level.label).toEqual(unmade);
      expect(expected.length, level.label).toBeGreaterThan(0);
    }
  });

  test("a strip of another place among the survivors is not used for what it says to be", () => {
    const built = builtStripes({ level: 6, dataDrives: 4 });
    built.strip(3, 1).set(built.strip(3, 2));
    for (const target of [0, 1, 2, 4, 5]) {
      expect(reconstruct(built.global, jobWithout(built, target, [target]))).toEqual(ALL_MADE);
      expect(built.drive(target).equals(built.original[target]!)).toBe(true);
      built.drive(target).set(built.original[target]!);
    }
  });
});

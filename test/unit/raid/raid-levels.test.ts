import { describe, expect, test } from "vitest";
import { type RaidLevel, type RaidShape, ROLE_P } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";

const RAID_5 = Array.from({ length: 14 }, (_, n): RaidShape => ({ level: 5, dataDrives: n + 2 }));
const SHAPES: readonly [string, RaidLevel][] = RAID_5.map((shape) => raidLevel(shape)).map((level) => [level.label, level]);

describe("RAID levels: which drive holds what (invariants 1 and 2)", () => {
  test.each(SHAPES)("%s: in every stripe each drive holds one strip, and role and position agree", (_, level) => {
    for (let stripe = 0; stripe < 3 * level.driveCount; stripe++) {
      const held: number[] = [];
      for (let role = -level.parities; role < level.dataColumns; role++) {
        for (let copy = 0; copy < (role < 0 ? 1 : level.copies); copy++) {
          const position = level.positionOf(stripe, role, copy);
          held.push(position);
          expect(level.role(stripe, position)).toBe(role);
        }
      }
      expect(held.sort((x, y) => x - y)).toEqual(Array.from({ length: level.driveCount }, (_, n) => n));
    }
  });

  test.each(SHAPES)("%s: parity visits every drive in turn", (_, level) => {
    for (let role = -1; role >= -level.parities; role--) {
      const visited = new Set(Array.from({ length: level.driveCount }, (_, stripe) => level.positionOf(stripe, role, 0)));
      expect(visited.size).toBe(level.driveCount);
    }
  });

  test.each(SHAPES)("%s: survives what it tolerates and no more", (_, level) => {
    expect(level.survives([])).toBe(true);
    const lost = Array.from({ length: level.driveCount }, (_, n) => n);
    expect(level.survives(lost.slice(0, level.tolerance))).toBe(true);
    expect(level.survives(lost.slice(0, level.tolerance + 1))).toBe(false);
  });

  test("the layout of RAID-5 is the one that drives were written with since the first release", () => {
    const level = raidLevel({ dataDrives: 3 });
    const rows = [0, 1, 2, 3, 4].map((stripe) => [0, 1, 2, 3].map((position) => level.role(stripe, position)));
    expect(rows).toEqual([
      [0, 1, 2, ROLE_P],
      [1, 2, ROLE_P, 0],
      [2, ROLE_P, 0, 1],
      [ROLE_P, 0, 1, 2],
      [0, 1, 2, ROLE_P],
    ]);
  });

  test.each([{ dataDrives: 1 }, { dataDrives: 16 }, { level: 4 as 5, dataDrives: 3 }] satisfies RaidShape[])(
    "refuses %o",
    (shape) => {
      expect(() => raidLevel(shape)).toThrow(RangeError);
    },
  );
});

import { describe, expect, test } from "vitest";
import { type RaidLevel, type RaidShape, ROLE_P, ROLE_Q } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const LEVELS: readonly RaidLevel[] = [
  ...range(2, 3).map((copies): RaidShape => ({ level: 1, dataDrives: 1, copies })),
  ...range(2, 15).map((dataDrives): RaidShape => ({ level: 5, dataDrives })),
  ...range(2, 14).map((dataDrives): RaidShape => ({ level: 6, dataDrives })),
  ...range(2, 8).map((dataDrives): RaidShape => ({ level: 10, dataDrives })),
].map((shape) => raidLevel(shape));
const SHAPES: readonly [string, RaidLevel][] = LEVELS.map((level) => [level.label, level]);

describe("RAID levels: which drive holds what (invariants 1 to 3)", () => {
  test.each(SHAPES)("%s: in every stripe each drive holds one strip, and role and position agree", (_, level) => {
    for (let stripe = 0; stripe < 3 * level.driveCount; stripe++) {
      const held: number[] = [];
      for (const role of level.roles) {
        for (let copy = 0; copy < (role < 0 ? 1 : level.copies); copy++) {
          const position = level.positionOf(stripe, role, copy);
          held.push(position);
          expect(Math.floor(position / level.copies)).toBe(Math.floor(level.positionOf(stripe, role, 0) / level.copies));
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
    const all = range(0, level.driveCount - 1);
    // What is left of a stripe is enough: a copy of each column, or as many strips as there are columns.
    for (let set = 0; set < 2 ** Math.min(level.driveCount, 12); set++) {
      const lost = all.filter((position) => (set >> position) & 1);
      const left = new Set(all.filter((position) => !lost.includes(position)).map((position) => level.role(7, position)));
      const enough = left.size >= level.dataColumns;
      if (level.survives(lost) !== enough || (lost.length <= level.tolerance && !enough))
        expect(lost).toBe("survived as it must be");
    }
  });

  test.each([
    [{ level: 1, dataDrives: 1, copies: 3 }, "RAID-1 3-way", 3, 2],
    [{ level: 5, dataDrives: 15 }, "RAID-5 15+1", 16, 1],
    [{ level: 6, dataDrives: 14, copies: 1 }, "RAID-6 14+2", 16, 2],
    [{ level: 10, dataDrives: 2 }, "RAID-10 2×2", 4, 1],
  ] satisfies [RaidShape, string, number, number][])("%o is %s", (shape, label, driveCount, tolerance) => {
    const level = raidLevel(shape);
    expect([level.label, level.driveCount, level.tolerance]).toEqual([label, driveCount, tolerance]);
    expect(raidLevel(level.config)).toMatchObject({ label, config: level.config });
  });

  test("the layout of RAID-6 is P's of RAID-5, with Q to its left", () => {
    const level = raidLevel({ level: 6, dataDrives: 2 });
    const rows = [0, 1, 2, 3, 4].map((stripe) => [0, 1, 2, 3].map((position) => level.role(stripe, position)));
    expect(rows).toEqual([
      [0, 1, ROLE_Q, ROLE_P],
      [1, ROLE_Q, ROLE_P, 0],
      [ROLE_Q, ROLE_P, 0, 1],
      [ROLE_P, 0, 1, ROLE_Q],
      [0, 1, ROLE_Q, ROLE_P],
    ]);
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

  test.each([
    { dataDrives: 1 },
    { dataDrives: 16 },
    { dataDrives: 3, copies: 2 },
    { level: 6, dataDrives: 1 },
    { level: 6, dataDrives: 15 },
    { level: 1, dataDrives: 2 },
    { level: 1, dataDrives: 1, copies: 4 },
    { level: 10, dataDrives: 1 },
    { level: 10, dataDrives: 9 },
    { level: 10, dataDrives: 2, copies: 3 },
    { level: 4 as 5, dataDrives: 3 },
  ] satisfies RaidShape[])("refuses %o", (shape) => {
    expect(() => raidLevel(shape)).toThrow(RangeError);
  });
});

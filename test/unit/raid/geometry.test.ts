import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodePlace, groupGeometry, NOT_MAPPED, placeOf, slotOfPlace } from "../../../src/raid/geometry.ts";

describe("geometry of a RAID-5 group", () => {
  test("a place reads back as what it was made of, is unique, and never says not mapped", () => {
    const shape = fc.record({
      dataDrives: fc.integer({ min: 2, max: 15 }),
      blocksPerStrip: fc.integer({ min: 1, max: 16 }),
      stripesPerZone: fc.integer({ min: 1, max: 3000 }),
      zoneSlots: fc.integer({ min: 1, max: 400 }),
    });
    fc.assert(
      fc.property(shape, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (options, [a, b, c, d]) => {
        const geometry = groupGeometry(options);
        const at = {
          slot: a! % options.zoneSlots,
          stripe: b! % options.stripesPerZone,
          column: c! % options.dataDrives,
          index: d! % options.blocksPerStrip,
        };
        const place = placeOf(geometry, at);
        expect(decodePlace(geometry, place)).toEqual(at);
        expect(slotOfPlace(geometry, place)).toBe(at.slot);
        expect(place).toBeGreaterThan(NOT_MAPPED);
        expect(place).toBeLessThan(2 ** 32);
      }),
    );
    const small = groupGeometry({ dataDrives: 3, blocksPerStrip: 2, stripesPerZone: 5, zoneSlots: 4 });
    const all = new Set<number>();
    for (let slot = 0; slot < 4; slot++)
      for (let stripe = 0; stripe < 5; stripe++)
        for (let column = 0; column < 3; column++)
          for (let index = 0; index < 2; index++) all.add(placeOf(small, { slot, stripe, column, index }));
    expect(all.size).toBe(4 * 5 * 3 * 2);
    expect(Math.max(...all)).toBe(all.size);
  });

  test("refuses a pool with more places than 32 bits name", () => {
    expect(() => groupGeometry({ dataDrives: 8, blocksPerStrip: 16, stripesPerZone: 32768, zoneSlots: 1024 })).toThrow(
      RangeError,
    );
  });
});

import { describe, expect, test } from "vitest";
import { ZONE_STATE, ZoneTable } from "../../../src/map/zone-table.ts";
import { chooseVictim } from "../../../src/volume/victim.ts";

const BLOCKS = 100;

/** Sealed zones with so many live blocks, born so many zones ago. */
function choose(
  given: readonly { live: number; age: number; state?: number }[],
  options: { isUrgent?: boolean; mayEmpty?: (slot: number) => boolean } = {},
): number {
  const zones = new ZoneTable(given.length + 1);
  zones.nextZone = 1000;
  for (const [slot, { live, age, state }] of given.entries()) {
    zones.state[slot] = state ?? ZONE_STATE.sealed;
    zones.zone[slot] = 1000 - age;
    zones.live[slot] = live;
  }
  return chooseVictim({
    zones,
    blocksPerZone: BLOCKS,
    blocksPerStripe: 2,
    isUrgent: options.isUrgent ?? false,
    mayEmpty: options.mayEmpty ?? (() => true),
  });
}

describe("chooseVictim", () => {
  test("takes the emptier of two zones of one age", () => {
    expect(
      choose([
        { live: 60, age: 10 },
        { live: 50, age: 10 },
      ]),
    ).toBe(1);
  });

  test("takes the older of two zones that are equally full: what lives in it is likely to stay", () => {
    expect(
      choose([
        { live: 50, age: 10 },
        { live: 50, age: 90 },
      ]),
    ).toBe(1);
  });

  test("takes an old zone before a young one with somewhat more garbage, unless zones are short", () => {
    const zones = [
      { live: 50, age: 4 },
      { live: 70, age: 400 },
    ];
    expect(choose(zones)).toBe(1);
    expect(choose(zones, { isUrgent: true })).toBe(0);
  });

  test("takes a zone that nothing lives in before all others", () => {
    expect(
      choose([
        { live: 1, age: 900 },
        { live: 0, age: 1 },
      ]),
    ).toBe(1);
  });

  test("takes a zone with a stripe of garbage when zones are short: the garbage of a full pool may be spread evenly", () => {
    const zones = [
      { live: 99, age: 900 },
      { live: 98, age: 1 },
    ];
    expect(choose(zones)).toBe(-1);
    expect(choose(zones, { isUrgent: true })).toBe(1);
    expect(choose([{ live: 99, age: 900 }], { isUrgent: true })).toBe(-1);
  });

  test("leaves zones that are full of live blocks, open, or kept", () => {
    expect(choose([{ live: 98, age: 900 }])).toBe(-1);
    expect(choose([{ live: 0, age: 1, state: ZONE_STATE.open }])).toBe(-1);
    expect(
      choose(
        [
          { live: 0, age: 1 },
          { live: 50, age: 1 },
        ],
        { mayEmpty: (slot) => slot === 1 },
      ),
    ).toBe(1);
    expect(choose([])).toBe(-1);
  });
});

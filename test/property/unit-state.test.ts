/** The state of a logical unit in global memory, whose owner stops between any two stores: each fact is old or new, and what was answered is there. */
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { UNIT_ROWS } from "../../drivers/shared-memory/layout.ts";
import { NO_SLOT, UNIT_NEXUSES_MAX, UnitTable } from "../../drivers/shared-memory/unit-table.ts";
import { LogicalUnit } from "../../src/scsi/logical-unit.ts";
import { testGlobalMemory } from "../support/global-memory.ts";

const VOLUME = 5;
const NEXUSES = [1, 2, 65_537, 65_538, 8 * 65_536 - 1] as const;

class Stopped extends Error {}

const operation = fc.oneof(
  fc.record({
    kind: fc.constantFrom("meet", "reserve", "release", "tell", "heard", "close"),
    nexus: fc.constantFrom(...NEXUSES),
  }),
  fc.record({ kind: fc.constantFrom("grown", "reset"), nexus: fc.constant(0) }),
);

function apply(unit: LogicalUnit, { kind, nexus }: { kind: string; nexus: number }): void {
  switch (kind) {
    case "reserve":
      if (!unit.reservedByOther(nexus)) unit.reservation = nexus;
      break;
    case "release":
      if (unit.reservation === nexus) unit.reservation = -1;
      break;
    case "tell":
      unit.nexus(nexus).tellFirst();
      break;
    case "heard":
      unit.nexus(nexus).heard();
      break;
    case "close":
      unit.forgetNexus(nexus);
      break;
    case "grown":
      unit.raise("capacityDataHasChanged");
      break;
    case "reset":
      unit.reset(() => {});
      break;
    default:
      unit.nexus(nexus);
  }
}

/** What the next owner finds. */
function facts(table: UnitTable): { reservation: number; nexuses: Map<number, number> } {
  const row = table.row(VOLUME)!;
  return { reservation: row.reservation, nexuses: new Map(row.nexuses().map(({ nexus, attentions }) => [nexus, attentions])) };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a unit's row in global memory", () => {
  test("has each fact old or new wherever its owner stops, and all of what was done before", () => {
    const { global } = testGlobalMemory({ frameCount: 256 });
    const table = new UnitTable(global);
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 12 }), operation, fc.nat(8), (before, last, stores) => {
        table.find(VOLUME)?.free();
        const unit = new LogicalUnit(VOLUME, table.row(VOLUME));
        for (const one of before) apply(unit, one);
        const old = facts(table);
        // Its last operation stops after so many stores.
        const store = Atomics.store.bind(Atomics) as (array: Int32Array, index: number, value: number) => number;
        let left = stores;
        const spy = vi.spyOn(Atomics, "store").mockImplementation(((array: Int32Array, index: number, value: number) => {
          if (left === 0) throw new Stopped();
          left -= 1;
          return store(array, index, value);
        }) as typeof Atomics.store);
        let whole = true;
        try {
          apply(unit, last);
        } catch (error) {
          if (!(error instanceof Stopped)) throw error;
          whole = false;
        }
        spy.mockRestore();
        const found = facts(table);
        if (!whole) apply(unit, last);
        const done = facts(table);
        if (whole) expect(found).toEqual(done);
        expect([old.reservation, done.reservation]).toContain(found.reservation);
        for (const nexus of NEXUSES) {
          expect([old.nexuses.get(nexus), done.nexuses.get(nexus)]).toContain(found.nexuses.get(nexus));
        }
        // The next owner goes on with exactly that.
        const next = new LogicalUnit(VOLUME, table.row(VOLUME));
        next.restore(() => true);
        expect(next.reservation).toBe(done.reservation);
        for (const [nexus, attentions] of done.nexuses) expect(next.nexus(nexus).attentions).toBe(attentions);
      }),
      { numRuns: 500 },
    );
  });

  test("holds a bounded number of nexuses; one more has its state at the owner only", () => {
    const table = new UnitTable(testGlobalMemory({ frameCount: 256 }).global);
    const unit = new LogicalUnit(VOLUME, table.row(VOLUME));
    for (let nexus = 0; nexus <= UNIT_NEXUSES_MAX; nexus += 1) unit.nexus(nexus);
    expect(table.row(VOLUME)!.nexuses()).toHaveLength(UNIT_NEXUSES_MAX);
    expect(table.row(VOLUME)!.add(9999, 0)).toBe(NO_SLOT);
    unit.raise("capacityDataHasChanged");
    unit.forgetNexus(UNIT_NEXUSES_MAX);
    // Commands of a nexus that is gone may still run: its slot is another's by now.
    const gone = unit.nexus(3);
    unit.forgetNexus(3);
    unit.nexus(5000);
    gone.raise("modeParametersChanged");
    expect(facts(table).nexuses.get(3)).toBeUndefined();
    expect(facts(table).nexuses.get(5000)).toBe(1);
  });

  test("rows are as many as there can be volumes, and come back when volumes are deleted", () => {
    const table = new UnitTable(testGlobalMemory({ frameCount: 256 }).global);
    for (let volume = 0; volume < UNIT_ROWS; volume += 1) table.row(volume)!.reservation = volume;
    expect(table.row(UNIT_ROWS)).toBeUndefined();
    new LogicalUnit(UNIT_ROWS, undefined).reservation = 3; // does without
    table.find(7)!.free();
    expect(table.row(UNIT_ROWS)!.reservation).toBe(-1);
    expect(table.row(8)!.reservation).toBe(8);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INTERVALS_MAX, ZoneLedger } from "../../../drivers/drive/zone-ledger.ts";

describe("ZoneLedger", () => {
  test("knows what a set of the retired numbers knows, also after it was stored", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 60, size: "max" }), (zones) => {
        let ledger = new ZoneLedger();
        for (const zone of zones) ledger = ledger.withRetired(zone);
        const stored = ZoneLedger.decode(ledger.encode());
        const retired = new Set(zones);
        for (let zone = 0; zone <= 61; zone++) {
          expect(ledger.isRetired(zone)).toBe(retired.has(zone));
          expect(stored?.isRetired(zone)).toBe(retired.has(zone));
        }
      }),
    );
  });

  test("is one interval when all numbers were used in turn", () => {
    let ledger = new ZoneLedger();
    for (const zone of [3, 1, 2, 0, 5, 4]) ledger = ledger.withRetired(zone);
    expect(ledger.intervalCount).toBe(1);
  });

  test("stays within its bound, and forgets no retired number", () => {
    let ledger = new ZoneLedger(Array.from({ length: INTERVALS_MAX }, (_, index) => [index * 3, index * 3]).flat());
    ledger = ledger.withRetired(INTERVALS_MAX * 3);
    expect(ledger.intervalCount).toBe(INTERVALS_MAX);
    for (let index = 0; index <= INTERVALS_MAX; index++) expect(ledger.isRetired(index * 3)).toBe(true);
    expect(ledger.isRetired(1)).toBe(true);
    expect(ledger.isRetired(4)).toBe(false);
    expect(ZoneLedger.decode(ledger.encode())).toBeDefined();
  });

  test.each([
    ["a broken length", [0, 0, 0]],
    ["an interval that ends before it begins", [0, 0, 0, 2, 0, 0, 0, 1]],
    ["intervals out of order", [0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2]],
  ])("refuses %s", (_what, bytes) => {
    expect(ZoneLedger.decode(Uint8Array.from(bytes))).toBeUndefined();
  });
});

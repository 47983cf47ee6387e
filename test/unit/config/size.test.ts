import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatSize, parseSize } from "../../../src/config/size.ts";

describe("sizes", () => {
  test.each([
    ["0", 0],
    ["4096", 4096],
    ["4096B", 4096],
    ["512MiB", 512 * 2 ** 20],
    ["16 GiB", 16 * 2 ** 30],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["8TiB", 8 * 2 ** 40],
    [" 64KiB ", 65536],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ])("reads %s", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each([
    "",
    "-1",
    "1GB",
    "1gib",
    "GiB",
    "1e9",
    "0x10",
    "1,5GiB",
    "1.5",
    "0.3KiB",
    "9007199254740992",
    "9999TiB1",
    "1 GiB GiB",
    "NaN",
  ])("refuses %j", (text) => expect(parseSize(text)).toBeUndefined());

  test("a formatted size reads back as itself", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 8000 }),
        fc.constantFrom(10, 20, 30, 40),
        (count, shift) => parseSize(formatSize(count * 2 ** shift)) === count * 2 ** shift,
      ),
    );
  });

  test("no text makes anything but a safe whole number or nothing", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const bytes = parseSize(text);
        expect(bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
      }),
    );
  });
});

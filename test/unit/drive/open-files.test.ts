import { describe, expect, test } from "vitest";
import { openFilesMax, zonesOpenMax } from "../../../drivers/drive/open-files.ts";

describe("zonesOpenMax", () => {
  test("is what is wanted where there are files enough, and less where there are not", () => {
    expect(zonesOpenMax(8, 128, 20_000)).toBe(128);
    expect(zonesOpenMax(8, 128, Number.MAX_SAFE_INTEGER)).toBe(128);
    expect(zonesOpenMax(8, 128, 1024)).toBe(12);
    expect(zonesOpenMax(64, 128, 256)).toBe(4);
  });

  test("reads the soft limit of the process", () => {
    const limits =
      "Limit                     Soft Limit           Hard Limit           Units\nMax open files            20000                20000                files\n";
    expect(openFilesMax(() => limits)).toBe(20_000);
    expect(openFilesMax(() => limits.replaceAll("20000", "unlimited"))).toBe(Number.MAX_SAFE_INTEGER);
    expect(openFilesMax(() => "")).toBe(1024);
    expect(
      openFilesMax(() => {
        throw new Error("no /proc");
      }),
    ).toBe(1024);
    expect(openFilesMax()).toBeGreaterThan(0);
  });
});

/** qemu-img against a thin unit: `map`, `convert` and `compare` ask GET LBA STATUS for what they may skip. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { hasTools, runTool } from "../support/tools.ts";

const MEBIBYTE = 2 ** 20;

interface Extent {
  start: number;
  length: number;
  data: boolean;
  zero: boolean;
}

describe.skipIf(!hasTools("qemu-img"))("GET LBA STATUS (SBC-3 §5.6), as qemu-img asks it", () => {
  let array: RunningArray;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "varray-lba-"));
    array = await startArray();
  });
  afterAll(async () => {
    await array?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function map(lun: number, portal: number): Extent[] {
    const { status, output } = runTool("qemu-img", ["map", "-f", "raw", "--output=json", array.lunUrl(lun, portal)]);
    expect(output).not.toMatch(/error|failed|ILLEGAL/i);
    expect(status).toBe(0);
    return JSON.parse(output) as Extent[];
  }

  function dataBytes(extents: readonly Extent[]): number {
    return extents.reduce((sum, { length, data }) => sum + (data ? length : 0), 0);
  }

  test("an empty unit is one hole, at its owner's portal and through the channel, also when the map is not in memory", async () => {
    for (const portal of [0, 1]) expect(map(0, portal)).toEqual([expect.objectContaining({ start: 0, data: false, zero: true })]);
    await array.stop();
    await array.restart();
    for (const portal of [0, 1]) expect(map(0, portal)).toEqual([expect.objectContaining({ start: 0, data: false, zero: true })]);
  });

  /** A test asks at i + 1 for the descriptor of i + lbppb, which are one only here (expected-skips.tsv). */
  test.skipIf(!hasTools("iscsi-test-cu"))("libiscsi's tests pass on a unit whose logical block is a physical block", async () => {
    const body = { name: "lba4k", pool: "A", sizeBytes: 2 ** 34, logicalBlockBytes: 4096, lun: 9 };
    const created = await array.api("/api/v1/volumes", { method: "POST", body });
    expect(created.status, await created.text()).toBe(201);
    for (const portal of [0, 1]) {
      const { status, output } = runTool("iscsi-test-cu", ["-d", "-t", "ALL.GetLBAStatus.*", array.lunUrl(9, portal)]);
      expect(output).not.toMatch(/FAILED|SKIPPED/);
      expect(status, output).toBe(0);
    }
    // 16 GiB whose map is not in memory after a restart, but for the first pages.
    await array.kill9();
    await array.restart();
    expect(map(9, 1).at(-1)).toMatchObject({ data: false, zero: true });
  });

  test("what was written is data, before destage and after; what was unmapped is a hole; compare says identical", async () => {
    const image = join(folder, "image.raw");
    const size = map(0, 0).reduce((sum, { length }) => sum + length, 0);
    writeFileSync(image, Buffer.alloc(3 * MEBIBYTE, 0x5a));
    for (const portal of [0, 1]) {
      const written = runTool("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", image, array.lunUrl(0, portal)]);
      expect(written).toEqual({ status: 0, output: "" });
      const extents = map(0, 1 - portal);
      expect(dataBytes(extents)).toBe(3 * MEBIBYTE);
      expect(extents.at(-1)).toMatchObject({ data: false, start: 3 * MEBIBYTE, length: size - 3 * MEBIBYTE });
      expect(runTool("qemu-img", ["compare", "-f", "raw", "-F", "raw", image, array.lunUrl(0, portal)])).toMatchObject({
        status: 0,
        output: expect.stringContaining("Images are identical"),
      });
    }
    await array.kill9();
    await array.restart();
    expect(dataBytes(map(0, 0))).toBe(3 * MEBIBYTE);
  });
});

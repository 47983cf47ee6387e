/**
 * An array with the least memory and hosts that send far more at once than fits: every write waits its turn (some are
 * answered TASK SET FULL and sent again), none fails, none hangs, also when the hosts of both directors write through the director that does not own the volume.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { hasTools, runToolBeside } from "../support/tools.ts";

const IMAGE_BYTES = 96 * 1024 * 1024;
const PORTALS = [0, 1];

if (!hasTools("qemu-img"))
  process.stdout.write("skipped: small memory test, needs qemu-img (Debian packages: qemu-utils qemu-block-extra)\n");

describe
  .skipIf(!hasTools("qemu-img"))
  .sequential("64 MiB of frames, 16 writes of 2 MiB at once on each LUN", { timeout: 240_000 }, () => {
    let folder: string;
    let image: string;
    let array: RunningArray;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "varray-small-"));
      image = join(folder, "image");
      const bytes = Buffer.alloc(IMAGE_BYTES);
      // No block is like another, and none is zeros.
      for (let at = 0; at < IMAGE_BYTES; at += 512) bytes.writeUInt32LE(at / 512 + 1, at);
      writeFileSync(image, bytes);
      array = await startArray({
        env: {
          VARRAY_MEMORY_FRAMES: "64MiB",
          VARRAY_INITIAL_VOLUMES_0_SIZE: `${IMAGE_BYTES}`,
          VARRAY_INITIAL_VOLUMES_1_SIZE: `${IMAGE_BYTES}`,
        },
      });
    }, 120_000);

    afterAll(async () => {
      await array?.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const convert = (lun: number, portal: number) =>
      runToolBeside("qemu-img", ["convert", "-n", "-m", "16", "-W", "-f", "raw", "-O", "raw", image, array.lunUrl(lun, portal)]);

    test.each(["own", "crossed"])(
      "both LUNs are written through their %s portals, and every write gets through",
      async (paths) => {
        const results = await Promise.all(PORTALS.map((lun) => convert(lun, paths === "own" ? lun : 1 - lun)));
        for (const { status, output } of results) {
          expect(output).not.toMatch(/failed|error while/i);
          expect(status).toBe(0);
        }
        for (const lun of PORTALS) {
          const { status, output } = await runToolBeside("qemu-img", [
            "compare",
            "-f",
            "raw",
            "-F",
            "raw",
            image,
            array.lunUrl(lun, lun),
          ]);
          expect(output).toContain("Images are identical");
          expect(status).toBe(0);
        }
      },
    );
  });

/** A real image, written by qemu-img through one director, is there after the power button, and after a drive is lost. */
import { closeSync, cpSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { makeExt4Image } from "../support/ext4-image.ts";
import { Random } from "../support/random.ts";
import { hasTools, runToolBeside } from "../support/tools.ts";

const IMAGE_MIB = Number(process.env.VARRAY_TEST_IMAGE_MIB ?? 256);
const TOOLS = ["qemu-img", "mkfs.ext4"];
const STOP_MILLISECONDS_MAX = 5000;
const SEED = 20_261_121;
const PORTAL_1A = 0;
const PORTAL_1B = 1;

if (!hasTools(...TOOLS)) {
  process.stdout.write(
    "skipped: image test, needs qemu-img and mkfs.ext4 (Debian packages: qemu-utils qemu-block-extra e2fsprogs)\n",
  );
}

/** One story, told in order: each test goes on where the one before it ended. */
describe.skipIf(!hasTools(...TOOLS)).sequential(`an ext4 image of ${IMAGE_MIB} MiB on LUN 0`, { timeout: 600_000 }, () => {
  let folder: string;
  let image: string;
  let array: RunningArray;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "varray-image-"));
    image = await makeExt4Image(folder, IMAGE_MIB, new Random(SEED));
    array = await startArray({
      // No spare: what a drive lacks must come from the others, and stay away until it is there again.
      env: { VARRAY_INITIAL_VOLUMES_0_SIZE: `${statSync(image).size}`, VARRAY_POOLS_A_SPARES: "," },
    });
  }, 600_000);

  afterAll(async () => {
    await array?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function write(portal: number): Promise<void> {
    const args = ["convert", "-n", "-f", "raw", "-O", "raw", image, array.lunUrl(0, portal)];
    const { status, output } = await runToolBeside("qemu-img", args);
    expect(status, output).toBe(0);
  }

  async function expectIdentical(portal: number): Promise<void> {
    const { status, output } = await runToolBeside("qemu-img", [
      "compare",
      "-f",
      "raw",
      "-F",
      "raw",
      image,
      array.lunUrl(0, portal),
    ]);
    expect(output).toContain("Images are identical");
    expect(status).toBe(0);
  }

  function driveFolder(name: string): string {
    return join(array.dataFolder, "drives", name);
  }

  test("written through 1A and killed with kill -9, it is identical through 1B", async () => {
    await write(PORTAL_1A);
    await array.kill9();
    await array.restart();
    await expectIdentical(PORTAL_1B);
  });

  test("destaged by the API, it needs the journal no more, and the array stops with status 0 in time", async () => {
    await array.destage("A");
    const { journalLiveBytes, dirtyBytes } = await array.pool("A");
    expect({ journalLiveBytes, dirtyBytes }).toEqual({ journalLiveBytes: 0, dirtyBytes: 0 });
    const { status, signal, milliseconds } = await array.stop();
    expect({ status, signal }).toEqual({ status: 0, signal: null });
    expect(milliseconds).toBeLessThan(STOP_MILLISECONDS_MAX);
  });

  test("with one drive's folder deleted it is identical through both portals", async () => {
    cpSync(driveFolder("01"), join(folder, "older-01"), { recursive: true });
    rmSync(driveFolder("01"), { recursive: true });
    await array.restart();
    const { state, drives } = await array.pool("A");
    expect(state).toBe("degraded");
    expect(drives.map((drive) => drive.state)).toEqual(["online", "missing", "online", "online"]);
    await expectIdentical(PORTAL_1A);
    await expectIdentical(PORTAL_1B);
    expect(await array.poolMetric("varray_degraded_reads_total", "A")).toBeGreaterThan(0);
  });

  test("it takes writes while a drive is missing, which are there after kill -9 and destage", async () => {
    change(image);
    await write(PORTAL_1B);
    await array.kill9();
    await array.restart();
    await array.destage("A");
    await array.stop();
    await array.restart();
    await expectIdentical(PORTAL_1A);
    await expectIdentical(PORTAL_1B);
  });

  test("an older copy of the drive, put back, gets what it lacks before it is trusted", async () => {
    await array.stop();
    cpSync(join(folder, "older-01"), driveFolder("01"), { recursive: true });
    await array.restart();
    const { state, drives } = await array.pool("A");
    expect(state).not.toBe("failed");
    expect(["rebuilding", "online"]).toContain(drives[1]!.state);
    await expectIdentical(PORTAL_1A);
    await expect.poll(async () => (await array.pool("A")).state, { timeout: 60_000, interval: 500 }).toBe("optimal");
    // Without another drive, it is that drive that the image comes from.
    await array.stop();
    rmSync(driveFolder("02"), { recursive: true });
    await array.restart();
    await expectIdentical(PORTAL_1A);
    await expectIdentical(PORTAL_1B);
  });
});

/** New content in some places of the image, not aligned to anything. */
function change(path: string): void {
  const random = new Random(SEED + 1);
  const { size } = statSync(path);
  const file = openSync(path, "r+");
  try {
    for (let n = 0; n < 200; n++) {
      const bytes = Buffer.alloc(random.between(1, 100_000), `changed ${n} `);
      writeSync(file, bytes, 0, bytes.length, random.between(0, size - bytes.length));
    }
  } finally {
    closeSync(file);
  }
}

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataFolder, type KnownDrive } from "../../../directors/data-folder.ts";
import { StartError } from "../../../directors/start-error.ts";

const DRIVE: KnownDrive = {
  driveId: "ab".repeat(16),
  geometry: { capacityBytes: 2 ** 30, stripBytes: 66_112, stripsPerZone: 100, zoneCount: 16 },
};

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "varray-folder-"));
});
afterEach(() => {
  rmSync(path, { recursive: true, force: true });
});

async function refusal(): Promise<StartError> {
  try {
    await (await DataFolder.open(path)).close();
  } catch (error) {
    if (error instanceof StartError) return error;
    throw error;
  }
  throw new Error("the folder was opened");
}

describe("data folder", () => {
  test("makes a new folder, with its parents", async () => {
    const folder = await DataFolder.open(join(path, "a", "b"));
    expect(JSON.parse(readFileSync(join(path, "a", "b", "format"), "utf8"))).toEqual({ formatVersion: 1, drives: {} });
    expect(folder.knownDrive("00")).toBeUndefined();
    expect(folder.knownDrive("constructor")).toBeUndefined();
    await folder.close();
  });

  test.runIf(existsSync("/proc/self"))("a place that takes no folders is refused, not tried for ever", async () => {
    await expect(DataFolder.open("/proc/varray-test/a")).rejects.toThrow(/can't be made: ENOENT/);
  });

  test("is held by one at a time, and says what to do about it", async () => {
    const first = await DataFolder.open(path);
    const error = await refusal();
    expect(error.exitStatus).toBe(3);
    expect(error.message).toContain(path);
    expect(error.message).toContain("VARRAY_DATA");
    await first.close();
    await (await DataFolder.open(path)).close();
  });

  test("opens with a lock that a power loss left empty: LevelDB does not sync a database's first files", async () => {
    await (await DataFolder.open(path)).close();
    const lock = join(path, "lock");
    for (const name of readdirSync(lock)) if (name.startsWith("MANIFEST")) truncateSync(join(lock, name));
    const again = await DataFolder.open(path);
    await expect(DataFolder.open(path)).rejects.toThrow("in use by another varray");
    await again.close();
  });

  test("remembers the drives that were formatted", async () => {
    const first = await DataFolder.open(path);
    first.addDrives({ "00": DRIVE });
    first.addDrives({ "01": DRIVE });
    await first.close();
    const again = await DataFolder.open(path);
    expect([again.knownDrive("00"), again.knownDrive("01"), again.knownDrive("02")]).toEqual([DRIVE, DRIVE, undefined]);
    await again.close();
  });

  test.each([
    ['{"formatVersion": 99, "drives": {}}', "says format 99"],
    ['{"formatVersion": 1}', "says format 1"],
    ["null", "says format undefined"],
    ["{", "can't be read"],
  ])("refuses a format file of %s, and lets go of the lock", async (text, expected) => {
    writeFileSync(join(path, "format"), text);
    const error = await refusal();
    expect(error.exitStatus).toBe(4);
    expect(error.message).toContain(expected);
    writeFileSync(join(path, "format"), '{"formatVersion": 1, "drives": {}}');
    await (await DataFolder.open(path)).close();
  });

  test("refuses drives without a format file: formatting them would lose what they hold", async () => {
    mkdirSync(join(path, "drives", "00"), { recursive: true });
    const error = await refusal();
    expect(error.exitStatus).toBe(4);
    expect(error.message).toContain("format is missing");
  });

  test("refuses a path that is a file", async () => {
    path = join(path, "file");
    writeFileSync(path, "");
    expect((await refusal()).exitStatus).toBe(4);
  });
});

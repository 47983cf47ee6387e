import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type DiskReserve, DiskSpace } from "../../../drivers/drive/disk-space.ts";
import type { Drive, DriveGeometry } from "../../../drivers/drive/drive.ts";
import { createLevelDatabase } from "../../../drivers/drive/level-database.ts";
import { LevelDriveMedium } from "../../../drivers/drive/level-drive.ts";
import { formatDrive, METADATA_TUNING, openMetadata } from "../../../drivers/drive/level-drive-format.ts";
import { encodeLabel } from "../../../drivers/drive/level-label.ts";
import { LEVEL_DRIVE_BOUNDS, type LevelDriveBounds } from "../../../drivers/drive/level-zones.ts";
import { temporaryFolder, testGlobalMemory } from "../../support/drive-fixtures.ts";

const GEOMETRY: DriveGeometry = { capacityBytes: 1 << 24, stripBytes: 8192, stripsPerZone: 4096, zoneCount: 64 };
const { global } = testGlobalMemory();
const scratch = global.layout.staging[0]!;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function parent(): string {
  const temporary = temporaryFolder();
  cleanups.push(temporary.remove);
  return temporary.path;
}

async function formatted(at = parent()): Promise<string> {
  const folder = join(at, "d0");
  await formatDrive(folder, { name: "d0", driveId: "id", geometry: GEOMETRY });
  return folder;
}

async function opened(folder: string, options: { bounds?: LevelDriveBounds; reserve?: DiskReserve } = {}) {
  const medium = await LevelDriveMedium.open(folder, { name: "d0", global, ...options });
  const drive = medium.attach();
  await drive.open(1);
  return { medium, drive };
}

function write(drive: Drive, zone: number, firstStrip: number, count = 1): Promise<void> {
  for (let index = 0; index < count; index++) {
    global.u8.fill((zone + firstStrip + index) & 0xff, scratch + index * 8192, scratch + (index + 1) * 8192);
  }
  return drive.writeStrips({ zone, firstStrip, count, address: scratch, strideBytes: 8192 });
}

async function read(drive: Drive, zone: number, strip: number): Promise<number> {
  const address = scratch + 2 * 1024 * 1024;
  global.u8.fill(0, address, address + 8192);
  await drive.readStrips({ zone, firstStrip: strip, count: 1, address, strideBytes: 8192 });
  return global.u8[address + 8191]!;
}

const open = (folder: string, name = "d0") => LevelDriveMedium.open(folder, { name, global });

describe("formatDrive and opening", () => {
  test("refuses a folder that holds a drive, or anything else", async () => {
    const at = parent();
    const folder = await formatted(at);
    await expect(formatDrive(folder, { name: "d0", driveId: "x", geometry: GEOMETRY })).rejects.toMatchObject({
      kind: "invalid",
    });
    mkdirSync(join(at, "other"));
    writeFileSync(join(at, "other", "photo.jpg"), "precious");
    const format = formatDrive(join(at, "other"), { name: "d0", driveId: "x", geometry: GEOMETRY });
    await expect(format).rejects.toMatchObject({ kind: "foreign" });
    expect(readdirSync(join(at, "other"))).toEqual(["photo.jpg"]);
  });

  test("formats where an earlier formatting was interrupted before its label", async () => {
    const folder = join(parent(), "d0");
    mkdirSync(join(folder, "zones"), { recursive: true });
    await createLevelDatabase(join(folder, "meta"), METADATA_TUNING);
    await expect(open(folder)).rejects.toMatchObject({ kind: "foreign" });
    await formatDrive(folder, { name: "d0", driveId: "id", geometry: GEOMETRY });
    await (await open(folder)).close();
  });

  test("formats where a power loss left a database that was not whole yet", async () => {
    const folder = join(parent(), "d0");
    mkdirSync(join(folder, "meta.new"), { recursive: true });
    mkdirSync(join(folder, "zones"));
    writeFileSync(join(folder, "meta.new", "CURRENT"), "MANIFEST-000001\n");
    writeFileSync(join(folder, "meta.new", "MANIFEST-000001"), "");
    await formatDrive(folder, { name: "d0", driveId: "id", geometry: GEOMETRY });
    expect(readdirSync(folder).sort()).toEqual(["meta", "zones"]);
  });

  test("does not format over zones whose label is lost", async () => {
    const folder = await formatted();
    const { medium, drive } = await opened(folder);
    await drive.createZone(1);
    await medium.close();
    rmSync(join(folder, "meta"), { recursive: true });
    await expect(open(folder)).rejects.toMatchObject({ kind: "foreign" });
    await expect(formatDrive(folder, { name: "d0", driveId: "x", geometry: GEOMETRY })).rejects.toMatchObject({
      kind: "invalid",
    });
    expect(existsSync(join(folder, "zones", "00000001"))).toBe(true);
  });

  test("is unreachable without its folder, and makes none", async () => {
    const folder = join(parent(), "gone");
    await expect(open(folder)).rejects.toMatchObject({ name: "DriveError", kind: "unreachable" });
    expect(existsSync(folder)).toBe(false);
  });

  test.each([
    ["another format version", { formatVersion: 1, name: "d0", driveId: "id", geometry: GEOMETRY }],
    ["an impossible geometry", { formatVersion: 2, name: "d0", driveId: "id", geometry: { ...GEOMETRY, stripBytes: -1 } }],
    ["no geometry", { formatVersion: 2, name: "d0", driveId: "id" }],
    ["another drive's name", { formatVersion: 2, name: "d1", driveId: "id", geometry: GEOMETRY }],
    ["nothing in it", null],
  ])("is foreign with a label of %s", async (_what, label) => {
    const folder = await formatted();
    const metadata = openMetadata("d0", folder);
    await metadata.batchOwn([["label", encodeLabel(label as never)]]);
    await metadata.database.close();
    await expect(open(folder)).rejects.toMatchObject({ name: "DriveError", kind: "foreign" });
  });

  test.each(["CURRENT", "MANIFEST"])("is unrecoveredRead when its metadata's %s is damaged", async (file) => {
    const folder = await formatted();
    const name = readdirSync(join(folder, "meta")).find((entry) => entry.startsWith(file))!;
    writeFileSync(join(folder, "meta", name), "garbage");
    await expect(open(folder)).rejects.toMatchObject({ name: "DriveError", kind: "unrecoveredRead" });
  });

  test("can't be opened twice", async () => {
    const folder = await formatted();
    const medium = await open(folder);
    await expect(open(folder)).rejects.toMatchObject({ kind: "unreachable" });
    await medium.close();
  });
});

describe("zones over crashes", () => {
  test("what a birth or a removal left behind is swept away at open", async () => {
    const folder = await formatted();
    const first = await opened(folder);
    await first.drive.createZone(1);
    await write(first.drive, 1, 0, 3);
    await first.drive.createZone(2);
    await first.medium.close();
    // A crash after the folder of zone 2 was only partly removed, one in the middle of the birth of zone 3.
    cpSync(join(folder, "zones", "00000002"), join(folder, "zones", "00000003.new"), { recursive: true });
    const second = await opened(folder);
    expect(await second.drive.listZones()).toEqual([
      { zone: 1, finished: false },
      { zone: 2, finished: false },
    ]);
    cpSync(join(folder, "zones", "00000002"), join(folder, "saved"), { recursive: true });
    await second.drive.resetZone(2);
    await second.medium.close();
    // … and one after the removal was committed, before a file of it was gone.
    renameSync(join(folder, "saved"), join(folder, "zones", "00000002"));
    const third = await opened(folder);
    expect(await third.drive.listZones()).toEqual([{ zone: 1, finished: false }]);
    expect(readdirSync(join(folder, "zones"))).toEqual(["00000001"]);
    await expect(third.drive.createZone(2)).rejects.toMatchObject({ kind: "invalid" });
    await third.drive.createZone(3);
    expect(await read(third.drive, 1, 2)).toBe(3);
    await third.medium.close();
  });

  test("a zone whose folder is gone is notFound, and the others are there", async () => {
    const folder = await formatted();
    const first = await opened(folder);
    for (const zone of [1, 2]) {
      await first.drive.createZone(zone);
      await write(first.drive, zone, 0);
    }
    await first.medium.close();
    rmSync(join(folder, "zones", "00000001"), { recursive: true });
    const { medium, drive } = await opened(folder);
    await expect(read(drive, 1, 0)).rejects.toMatchObject({ kind: "notFound" });
    expect(await read(drive, 2, 0)).toBe(2);
    rmSync(join(folder, "zones", "00000002"), { recursive: true });
    await medium.close();
  });

  test("a table that is cut short is unrecoveredRead or notFound, never other bytes", async () => {
    const folder = await formatted();
    const first = await opened(folder);
    await first.drive.createZone(1);
    for (let strip = 0; strip < 512; strip += 64) await write(first.drive, 1, strip, 64);
    await first.drive.finishZone(1);
    await first.medium.close();
    const zone = join(folder, "zones", "00000001");
    for (const name of readdirSync(zone)) if (name.endsWith(".ldb")) truncateSync(join(zone, name), 20_000);
    const { medium, drive } = await opened(folder);
    for (let strip = 0; strip < 512; strip += 37) {
      await expect(read(drive, 1, strip)).rejects.toMatchObject({
        name: "DriveError",
        kind: expect.stringMatching(/unrecoveredRead|notFound/),
      });
    }
    await medium.close();
  });
});

describe("bounds of a LevelDrive", () => {
  test("keeps few databases open, and serves all zones", async () => {
    const folder = await formatted();
    const bounds = { ...LEVEL_DRIVE_BOUNDS, finishedOpenMax: 3, writableOpenMax: 2 };
    const { medium, drive } = await opened(folder, { bounds });
    for (let zone = 1; zone <= 12; zone++) {
      await drive.createZone(zone);
      await write(drive, zone, 0, 2);
      if (zone % 2 === 0) await drive.finishZone(zone);
    }
    expect(medium.zones.openCount).toBeLessThanOrEqual(5);
    const reads = Array.from({ length: 48 }, (_, index) => read(drive, (index % 12) + 1, index % 2 === 0 ? 0 : 1));
    await Promise.all(reads);
    for (let zone = 1; zone <= 12; zone++) expect(await read(drive, zone, 1)).toBe(zone + 1);
    expect(medium.zones.openCount).toBeLessThanOrEqual(5);
    await Promise.all(Array.from({ length: 6 }, (_, index) => write(drive, index * 2 + 1, 2)));
    await medium.close();
  });

  test("a read looks at no other open zone, however many there are", async () => {
    const { medium, drive } = await opened(await formatted());
    for (let zone = 1; zone <= 12; zone++) {
      await drive.createZone(zone);
      await write(drive, zone, 0, 2);
      await drive.finishZone(zone);
      await read(drive, zone, 0);
    }
    expect(medium.zones.openCount).toBe(12);
    const walks = vi.spyOn(Set.prototype, Symbol.iterator as unknown as "values");
    cleanups.push(() => walks.mockRestore());
    for (let zone = 1; zone <= 12; zone++) await read(drive, zone, 1);
    expect(walks).not.toHaveBeenCalled();
    walks.mockRestore();
    await medium.close();
  });

  test("waits for a reader before a zone is removed", async () => {
    const folder = await formatted();
    const { medium, drive } = await opened(folder);
    await drive.createZone(1);
    for (let strip = 0; strip < 8; strip++) await write(drive, 1, strip);
    const writing = write(drive, 1, 8, 64);
    const [wrote, reset] = await Promise.allSettled([
      writing,
      drive.resetZone(1),
      ...Array.from({ length: 9 }, () => read(drive, 1, 0)),
    ]);
    expect([wrote.status, reset.status]).toEqual(["fulfilled", "fulfilled"]);
    await expect(read(drive, 1, 0)).rejects.toMatchObject({ kind: "notFound" });
    await expect(write(drive, 1, 80)).rejects.toMatchObject({ kind: "notFound" });
    expect(readdirSync(join(folder, "zones"))).toEqual([]);
    await medium.close();
  });

  test("ends as unreachable what comes after it was closed", async () => {
    const { medium, drive } = await opened(await formatted());
    await medium.close();
    await expect(drive.listZones()).rejects.toMatchObject({ kind: "unreachable" });
    await expect(drive.metadataGet("a")).rejects.toMatchObject({ kind: "unreachable" });
  });
});

/** A small file system of its own: only root can have one, and not in every container. */
function smallDisk(): string | undefined {
  const at = parent();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", at], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  cleanups.push(() => execFileSync("umount", [at]));
  return at;
}

describe("a full disk below a LevelDrive", () => {
  /** Fills zone 1 until a write fails; how many strips were acknowledged, and the failure. */
  async function fillUp(drive: Drive): Promise<{ acknowledged: number; failure: unknown }> {
    await drive.createZone(1);
    for (let strip = 0; strip < 2048; strip += 16) {
      const failure = await write(drive, 1, strip, 16).catch((error) => error);
      if (failure !== undefined) return { acknowledged: strip, failure };
    }
    throw new Error("the disk never became full");
  }

  test("fails writes while zones can still be opened, read and removed", async ({ skip }) => {
    const disk = smallDisk();
    if (disk === undefined) return skip("needs root and mount: a tmpfs");
    const folder = await formatted(disk);
    const reserve = { stripsBytes: 6 << 20, metadataBytes: 1 << 20 };
    const first = await opened(folder, { reserve });
    cleanups.push(() => first.medium.close());
    const { acknowledged, failure } = await fillUp(first.drive);
    expect(failure).toMatchObject({ name: "DriveError", kind: "noSpace" });
    expect(acknowledged).toBeGreaterThan(16);
    await first.medium.close();
    const { medium, drive } = await opened(folder, { reserve });
    cleanups.push(() => medium.close());
    for (let strip = 0; strip < acknowledged; strip++) expect(await read(drive, 1, strip)).toBe((1 + strip) & 0xff);
    // Opening made tables of logs, which gave some room back: others take it.
    writeFileSync(join(disk, "ballast"), Buffer.alloc(Math.max(0, new DiskSpace("d0", disk).freeBytes - 5 * (1 << 20))));
    await expect(drive.createZone(2)).rejects.toMatchObject({ kind: "noSpace" });
    await expect(write(drive, 1, acknowledged)).rejects.toMatchObject({ kind: "noSpace" });
    await drive.metadataBatch([{ type: "put", key: "a", value: Buffer.from("b") }]);
    await drive.resetZone(1);
    await drive.createZone(2);
    await write(drive, 2, 0, 16);
  });

  test("has strips wait for those before them that found no room", async ({ skip }) => {
    const disk = smallDisk();
    if (disk === undefined) return skip("needs root and mount: a tmpfs");
    const reserve = { stripsBytes: 6 << 20, metadataBytes: 1 << 20 };
    const { medium, drive } = await opened(await formatted(disk), { reserve });
    cleanups.push(() => medium.close());
    await drive.createZone(1);
    const ballast = join(disk, "ballast");
    writeFileSync(ballast, Buffer.alloc(new DiskSpace("d0", disk).freeBytes - 5 * (1 << 20)));
    await expect(write(drive, 1, 0)).rejects.toMatchObject({ kind: "noSpace" });
    rmSync(ballast);
    await expect(write(drive, 1, 4)).rejects.toMatchObject({ kind: "noSpace" });
    await write(drive, 1, 0);
    await write(drive, 1, 4);
    expect([await read(drive, 1, 0), await read(drive, 1, 4)]).toEqual([1, 5]);
  });

  test("keeps what was acknowledged when LevelDB itself runs into it, and goes on when there is room again", async ({ skip }) => {
    const disk = smallDisk();
    if (disk === undefined) return skip("needs root and mount: a tmpfs");
    const { medium, drive } = await opened(await formatted(disk), { reserve: { stripsBytes: 0, metadataBytes: 0 } });
    cleanups.push(() => medium.close());
    // What others write takes the room away between the look and the write.
    await drive.createZone(1);
    for (let strip = 0; strip < 96; strip += 16) await write(drive, 1, strip, 16);
    writeFileSync(join(disk, "ballast"), Buffer.alloc(1 << 20));
    const statfs = vi.spyOn(DiskSpace.prototype, "check").mockImplementation(() => undefined);
    let acknowledged = 96;
    let failure: unknown;
    while (failure === undefined && acknowledged < 2048) {
      failure = await write(drive, 1, acknowledged, 16).catch((error) => error);
      if (failure === undefined) acknowledged += 16;
    }
    statfs.mockRestore();
    expect(failure).toMatchObject({ name: "DriveError", kind: expect.stringMatching(/noSpace|unknown/) });
    rmSync(join(disk, "ballast"));
    execFileSync("mount", ["-o", "remount,size=64m", disk]);
    await write(drive, 1, acknowledged + 16, 16);
    for (let strip = 0; strip < acknowledged; strip++) expect(await read(drive, 1, strip)).toBe((1 + strip) & 0xff);
    expect(await read(drive, 1, acknowledged + 31)).toBe((1 + acknowledged + 31) & 0xff);
  });
});

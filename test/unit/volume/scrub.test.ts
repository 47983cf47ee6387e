import { describe, expect, test } from "vitest";
import type { MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { PAGE_NOT_LOADED } from "../../../src/map/map-pages.ts";
import { stripPlace } from "../../../src/raid/geometry.ts";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { writeStripHeader } from "../../../src/raid/strip.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { interceptDrive, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 300;

const LEVELS: readonly RaidShape[] = [
  { level: 1, dataDrives: 1, copies: 2 },
  { level: 1, dataDrives: 1, copies: 3 },
  { level: 5, dataDrives: 3, copies: 1 },
  { level: 6, dataDrives: 4, copies: 1 },
  { level: 10, dataDrives: 2, copies: 2 },
];
const RAID5 = { level: 5, dataDrives: 3, copies: 1 } as const;

function content(seed: number, bytes = BLOCKS * BLOCK): Uint8Array {
  return new Uint8Array(bytes).map((_, n) => (n * 31 + (n >> 12) * 7 + seed * 101) & 0xff);
}

async function filled(
  raid: RaidShape,
  options: Parameters<typeof openMemoryPool>[1] = {},
): Promise<{ media: MemoryPoolMedia; pool: OpenedPool }> {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, ...raid, zoneSlots: 40 });
  const pool = await openMemoryPool(media, { hurry: 50, ...options });
  await pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
  await writeBytes(pool, 1, 0, content(1));
  await pool.service.pool(0).destageAll();
  return { media, pool };
}

async function scrubbed(pool: OpenedPool): Promise<NonNullable<ReturnType<OpenedPool["service"]["status"]>[0]["scrub"]>> {
  const { scrub } = pool.service.pool(0);
  scrub.start();
  await until(() => scrub.status.state === "idle");
  return scrub.status;
}

async function expectContent(pool: OpenedPool, seed: number): Promise<void> {
  pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
  const { status, data } = await readBytes(pool, 1, 0, BLOCKS * BLOCK);
  expect(status).toBe(BLOCK_STATUS.good);
  expect(Buffer.compare(data, content(seed))).toBe(0);
}

/** Zones as they lie on the drives, the oldest first. */
function zonesOf(drive: MemoryDriveState): number[] {
  return [...drive.zones.keys()].sort((a, b) => a - b);
}

function flip(drive: MemoryDriveState, zone: number, strip: number, at: number): void {
  const bytes = Uint8Array.from(drive.zones.get(zone)!.strips.get(strip)!);
  bytes[at]! ^= 0x40;
  drive.zones.get(zone)!.strips.set(strip, bytes);
}

function typesOf(pool: OpenedPool): string[] {
  return pool.events.map(({ type }) => type);
}

describe.each(LEVELS)("scrub of $level, $dataDrives × $copies", (raid) => {
  const level = raidLevel(raid);

  test("finds nothing where nothing is wrong, and has read everything", async () => {
    const { media, pool } = await filled(raid);
    const { last } = await scrubbed(pool);
    const stripBytes = media.drives[0]!.identity.stripBytes;
    const strips = media.drives.flatMap((drive) => [...drive!.zones.values()].map((zone) => zone.strips.size));
    expect(last).toMatchObject({ badStrips: 0, movedZones: 0, lostBlocks: 0, lostStrips: 0 });
    expect(last!.bytesRead).toBe(strips.reduce((sum, count) => sum + count, 0) * stripBytes);
    expect(typesOf(pool)).toEqual(expect.arrayContaining(["scrub.started", "scrub.finished"]));
    pool.kill();
  });

  test("mends what is bad on any drive, so that then as many others may go as the level makes good", async () => {
    for (let bad = 0; bad < level.driveCount; bad++) {
      const { media, pool } = await filled(raid);
      const drive = media.drives[bad]!;
      const [zone] = zonesOf(drive);
      flip(drive, zone!, 1, 100);
      drive.zones.get(zone!)!.strips.delete(3);
      const { last } = await scrubbed(pool);
      expect(last).toMatchObject({ badStrips: 2, movedZones: 1, lostBlocks: 0, lostStrips: 0 });
      expect(drive.zones.has(zone!)).toBe(false);
      expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0 });
      await pool.service.stop();
      pool.kill();
      for (let n = 1; n <= level.tolerance; n++) media.drives[(bad + n) % level.driveCount] = undefined;
      const without = await openMemoryPool(media);
      await expectContent(without, 1);
      without.kill();
    }
  });
});

describe("scrub of RAID-5", () => {
  test("finds parity that is whole and not that of the data", async () => {
    const { media, pool } = await filled(RAID5);
    const { geometry, staging, global } = pool.service.pool(0).parts;
    const [zone] = zonesOf(media.drives[0]!);
    const stripe = 2;
    const position = geometry.level.positionOf(stripe, -1, 0);
    flip(media.drives[position]!, zone!, stripe, 7);
    // Its own sums are right again.
    const address = await staging.strips.take();
    const { strips } = media.drives[position]!.zones.get(zone!)!;
    global.view(address, geometry.shape.stripBytes).set(strips.get(stripe)!);
    writeStripHeader(global, address, geometry.shape, stripPlace(geometry, zone!, stripe, -1));
    strips.set(stripe, Uint8Array.from(global.view(address, geometry.shape.stripBytes)));
    staging.strips.give(address);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 1, movedZones: 1, lostBlocks: 0 });
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0 });
    pool.kill();
  });

  test("tells what is lost by volume and logical blocks, moves the rest, and does not find it again", async () => {
    const { media, pool } = await filled(RAID5);
    const { geometry } = pool.service.pool(0).parts;
    const [zone] = zonesOf(media.drives[0]!);
    // The same block of two columns of a stripe: both are lost, and their neighbours are not.
    for (const column of [0, 1]) flip(media.drives[geometry.level.positionOf(0, column, 0)]!, zone!, 0, 2 * BLOCK + 5);
    pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
    expect((await scrubbed(pool)).last).toMatchObject({ lostBlocks: 2, lostStrips: 0 });
    const lost = pool.events.filter(({ type }) => type === "scrub.lost");
    expect(lost.map(({ subject }) => subject)).toEqual(["volume v1", "volume v1"]);
    const blocks = lost.map(({ message }) => Number(/blocks (\d+) to/.exec(message)![1]) / 8);
    expect(lost.every(({ message }, n) => message.includes(`${blocks[n]! * 8} to ${blocks[n]! * 8 + 7} `))).toBe(true);
    pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
    for (let block = 0; block < BLOCKS; block++) {
      const { status } = await readBytes(pool, 1, block * BLOCK, BLOCK);
      expect(status === BLOCK_STATUS.good).toBe(!blocks.includes(block));
    }
    // The zone goes once what is lost is on record.
    const { losses } = pool.service.pool(0);
    await until(() => pool.service.status()[0]!.lost?.blocks === 2 && !losses.isBusy, 1_000_000);
    const again = await scrubbed(pool);
    expect(again.last).toMatchObject({ badStrips: 0, lostBlocks: 0 });
    // A host's rewrite heals it.
    for (const block of blocks) await writeBytes(pool, 1, block * BLOCK, content(1).subarray(block * BLOCK, (block + 1) * BLOCK));
    await pool.service.pool(0).destageAll();
    await expectContent(pool, 1);
    pool.kill();
  });

  test("loses nothing of a stripe with two bad strips, as long as each block can be had from somewhere", async () => {
    const { media, pool } = await filled(RAID5);
    const { geometry } = pool.service.pool(0).parts;
    const [zone] = zonesOf(media.drives[0]!);
    // Different blocks: what is computed of the one strip is wrong where the other is bad.
    for (const [column, block] of [
      [0, 2],
      [1, 3],
    ] as const)
      flip(media.drives[geometry.level.positionOf(0, column, 0)]!, zone!, 0, block * BLOCK + 5);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 2, lostBlocks: 0, lostStrips: 0 });
    expect(typesOf(pool)).not.toContain("scrub.lost");
    await expectContent(pool, 1);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0 });
    pool.kill();
  });

  test("moves nothing of a zone that can't be emptied, as a drive is away that may have the rest, where room is short", async () => {
    const media = new MemoryPoolMedia({ ...SMALL_POOL, ...RAID5, zoneSlots: 7 });
    let isAway = false;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, _parameters, run) => {
        if (position === 3 && isAway && operation !== "close") throw unreachable(drive.name);
        return run();
      });
    const pool = await openMemoryPool(media, { hurry: 50, healing: { missingSeconds: 1_000_000 } });
    await pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
    await writeBytes(pool, 1, 0, content(1));
    const opened = pool.service.pool(0);
    const { parts, losses } = opened;
    await opened.destageAll();
    const { geometry, group, map } = parts;
    parts.cache.removeRange(1, 0, 4000);
    const [zone] = zonesOf(media.drives[0]!);
    const stripe = [0, 1, 2, 3].find((n) => geometry.level.role(n, 1) >= 0 && geometry.level.role(n, 3) >= 0)!;
    const { strips } = media.drives[1]!.zones.get(zone!)!;
    const kept = strips.get(stripe)!;
    strips.delete(stripe);
    isAway = true;
    await group.lose(3, unreachable("03"));
    const slot = map.zones.zone.indexOf(zone!);
    const live = map.zones.live[slot];
    expect((await scrubbed(pool)).last).toMatchObject({ movedZones: 0 });
    expect(map.zones.live[slot]).toBe(live);
    strips.set(stripe, kept);
    isAway = false;
    await until(() => group.members[3]!.state === "online" && !losses.isBusy, 1_000_000);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("leaves out what is missing of stripes in which nothing lives", async () => {
    const { media, pool } = await filled(RAID5);
    // Everything in the first stripe is written again elsewhere.
    await writeBytes(pool, 1, 0, content(1).subarray(0, 12 * BLOCK));
    await pool.service.pool(0).destageAll();
    const [zone] = zonesOf(media.drives[0]!);
    media.drives[1]!.zones.get(zone!)!.strips.delete(0);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0, movedZones: 0 });
    pool.kill();
  });

  test("and asks the map for that, be it in memory or not: after a restart a rebuilt drive is blamed for nothing", async () => {
    const { media, pool: before } = await filled(RAID5);
    await writeBytes(before, 1, 0, content(1).subarray(0, 120 * BLOCK));
    await before.service.pool(0).destageAll();
    await before.service.pool(0).parts.map.checkpoint();
    before.kill();
    const pool = await openMemoryPool(media, { hurry: 50 });
    const { map } = pool.service.pool(0).parts;
    expect(map.lookup(1, 0)).toBe(PAGE_NOT_LOADED);
    const [zone] = zonesOf(media.drives[0]!);
    for (let stripe = 0; stripe < 3; stripe++) media.drives[1]!.zones.get(zone!)!.strips.delete(stripe);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0, movedZones: 0 });
    expect(typesOf(pool)).not.toContain("scrub.found");
    pool.kill();
  });

  test("tells of nothing as lost that memory has: it is written anew from there", async () => {
    const { media, pool } = await filled(RAID5);
    expect((await readBytes(pool, 1, 0, BLOCKS * BLOCK)).status).toBe(BLOCK_STATUS.good);
    const [zone] = zonesOf(media.drives[0]!);
    for (const drive of [1, 2]) flip(media.drives[drive]!, zone!, 0, 100);
    const { last } = await scrubbed(pool);
    expect(last).toMatchObject({ badStrips: 2, lostBlocks: 0, lostStrips: 0 });
    expect(typesOf(pool)).not.toContain("scrub.lost");
    await until(() => !pool.service.pool(0).losses.isBusy, 1_000_000);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("takes nothing for lost where two drives lack a stripe in which nothing lives", async () => {
    const { media, pool } = await filled(RAID5);
    await writeBytes(pool, 1, 0, content(1).subarray(0, 12 * BLOCK));
    await pool.service.pool(0).destageAll();
    const [zone] = zonesOf(media.drives[0]!);
    for (const drive of [1, 2]) media.drives[drive]!.zones.get(zone!)!.strips.delete(0);
    expect((await scrubbed(pool)).last).toMatchObject({ badStrips: 0, lostBlocks: 0, lostStrips: 0, movedZones: 1 });
    expect(typesOf(pool)).not.toContain("scrub.found");
    await expectContent(pool, 1);
    pool.kill();
  });

  test("says of how many strips nothing is known where the zone can't be moved", async () => {
    const { media, pool } = await filled(RAID5);
    const [zone] = zonesOf(media.drives[0]!);
    for (const drive of [1, 2]) media.drives[drive]!.zones.get(zone!)!.strips.delete(0);
    const { last } = await scrubbed(pool);
    expect(last!.lostStrips).toBeGreaterThan(0);
    pool.kill();
  });

  test("holds still while it is paused, goes on, and is cancelled", async () => {
    const { media, pool } = await filled(RAID5);
    const { scrub, parts } = pool.service.pool(0);
    expect(scrub.hold()).toBe(false);
    scrub.start();
    expect(scrub.hold()).toBe(true);
    await until(() => parts.staging.batches.isIdle && typesOf(pool).includes("scrub.started"));
    const { zonesDone } = scrub.status;
    expect(scrub.status.state).toBe("paused");
    flip(media.drives[0]!, zonesOf(media.drives[0]!)[zonesDone!]!, 1, 9);
    scrub.start();
    await until(() => scrub.status.state === "idle");
    scrub.start();
    scrub.hold();
    expect(await scrub.cancel()).toBe(true);
    expect(scrub.status).toMatchObject({ state: "idle" });
    expect(typesOf(pool).at(-1)).toBe("scrub.cancelled");
    expect(await scrub.cancel()).toBe(false);
    pool.kill();
  });

  test("goes on after a restart with the first zone that is not done", async () => {
    const { media, pool } = await filled(RAID5);
    const { scrub } = pool.service.pool(0);
    scrub.start();
    await until(() => (scrub.status.zonesDone ?? 0) >= 1);
    await pool.service.stop();
    pool.kill();
    const read = new Set<number>();
    media.wrap = (drive) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (operation === "readStrips") read.add((parameters as [{ zone: number }])[0].zone);
        return run();
      });
    const [first] = zonesOf(media.drives[0]!);
    const again = await openMemoryPool(media, { hurry: 50 });
    read.clear();
    await until(() => typesOf(again).includes("scrub.finished"));
    expect(again.events.find(({ type }) => type === "scrub.started")!.message).toContain("goes on at zone");
    expect(read.size).toBeGreaterThan(0);
    expect(read.has(first!)).toBe(false);
    again.kill();
  });

  test("begins by itself when it is due, counted over restarts, and then not until it is due again", async () => {
    const { media, pool } = await filled(RAID5);
    const { record, scrub } = pool.service.pool(0);
    expect(scrub.status).toMatchObject({ state: "idle", intervalHours: 168 });
    await record.update((old) => ({ ...old, scrub: { sinceHours: 168 } }));
    await pool.service.stop();
    pool.kill();
    const again = await openMemoryPool(media, { hurry: 50 });
    await until(() => typesOf(again).includes("scrub.finished"));
    const { status } = again.service.pool(0).scrub;
    expect(status).toMatchObject({ state: "idle", last: { badStrips: 0 } });
    expect(status.hoursSinceLast).toBeLessThan(100);
    await again.service.stop();
    again.kill();
    const third = await openMemoryPool(media, { hurry: 50, healing: { scrubIntervalHours: 0 } });
    expect(third.service.pool(0).scrub.status.last).toMatchObject({ badStrips: 0 });
    third.kill();
  });
});

test("a scrub reads nothing of a zone in which nothing lives any more when its turn comes", async () => {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, ...RAID5, zoneSlots: 40 });
  const read = new Set<number>();
  media.wrap = (drive) =>
    interceptDrive(drive, async (operation, parameters, run) => {
      if (operation === "readStrips") read.add((parameters[0] as { zone: number }).zone);
      return run();
    });
  const pool = await openMemoryPool(media, { hurry: 50 });
  await pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
  await writeBytes(pool, 1, 0, content(1));
  const { parts, scrub, compactor } = pool.service.pool(0);
  await pool.service.pool(0).destageAll();
  const before = zonesOf(media.drives[0]!);
  // It has chosen its first zone, and waits; meanwhile all is written anew, and no zone is removed.
  scrub.start();
  scrub.hold();
  await until(() => scrub.status.zonesTotal === 2);
  void compactor.stop();
  await writeBytes(pool, 1, 0, content(2));
  await pool.service.pool(0).destageAll();
  for (const zone of before) expect(parts.map.zones.live[parts.map.zones.zone.indexOf(zone)], `zone ${zone}`).toBe(0);
  read.clear();
  scrub.start();
  await until(() => scrub.status.state === "idle", 1_000_000);
  expect([...read]).toEqual([]);
  pool.kill();
});

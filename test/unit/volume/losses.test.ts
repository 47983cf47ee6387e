import { describe, expect, test } from "vitest";
import { DriveError } from "../../../drivers/drive/drive.ts";
import { decodePlace } from "../../../src/raid/geometry.ts";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { mayReplaceDrive } from "../../../src/volume/healing-commands.ts";
import type { HealingSettings } from "../../../src/volume/healing-settings.ts";
import { DriveGate, interceptDrive, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  unreachable,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 300;
const TURNS = 200_000;

/** All levels in which one more failure than tolerated leaves something. Of a mirror it takes all copies. */
const LEVELS: readonly RaidShape[] = [
  { level: 5, dataDrives: 2, copies: 1 },
  { level: 5, dataDrives: 3, copies: 1 },
  { level: 6, dataDrives: 2, copies: 1 },
  { level: 6, dataDrives: 4, copies: 1 },
  { level: 10, dataDrives: 2, copies: 2 },
  { level: 10, dataDrives: 4, copies: 2 },
];

function content(seed: number, blocks = BLOCKS): Uint8Array {
  return new Uint8Array(blocks * BLOCK).map((_, n) => (n * 31 + (n >> 12) * 7 + seed * 101) & 0xff);
}

interface Rig {
  readonly media: MemoryPoolMedia;
  readonly pulled: Set<number>;
  /** Closed: spares take no zone of the past, as if rebuild had no time. */
  readonly gate: DriveGate;
}

function rigOf(raid: RaidShape): Rig {
  const level = raidLevel(raid);
  const media = new MemoryPoolMedia({ ...SMALL_POOL, ...raid, zoneSlots: 40, spareCount: level.tolerance + 1 });
  const pulled = new Set<number>();
  const gate = new DriveGate();
  media.wrap = (drive, position) => {
    const gated = position < level.driveCount ? drive : gate.wrap(drive);
    return interceptDrive(gated, async (operation, _parameters, run) => {
      if (pulled.has(position) && operation !== "close") throw unreachable(drive.name);
      return run();
    });
  };
  return { media, pulled, gate };
}

async function filled(media: MemoryPoolMedia, healing: Partial<HealingSettings> = {}): Promise<OpenedPool> {
  const pool = await openMemoryPool(media, { hurry: 200, healing });
  await pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
  await writeBytes(pool, 1, 0, content(1));
  await pool.service.pool(0).destageAll();
  return pool;
}

/** What is in memory proves nothing, and would be written anew. */
function forget(pool: OpenedPool): void {
  pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
}

/** Blocks of which, by where they lie, too little is left without these drives. */
function expectedLoss(pool: OpenedPool, gone: ReadonlySet<number>): number[] {
  const { geometry, map } = pool.service.pool(0).parts;
  const { level } = geometry;
  const lost: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const { stripe, column } = decodePlace(geometry, map.lookup(1, block));
    const copies = Array.from({ length: level.copies }, (_, copy) => level.positionOf(stripe, column, copy));
    if (copies.every((position) => gone.has(position)) && !level.survives([...gone])) lost.push(block);
  }
  return lost;
}

function listed(pool: OpenedPool): number[] {
  const { lost } = pool.service.status()[0]!;
  const blocks = (lost?.ranges ?? []).flatMap(({ firstBlock, blockCount }) =>
    Array.from({ length: blockCount }, (_, n) => firstBlock + n),
  );
  expect(lost?.blocks ?? 0).toBe(blocks.length);
  return blocks;
}

/** Every block by itself: what is lost is told, at its place; the rest is as it was written. */
async function expectExactly(pool: OpenedPool, lost: readonly number[], wanted: Uint8Array): Promise<void> {
  const gone = new Set(lost);
  for (let block = 0; block < BLOCKS; block++) {
    const { status, data, errorOffsetBytes } = await readBytes(pool, 1, block * BLOCK, BLOCK);
    if (gone.has(block)) {
      expect({ block, status, errorOffsetBytes }).toEqual({
        block,
        status: BLOCK_STATUS.mediumError,
        errorOffsetBytes: block * BLOCK,
      });
    } else {
      expect({ block, status }).toEqual({ block, status: BLOCK_STATUS.good });
      expect(Buffer.compare(data, wanted.subarray(block * BLOCK, (block + 1) * BLOCK)), `block ${block}`).toBe(0);
    }
  }
}

async function healed(pool: OpenedPool): Promise<void> {
  const { record, healing, losses } = pool.service.pool(0);
  await until(() => record.document.members.every(({ state }) => state === "online") && !healing.isBusy && !losses.isBusy, TURNS);
}

/** One more drive is lost than the level makes good, while spares have had no time to be built. */
async function loseTooMany({ media, pulled, gate }: Rig, raid: RaidShape): Promise<{ pool: OpenedPool; lost: number[] }> {
  const level = raidLevel(raid);
  const pool = await filled(media);
  const { group } = pool.service.pool(0).parts;
  gate.close("writeStrips");
  const gone = new Set<number>();
  // From the end: the first positions have the map.
  for (let n = 0; n <= level.tolerance; n++) {
    const position = level.driveCount - 1 - n;
    gone.add(position);
    pulled.add(position);
    await group.lose(position, unreachable(`0${position}`));
    if (n < level.tolerance) await until(() => group.members[position]!.state === "rebuilding", TURNS);
  }
  const lost = expectedLoss(pool, gone);
  forget(pool);
  return { pool, lost };
}

describe.each(LEVELS)("one failure more than RAID-$level, $dataDrives × $copies, makes good", (raid) => {
  test("the rest is served at once; what is lost is listed exactly, and the group is whole again", async () => {
    const rig = rigOf(raid);
    const { pool, lost } = await loseTooMany(rig, raid);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(BLOCKS);
    // Before anything is rebuilt.
    await expectExactly(pool, lost, content(1));
    rig.gate.open("writeStrips");
    await healed(pool);
    expect(listed(pool)).toEqual(lost);
    expect(pool.service.status()[0]!.state).toBe("optimal");
    const told = pool.events.flatMap(({ message }) => /^(\d+) blocks are lost for good/.exec(message)?.slice(1) ?? []);
    expect(told.reduce((sum, count) => sum + Number(count), 0)).toBe(lost.length);
    // What nothing had is not held against the drives that don't have it.
    expect(pool.events.filter(({ type }) => type === "drive.predictive" || type === "drive.failed")).toEqual([]);
    forget(pool);
    await expectExactly(pool, lost, content(1));
    // What is left is as redundant as ever.
    await pool.service.stop();
    pool.kill();
    for (let n = 0; n < raidLevel(raid).tolerance; n++) rig.media.drives[n] = undefined;
    const again = await openMemoryPool(rig.media, { hurry: 200 });
    expect(listed(again)).toEqual(lost);
    await expectExactly(again, lost, content(1));
    again.kill();
  });
});

describe("blocks that are lost for good", () => {
  const raid = { level: 5, dataDrives: 3, copies: 1 } as const;

  test("are on the list after a kill at any time, without a checkpoint too", async () => {
    const rig = rigOf(raid);
    const { pool, lost } = await loseTooMany(rig, raid);
    rig.gate.open("writeStrips");
    await until(() => pool.service.status()[0]!.lost !== undefined, TURNS);
    pool.kill();
    const again = await openMemoryPool(rig.media, { hurry: 200 });
    await healed(again);
    expect(listed(again)).toEqual(lost);
    await expectExactly(again, lost, content(1));
    again.kill();
  });

  test("the pool opens with the loss that it was serving with, before a spare was built", async () => {
    const rig = rigOf(raid);
    const { pool, lost } = await loseTooMany(rig, raid);
    await until(() => pool.service.pool(0).record.document.lossy === true, TURNS);
    await until(() => pool.service.pool(0).record.document.members.every(({ state }) => state !== "missing"), TURNS);
    pool.kill();
    rig.gate.open("writeStrips");
    const again = await openMemoryPool(rig.media, { hurry: 200 });
    await healed(again);
    expect(listed(again)).toEqual(lost);
    expect(again.service.pool(0).record.document.lossy).toBeUndefined();
    again.kill();
  });

  test.each([
    ["fails", new DriveError("unrecoveredRead", "02", "a test")],
    ["is out of reach for too long", unreachable("02")],
  ])("the pool opens with what it lost when the drive that another is built from %s", async (_how, error) => {
    const { media, pulled, gate } = rigOf(raid);
    const pool = await filled(media);
    const { parts, record } = pool.service.pool(0);
    const { group } = parts;
    gate.close("createZone");
    group.members[2]!.state = "predictive";
    await until(() => record.document.members[2]!.former !== undefined && gate.waiting("createZone") > 0, TURNS);
    pulled.add(3);
    await group.lose(3, unreachable("03"));
    // All is there yet.
    expect(record.document.lossy).toBeUndefined();
    const lost = expectedLoss(pool, new Set([2, 3]));
    expect(lost.length).toBeGreaterThan(0);
    pulled.add(2);
    await group.lose(2, error, group.members[2]!.former!.drive);
    // The zone is made, and then there is nothing left to build it from.
    gate.letThrough("createZone");
    await until(() => record.document.members[2]!.former === undefined, TURNS);
    pool.kill();
    gate.open("createZone");
    const again = await openMemoryPool(media, { hurry: 200 });
    await healed(again);
    expect(listed(again)).toEqual(lost);
    forget(again);
    await expectExactly(again, lost, content(1));
    expect(again.service.pool(0).record.document.lossy).toBeUndefined();
    again.kill();
  });

  test("are good again once written whole or unmapped; a part of one is refused, and makes nothing up", async () => {
    const rig = rigOf(raid);
    const { pool, lost } = await loseTooMany(rig, raid);
    rig.gate.open("writeStrips");
    await healed(pool);
    const [part, zeroed, ...others] = lost as [number, number, ...number[]];
    const refused = await writeBytes(pool, 1, part * BLOCK + 512, new Uint8Array(512).fill(9));
    expect(refused).toEqual({ status: BLOCK_STATUS.mediumError, errorOffsetBytes: part * BLOCK + 512 });
    expect((await readBytes(pool, 1, part * BLOCK, BLOCK)).status).toBe(BLOCK_STATUS.mediumError);
    // The first sector is another block's: the whole write is refused, and that block is as it was.
    const before = await readBytes(pool, 1, (part - 1) * BLOCK, BLOCK);
    if (before.status === BLOCK_STATUS.good) {
      expect((await writeBytes(pool, 1, part * BLOCK - 512, new Uint8Array(1024).fill(9))).status).toBe(BLOCK_STATUS.mediumError);
      expect((await readBytes(pool, 1, (part - 1) * BLOCK, BLOCK)).data).toEqual(before.data);
    }
    expect((await zeroBytes(pool, 1, zeroed * BLOCK, BLOCK)).status).toBe(BLOCK_STATUS.good);
    expect((await readBytes(pool, 1, zeroed * BLOCK, BLOCK)).data.every((byte) => byte === 0)).toBe(true);
    const wanted = content(2);
    for (const block of [part, ...others])
      await writeBytes(pool, 1, block * BLOCK, wanted.subarray(block * BLOCK, (block + 1) * BLOCK));
    await pool.service.pool(0).destageAll();
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    forget(pool);
    for (const block of [part, ...others]) {
      const { status, data } = await readBytes(pool, 1, block * BLOCK, BLOCK);
      expect(status).toBe(BLOCK_STATUS.good);
      expect(Buffer.compare(data, wanted.subarray(block * BLOCK, (block + 1) * BLOCK))).toBe(0);
    }
    pool.kill();
    const again = await openMemoryPool(rig.media);
    expect(again.service.status()[0]!.lost).toBeUndefined();
    again.kill();
  });

  test("nothing is given up while a drive is only away: with it back, all is there", async () => {
    const rig = rigOf(raid);
    const pool = await filled(rig.media, { missingSeconds: 1_000_000 });
    forget(pool);
    const { media } = rig;
    // Two strips of each stripe: one damaged, one on a drive that is away.
    const kept = new Map([...media.drives[3]!.zones].map(([zone, { strips }]) => [zone, new Map(strips)]));
    for (const { strips } of media.drives[3]!.zones.values()) strips.clear();
    rig.pulled.add(2);
    await pool.service.pool(0).parts.group.lose(2, unreachable("02"));
    let lost = 0;
    for (let block = 0; block < BLOCKS; block++)
      if ((await readBytes(pool, 1, block * BLOCK, BLOCK)).status === BLOCK_STATUS.mediumError) lost += 1;
    expect(lost).toBeGreaterThan(0);
    // Time enough for a walk with all its patience.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    expect(() => mayReplaceDrive(pool.service.pool(0), "02")).toThrow(/can't be read without it: bring it back/);
    for (const [zone, strips] of kept)
      for (const [strip, value] of strips) media.drives[3]!.zones.get(zone)!.strips.set(strip, value);
    rig.pulled.delete(2);
    await healed(pool);
    forget(pool);
    await expectExactly(pool, [], content(1));
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    pool.kill();
  });

  test("a part that is written over a block which can't be read now is kept until the drive is back, and the rest with it", async () => {
    const { media, pulled } = rigOf(raid);
    const pool = await filled(media, { missingSeconds: 1_000_000 });
    const { group } = pool.service.pool(0).parts;
    forget(pool);
    const kept = new Map([...media.drives[3]!.zones].map(([zone, { strips }]) => [zone, new Map(strips)]));
    for (const { strips } of media.drives[3]!.zones.values()) strips.clear();
    pulled.add(2);
    await group.lose(2, unreachable("02"));
    const bad: number[] = [];
    for (let block = 0; block < BLOCKS; block++)
      if ((await readBytes(pool, 1, block * BLOCK, BLOCK)).status === BLOCK_STATUS.mediumError) bad.push(block);
    expect(bad.length).toBeGreaterThan(10);
    const wanted = content(1);
    const part = new Uint8Array(512).fill(0xa5);
    for (const block of bad) {
      expect((await writeBytes(pool, 1, block * BLOCK + 1024, part)).status).toBe(BLOCK_STATUS.good);
      wanted.set(part, block * BLOCK + 1024);
    }
    // Who wants everything on the drives gets what can be got, as often as that is asked.
    await pool.service.pool(0).destageAll();
    await pool.service.pool(0).destageAll();
    // Far past the age at which what is dirty is destaged.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(pool.service.status()[0]!.dirtyBytes).toBe(bad.length * BLOCK);
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    for (const [zone, strips] of kept)
      for (const [strip, value] of strips) media.drives[3]!.zones.get(zone)!.strips.set(strip, value);
    pulled.delete(2);
    await healed(pool);
    await pool.service.pool(0).destageAll();
    forget(pool);
    await expectExactly(pool, [], wanted);
    pool.kill();
  });

  test("a part is not given up with the rest of a block that was read after all, and moved, before that was on record", async () => {
    const { media } = rigOf(raid);
    let held: number | undefined;
    let isHeld = false;
    let letGo = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    media.wrap = (drive) => {
      const writeStrips = drive.writeStrips.bind(drive);
      drive.writeStrips = async (write) => {
        if (isHeld) held ??= write.zone;
        if (write.zone === held) await released;
        return writeStrips(write);
      };
      return drive;
    };
    const pool = await filled(media);
    const { parts, compactor } = pool.service.pool(0);
    const { geometry, map } = parts;
    const block = 40;
    const before = map.lookup(1, block);
    const { slot, stripe } = decodePlace(geometry, before);
    const zone = map.zones.zone[slot]!;
    const kept = media.drives.map((drive) => drive!.zones.get(zone)?.strips.get(stripe));
    for (const drive of media.drives) drive!.zones.get(zone)?.strips.delete(stripe);
    forget(pool);
    isHeld = true;
    const part = new Uint8Array(512).fill(0xa5);
    expect((await writeBytes(pool, 1, block * BLOCK + 1024, part)).status).toBe(BLOCK_STATUS.good);
    // Somebody waits for it, so that it is given up at once.
    const destaged = pool.service.pool(0).destageAll();
    await until(() => held !== undefined, TURNS);
    for (const [n, drive] of media.drives.entries())
      if (kept[n] !== undefined) drive!.zones.get(zone)!.strips.set(stripe, kept[n]);
    await compactor.evacuate(slot);
    expect(map.lookup(1, block)).not.toBe(before);
    letGo();
    await destaged;
    const wanted = content(1);
    wanted.set(part, block * BLOCK + 1024);
    forget(pool);
    await expectExactly(pool, [], wanted);
    pool.kill();
  });

  test("two bad strips of one stripe, all drives there: what they held, and nothing else", async () => {
    const media = new MemoryPoolMedia({ ...SMALL_POOL, ...raid, zoneSlots: 40 });
    const pool = await filled(media);
    const { geometry, map } = pool.service.pool(0).parts;
    const bad: number[] = [];
    for (let block = 0; block < BLOCKS; block++) {
      const { stripe, column } = decodePlace(geometry, map.lookup(1, block));
      const position = geometry.level.positionOf(stripe, column, 0);
      if (stripe === 3 && position < 2) bad.push(block);
    }
    for (const position of [0, 1]) for (const { strips } of media.drives[position]!.zones.values()) strips.delete(3);
    forget(pool);
    // A read in each zone: what else the zone has lost is found by itself.
    const zones = new Map(bad.map((block) => [decodePlace(geometry, map.lookup(1, block)).slot, block]));
    for (const block of zones.values())
      expect((await readBytes(pool, 1, block * BLOCK, BLOCK)).status).toBe(BLOCK_STATUS.mediumError);
    const { losses } = pool.service.pool(0);
    await until(() => pool.service.status()[0]!.lost !== undefined && !losses.isBusy, TURNS);
    expect(listed(pool)).toEqual(bad);
    forget(pool);
    await expectExactly(pool, bad, content(1));
    pool.kill();
  });
});

test("walks that are cut off, as a drive is away for a moment, say nothing of a zone: what it lost is found by the next", async () => {
  const { media, pulled } = rigOf({ level: 5, dataDrives: 3, copies: 1 });
  const pool = await filled(media, { missingSeconds: 1_000_000 });
  const { parts, losses } = pool.service.pool(0);
  const { geometry, map, group, reader } = parts;
  const bad: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const { slot, stripe, column } = decodePlace(geometry, map.lookup(1, block));
    const position = geometry.level.positionOf(stripe, column, 0);
    if (slot === 0 && stripe === 3 && position < 2) bad.push(block);
  }
  expect(bad.length).toBeGreaterThan(0);
  const zone = map.zones.zone[0]!;
  for (const position of [0, 1]) media.drives[position]!.zones.get(zone)!.strips.delete(3);
  forget(pool);
  const read = reader.read.bind(reader);
  let cuts = 0;
  reader.read = async (...wanted) => {
    // One that is rebuilt is not away: then there is nothing to wait for.
    if (cuts < 4 && group.members.every(({ state }) => state === "online")) {
      cuts += 1;
      pulled.add(2);
      setTimeout(() => pulled.delete(2), 20);
      await group.lose(2, unreachable("02"));
    }
    return read(...wanted);
  };
  losses.damaged(0);
  await until(() => pool.service.status()[0]!.lost !== undefined && !losses.isBusy, TURNS);
  expect(cuts).toBe(4);
  expect(listed(pool)).toEqual(bad);
  pool.kill();
});

test("a zone is emptied while a drive is away, if all that lives in it can be read: what it lacks is of the past", async () => {
  const { media, pulled } = rigOf({ level: 5, dataDrives: 3, copies: 1 });
  const pool = await filled(media, { missingSeconds: 1_000_000 });
  const { parts, losses } = pool.service.pool(0);
  const { geometry, group, map } = parts;
  const [slot, other] = [0, 1].map((n) => decodePlace(geometry, map.lookup(1, n * 192)).slot) as [number, number];
  const [zone, kept] = [map.zones.zone[slot]!, map.zones.zone[other]!];
  await losses.stop();
  pool.kill();
  const again = await openMemoryPool(media, { hurry: 200, healing: { missingSeconds: 1_000_000 } });
  const opened = again.service.pool(0);
  const away = opened.parts;
  // In the other zone something can't be had without the drive that is away.
  media.drives[0]!.zones.get(kept)!.strips.delete(1);
  media.drives[1]!.zones.get(kept)!.strips.delete(1);
  pulled.add(3);
  await away.group.lose(3, unreachable("03"));
  forget(again);
  expect(group.level.tolerance).toBe(1);
  opened.losses.damaged(slot);
  opened.losses.damaged(other);
  await until(() => away.map.zones.zone[slot] !== zone || away.map.zones.live[slot] === 0, TURNS);
  expect(away.map.zones.live[other]).toBeGreaterThan(0);
  expect(again.service.status()[0]!.lost).toBeUndefined();
  again.kill();
});

test("what only memory has is written anew, all of it: nothing is lost, and no zone is called unreadable", async () => {
  const { media } = rigOf({ level: 5, dataDrives: 2, copies: 1 });
  const pool = await filled(media);
  const { losses, parts } = pool.service.pool(0);
  for (const drive of [0, 1, 2])
    for (const { strips } of media.drives[drive]!.zones.values()) for (const strip of strips.values()) strip.fill(0);
  for (let slot = 0; slot < parts.map.zones.slotCount; slot++) if (parts.map.zones.live[slot]! > 0) losses.damaged(slot);
  await until(() => !losses.isBusy, TURNS);
  forget(pool);
  const { status, data } = await readBytes(pool, 1, 0, BLOCKS * BLOCK);
  expect([status, pool.service.status()[0]!.lost]).toEqual([BLOCK_STATUS.good, undefined]);
  expect(Buffer.compare(data, content(1))).toBe(0);
  expect(pool.events.filter(({ type }) => type === "zone.unreadable")).toEqual([]);
  pool.kill();
});

test("what else a strip lost is found, whatever of it hosts overwrite while the zone is looked at, time and again", async () => {
  const { media } = rigOf({ level: 5, dataDrives: 3, copies: 1 });
  const pool = await filled(media);
  const { parts, losses, compactor } = pool.service.pool(0);
  const { geometry, map, reader } = parts;
  const stripes = [3, 4, 5, 6];
  const bad = new Map<number, number[]>(stripes.map((stripe) => [stripe, []]));
  for (let block = 0; block < BLOCKS; block++) {
    const { slot, stripe, column } = decodePlace(geometry, map.lookup(1, block));
    if (slot === 0 && column === 0) bad.get(stripe)?.push(block);
  }
  const zone = map.zones.zone[0]!;
  for (const stripe of stripes) {
    const gone = [geometry.level.positionOf(stripe, 0, 0), geometry.level.positionOf(stripe, 1, 0)];
    for (const position of gone) media.drives[position]!.zones.get(zone)!.strips.delete(stripe);
  }
  forget(pool);
  const read = reader.read.bind(reader);
  let [next = 0] = stripes;
  const overwritten = new Set<number>();
  reader.read = async (at, consume) => {
    if (at.zone === zone && at.stripe === next && at.column === 0 && overwritten.size < 6 && !compactor.isRunning) {
      next += 1;
      // The first of each strip that is not read yet.
      for (let stripe = next; stripe <= 6; stripe++) {
        const block = bad.get(stripe)!.find((block) => !overwritten.has(block))!;
        overwritten.add(block);
        await writeBytes(pool, 1, block * BLOCK, content(1).subarray(block * BLOCK, (block + 1) * BLOCK));
      }
      await pool.service.pool(0).destageAll();
    }
    return read(at, consume);
  };
  losses.damaged(0);
  await until(() => pool.service.status()[0]!.lost !== undefined && !losses.isBusy, TURNS);
  const left = [...bad.values()].flat().filter((block) => !overwritten.has(block));
  expect(left.length).toBeGreaterThanOrEqual(stripes.length);
  expect(listed(pool)).toEqual(expect.arrayContaining(left));
  pool.kill();
});

test("a zone whose blocks could all be read, time and again, is looked at anew when one can't be read later", async () => {
  const { media } = rigOf({ level: 5, dataDrives: 3, copies: 1 });
  const pool = await filled(media);
  const { parts, losses, compactor } = pool.service.pool(0);
  const { geometry, map, runtime } = parts;
  const zone = map.zones.zone[0]!;
  const bad: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const { slot, stripe, column } = decodePlace(geometry, map.lookup(1, block));
    if (slot === 0 && stripe === 3 && geometry.level.positionOf(stripe, column, 0) < 2) bad.push(block);
  }
  const kept = [0, 1].map((position) => media.drives[position]!.zones.get(zone)!.strips.get(3)!);
  const spoil = (): void => {
    for (const position of [0, 1]) media.drives[position]!.zones.get(zone)?.strips.delete(3);
  };
  // An error that passes: whenever the zone is to be moved.
  const evacuate = compactor.evacuate.bind(compactor);
  let evacuations = 0;
  compactor.evacuate = async (...slot) => {
    evacuations += 1;
    spoil();
    await evacuate(...slot);
    for (const position of [0, 1]) media.drives[position]!.zones.get(zone)!.strips.set(3, kept[position]!);
  };
  losses.damaged(0);
  await until(() => !losses.isBusy, TURNS);
  expect(evacuations).toBe(3);
  compactor.evacuate = evacuate;
  spoil();
  forget(pool);
  const since = runtime.nowMilliseconds();
  await until(() => runtime.nowMilliseconds() - since > 900_000, TURNS);
  expect((await readBytes(pool, 1, bad[0]! * BLOCK, BLOCK)).status).toBe(BLOCK_STATUS.mediumError);
  await until(() => pool.service.status()[0]!.lost !== undefined && !losses.isBusy, TURNS);
  expect(listed(pool)).toEqual(bad);
  pool.kill();
});

import { describe, expect, test } from "vitest";
import { PAGE_BLOCKS } from "../../../src/map/map-pages.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { DriveGate, interceptDrive, lateAnswer, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const ZONE_BLOCKS = 192;

function filled(byte: number, blocks: number): Uint8Array {
  return new Uint8Array(blocks * BLOCK).fill(byte);
}

/** Writes one zone's worth and has it destaged. */
async function writeZone(pool: OpenedPool, at: number, byte: number): Promise<void> {
  expect((await writeBytes(pool, 1, at * BLOCK, filled(byte, ZONE_BLOCKS))).status).toBe(BLOCK_STATUS.good);
  await pool.service.pool(0).destageAll();
}

/** A pool whose first zone holds blocks 0 … 191 and is sealed. */
async function pooled(media: MemoryPoolMedia): Promise<OpenedPool> {
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 2000 * BLOCK));
  await writeZone(first, 0, 1);
  await first.service.stop();
  first.kill();
  return openMemoryPool(media);
}

test("Compactor: moves from memory what nothing else has any more", async () => {
  const media = new MemoryPoolMedia();
  const pool = await pooled(media);
  const { compactor, parts } = pool.service.pool(0);
  const { map } = parts;
  // In memory; then its whole stripe is gone, and another that memory does not have.
  await readBytes(pool, 1, 0, BLOCK);
  const [kept, gone] = [0, ZONE_BLOCKS - 1].map((block) => ({ volume: 1, block, place: map.lookup(1, block) }));
  const stripes = parts.map.zones.stripes[0]!;
  for (const drive of media.drives) for (const stripe of [0, stripes - 1]) drive!.zones.get(1)!.strips.delete(stripe);
  await compactor.evacuate(0, [kept!, gone!]);
  expect(map.lookup(1, 0)).not.toBe(kept!.place);
  expect(map.lookup(1, ZONE_BLOCKS - 1)).toBe(gone!.place);
  parts.cache.removeRange(1, 0, ZONE_BLOCKS);
  const { status, data } = await readBytes(pool, 1, 0, BLOCK);
  expect([status, data.every((byte) => byte === 1)]).toEqual([BLOCK_STATUS.good, true]);
  pool.kill();
});

test("Compactor: moves from memory what lies on more pages of the map than there is room for", async () => {
  const blocks = 320;
  const media = new MemoryPoolMedia({ ...SMALL_POOL, stripesPerZone: 40 });
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, blocks * PAGE_BLOCKS * BLOCK));
  const all = Array.from({ length: blocks }, (_, n) => n * PAGE_BLOCKS);
  for (let n = 0; n < blocks; n++) await writeBytes(first, 1, all[n]! * BLOCK, filled(1 + (n % 200), 1));
  await first.service.pool(0).destageAll();
  await first.service.stop();
  first.kill();
  const pool = await openMemoryPool(media, { mapPagesMax: 300 });
  const { compactor, parts } = pool.service.pool(0);
  const { map } = parts;
  const inMemory: { volume: number; block: number; place: number }[] = [];
  for (const block of all) {
    await readBytes(pool, 1, block * BLOCK, BLOCK);
    inMemory.push({ volume: 1, block, place: map.lookup(1, block) });
  }
  for (const drive of media.drives) for (const { strips } of drive!.zones.values()) strips.clear();
  await compactor.evacuate(0, inMemory);
  expect(map.zones.state[0]).not.toBe(ZONE_STATE.sealed);
  parts.cache.removeRange(1, 0, blocks * PAGE_BLOCKS);
  for (let n = 0; n < blocks; n++) {
    const { status, data } = await readBytes(pool, 1, all[n]! * BLOCK, BLOCK);
    expect([status, data[0]]).toEqual([BLOCK_STATUS.good, 1 + (n % 200)]);
  }
  pool.kill();
});

test("Compactor: moves what a strip has whose header is damaged, where too little is left to compute it", async () => {
  const media = new MemoryPoolMedia();
  const pool = await pooled(media);
  const { compactor, parts } = pool.service.pool(0);
  const { geometry, map } = parts;
  const { shape, dataDrives, level } = geometry;
  const position = level.positionOf(0, 0, 0);
  for (const [n, drive] of media.drives.entries()) {
    const { strips } = drive!.zones.get(1)!;
    if (n !== position) strips.delete(0);
    else strips.get(0)![shape.headerAt + 4]! ^= 1;
  }
  await compactor.evacuate(0);
  expect(map.zones.live[0]).toBe((dataDrives - 1) * shape.blocksPerStrip);
  pool.kill();
});

describe("Compactor: when a zone goes (invariant 1)", () => {
  test("its own reads count: a drive that is rebuilt is not whole without a zone that is being emptied", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await pooled(media);
    const { compactor, parts } = pool.service.pool(0);
    gate.close("readStrips");
    const emptied = compactor.evacuate(0);
    await until(() => gate.waiting("readStrips") > 0);
    expect(parts.zoneUse.reading[0]).toBeGreaterThan(0);
    gate.open("readStrips");
    await emptied;
    expect(parts.zoneUse.reading[0]).toBe(0);
    pool.kill();
  });

  test("not while a strip of it is read", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await pooled(media);
    const { map, zoneUse } = pool.service.pool(0).parts;
    gate.close("readParts");
    const read = readBytes(pool, 1, 7 * BLOCK, BLOCK);
    await until(() => gate.waiting("readParts") > 0);
    // The zone holds nothing any more, and the pool wants zones.
    for (let round = 2; round < 12; round++) await writeZone(pool, 0, round);
    await until(() => map.zones.state[0] === ZONE_STATE.emptied);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(zoneUse.reading[0]).toBeGreaterThan(0);
    for (const drive of media.drives) expect(drive!.zones.has(1)).toBe(true);
    gate.open("readParts");
    // As old as its question, or newer.
    expect([1, 11]).toContain((await read).data[0]);
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    expect((await readBytes(pool, 1, 7 * BLOCK, BLOCK)).data[0]).toBe(11);
    pool.kill();
  });

  test("not while something was written to it whose map entry is to come", async () => {
    const media = new MemoryPoolMedia();
    const pool = await pooled(media);
    const { map, zoneUse } = pool.service.pool(0).parts;
    zoneUse.uncommitted[0] = 1;
    for (let round = 2; round < 12; round++) await writeZone(pool, 0, round);
    await turns(100);
    expect(map.zones.state[0]).toBe(ZONE_STATE.sealed);
    expect(map.zones.live[0]).toBe(0);
    expect(pool.service.pool(0).parts.space.freeZones).toBeGreaterThan(0);
    zoneUse.uncommitted[0] = 0;
    await writeZone(pool, 0, 12);
    await writeZone(pool, 0, 13);
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    pool.kill();
  });

  test("also one that had something that can't be read, once nothing of that lives any more", async () => {
    const media = new MemoryPoolMedia();
    const pool = await pooled(media);
    const { compactor, losses, parts } = pool.service.pool(0);
    // They would give the blocks up, and have the zone emptied.
    await losses.stop();
    for (const position of [0, 1]) media.drives[position]!.zones.get(1)!.strips.delete(0);
    await compactor.evacuate(0);
    expect(pool.events.some(({ type }) => type === "zone.unreadable")).toBe(true);
    expect(parts.map.zones.live[0]).toBeGreaterThan(0);
    for (let round = 2; round < 12; round++) await writeZone(pool, 0, round);
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    pool.kill();
  });

  test("not of what can be read of a damaged one: that would take room and give none, until losses are on record", async () => {
    const media = new MemoryPoolMedia();
    const pool = await pooled(media);
    const { map, driveHealth } = pool.service.pool(0).parts;
    // They would find all of it readable, and have it emptied.
    await pool.service.pool(0).losses.stop();
    driveHealth.damagedZones.add(map.zones.zone[0]!);
    const half = ZONE_BLOCKS / 2;
    expect((await writeBytes(pool, 1, 0, filled(9, half))).status).toBe(BLOCK_STATUS.good);
    // No other zone has garbage, and zones are wanted.
    const { space } = pool.service.pool(0).parts;
    for (let zone = 1; space.freeZones >= space.freeZonesWanted; zone++) await writeZone(pool, zone * ZONE_BLOCKS, zone);
    pool.service.pool(0).compactor.poke();
    await until(() => !pool.service.pool(0).compactor.isRunning);
    expect([map.zones.state[0], map.zones.live[0]]).toEqual([ZONE_STATE.sealed, half]);
    driveHealth.damagedZones.clear();
    pool.service.pool(0).compactor.poke();
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    pool.kill();
  });

  test("moves what lives, and only that: an overwrite that comes while blocks are moved wins", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await pooled(media);
    const { map } = pool.service.pool(0).parts;
    // Four blocks of the first zone stay.
    await writeBytes(pool, 1, 4 * BLOCK, filled(2, ZONE_BLOCKS - 4));
    await pool.service.pool(0).destageAll();
    gate.close("readStrips");
    for (let round = 3; round < 11 && gate.waiting("readStrips") === 0; round++) {
      // Other zones hold more than the first.
      await writeBytes(pool, 1, (round - 2) * ZONE_BLOCKS * BLOCK, filled(round, ZONE_BLOCKS));
      const destaged = pool.service.pool(0).destageAll();
      await Promise.race([destaged, until(() => gate.waiting("readStrips") > 0)]);
    }
    expect(gate.waiting("readStrips")).toBeGreaterThan(0);
    // Blocks 0 … 3 live in the zone that is being emptied; block 2 is written and mapped elsewhere meanwhile.
    const before = map.lookup(1, 2);
    await writeBytes(pool, 1, 2 * BLOCK, filled(9, 1));
    const destaged = pool.service.pool(0).destageAll();
    await until(() => map.lookup(1, 2) !== before);
    const moved = map.lookup(1, 2);
    gate.open("readStrips");
    await destaged;
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    expect(map.lookup(1, 2)).toBe(moved);
    pool.kill();
    const again = await openMemoryPool(media);
    const { data } = await readBytes(again, 1, 0, 5 * BLOCK);
    expect([0, 1, 2, 3, 4].map((n) => data[n * BLOCK])).toEqual([1, 1, 9, 1, 2]);
    again.kill();
  });
});

describe("Compactor: a read that was given up on", () => {
  test("keeps the memory that it may still land in, until it has", async () => {
    const media = new MemoryPoolMedia();
    let land: () => void = () => undefined;
    let lateAt = -1;
    let isOpen = false;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (!isOpen || operation !== "readStrips" || position !== 1 || lateAt >= 0) return run();
        lateAt = (parameters[0] as { address: number }).address;
        const late = lateAnswer("1");
        land = late.land;
        throw late.error;
      });
    const pool = await pooled(media);
    isOpen = true;
    const { staging, geometry } = pool.service.pool(0).parts;
    // Four blocks of the first zone stay, and have to be moved.
    await writeBytes(pool, 1, 4 * BLOCK, filled(2, ZONE_BLOCKS - 4));
    for (let round = 3; round < 11 && lateAt < 0; round++) await writeZone(pool, (round - 2) * ZONE_BLOCKS, round);
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    expect(lateAt).toBeGreaterThan(0);
    const source = lateAt - staging.batchStripes * geometry.shape.stripBytes;
    const free = (): number[] => {
      const regions: number[] = [];
      for (let region = staging.batches.tryTake(); region >= 0; region = staging.batches.tryTake()) regions.push(region);
      for (const region of regions) staging.batches.give(region);
      return regions;
    };
    expect(free().length).toBeGreaterThan(0);
    expect(free()).not.toContain(source);
    land();
    await until(() => free().includes(source));
    expect((await readBytes(pool, 1, 0, 4 * BLOCK)).data[BLOCK]).toBe(1);
    pool.kill();
  });
});

describe("Compactor: a volume that is being deleted", () => {
  test("has its blocks moved like others: the zone is not taken for one that can't be read", async () => {
    const media = new MemoryPoolMedia();
    const pool = await pooled(media);
    const { map, volumes } = pool.service.pool(0).parts;
    await pool.service.createVolume(0, volumeDocument(2, 2000 * BLOCK));
    // Four blocks of the first zone stay; their volume is on its way out, and its blocks are not given back yet.
    await writeBytes(pool, 1, 4 * BLOCK, filled(2, ZONE_BLOCKS - 4));
    await pool.service.pool(0).destageAll();
    volumes.delete(1);
    for (let round = 3; round < 11 && media.drives.every((drive) => drive!.zones.has(1)); round++) {
      const at = (round - 3) * ZONE_BLOCKS * BLOCK;
      if ((await writeBytes(pool, 2, at, filled(round, ZONE_BLOCKS))).status !== BLOCK_STATUS.good) break;
      await pool.service.pool(0).destageAll();
    }
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    expect(map.lookup(1, 0)).toBeGreaterThan(0);
    pool.kill();
  });
});

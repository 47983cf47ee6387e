import { describe, expect, test } from "vitest";
import { DriveError, type StripRead } from "../../../drivers/drive/drive.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
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

describe("Compactor: when a zone goes (invariant 1)", () => {
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

describe("Compactor: a drive that is late", () => {
  test("has the memory that it was asked to read to until it is done", async () => {
    const media = new MemoryPoolMedia();
    let late: StripRead | undefined;
    let land: (() => void) | undefined;
    let landed = false;
    let trespasses = 0;
    media.wrap = (drive) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (operation !== "readStrips" && operation !== "writeStrips") return run();
        const asked = parameters[0] as StripRead;
        if (operation === "readStrips" && asked.count > 1 && late === undefined) {
          late = asked;
          const error = new DriveError("unknown", drive.name, "no answer by the deadline");
          error.landed = new Promise((resolve) => {
            land = resolve;
          });
          throw error;
        }
        const isOther = late === undefined || landed || asked.address >= late.address + late.count * late.strideBytes;
        if (!isOther && asked.address + asked.count * asked.strideBytes > late!.address) trespasses++;
        return run();
      });
    const pool = await pooled(media);
    // Four blocks of the first zone stay.
    await writeBytes(pool, 1, 4 * BLOCK, filled(2, ZONE_BLOCKS - 4));
    await pool.service.pool(0).destageAll();
    for (let round = 3; round < 11; round++) {
      await writeBytes(pool, 1, (round - 2) * ZONE_BLOCKS * BLOCK, filled(round, ZONE_BLOCKS));
      const destaged = pool.service.pool(0).destageAll();
      await Promise.race([destaged, until(() => late !== undefined)]);
      if (late !== undefined) break;
    }
    await until(() => late !== undefined);
    await turns(300);
    // Destage goes on, through regions of its own.
    for (let n = 0; n < 3; n++) {
      await writeBytes(pool, 1, 1900 * BLOCK, filled(20 + n, 12));
      await Promise.race([pool.service.pool(0).destageAll(), turns(500)]);
    }
    expect(trespasses).toBe(0);
    landed = true;
    land!();
    await until(() => media.drives.every((drive) => !drive!.zones.has(1)));
    const { data } = await readBytes(pool, 1, 0, 5 * BLOCK);
    expect([0, 1, 2, 3, 4].map((n) => data[n * BLOCK])).toEqual([1, 1, 1, 1, 2]);
    pool.kill();
  });
});

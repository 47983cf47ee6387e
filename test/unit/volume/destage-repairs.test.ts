import { describe, expect, test } from "vitest";
import { DRIVE_HEALTH_LIMITS } from "../../../src/raid/drive-health.ts";
import { decodePlace } from "../../../src/raid/geometry.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { DriveGate, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type MemoryPoolShape,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;

/** A pool with `count` blocks on its drives and nothing in memory; the copies of those that are `bad` are not right. */
async function damagedPool(
  count: number,
  bad: (block: number, position: number) => boolean,
  shape: MemoryPoolShape = SMALL_POOL,
): Promise<{ gate: DriveGate; pool: OpenedPool }> {
  const media = new MemoryPoolMedia(shape);
  const gate = new DriveGate();
  media.wrap = (drive) => gate.wrap(drive);
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
  for (let block = 0; block < count; block++) await writeBytes(first, 1, block * BLOCK, new Uint8Array(BLOCK).fill(block % 251));
  await first.service.pool(0).destageAll();
  const { geometry, map, reader } = first.service.pool(0).parts;
  for (let block = 0; block < count; block++) {
    const { slot, stripe, column, index } = decodePlace(geometry, map.lookup(1, block));
    const zone = map.zones.zone[slot]!;
    const position = reader.directPosition({ zone, stripe, column });
    if (bad(block, position)) media.drives[position]!.zones.get(zone)!.strips.get(stripe)![index * BLOCK + 7]! ^= 1;
  }
  await first.service.stop();
  first.kill();
  // However bad a drive is, it stays, and is repaired from.
  const driveHealth = { ...DRIVE_HEALTH_LIMITS, predictiveErrors: 1_000_000, failedErrors: 1_000_000 };
  return { gate, pool: await openMemoryPool(media, { config: { driveHealth } }) };
}

describe("Destager: a block whose copy on a drive was bad", () => {
  test("gets a new place also when a read moves it in memory just as the destager has found it", async () => {
    const BAD = 20;
    const { pool } = await damagedPool(48, (block) => block === BAD);
    const { cache, counters, frames, map } = pool.service.pool(0).parts;
    // The blocks of one read, each in a frame that is no neighbour of the next one's; the bad one comes last.
    for (let n = 1; n <= 16; n++) await readBytes(pool, 1, (16 + ((BAD + n * 5) % 16)) * BLOCK, BLOCK);
    expect(counters[POOL_COUNT.repairedBlocks]).toBe(1);
    const place = map.lookup(1, BAD);
    // The destager is under way to it: its pin is the only one.
    const found = cache.find(1, BAD);
    for (let n = 0; frames.pins[found] === 0 && n < 1000; n++) await Promise.resolve();
    const read = readBytes(pool, 1, 16 * BLOCK, 16 * BLOCK);
    expect(cache.find(1, BAD)).not.toBe(found);
    expect((await read).data[(BAD - 16) * BLOCK]).toBe(BAD);
    await turns(100);
    expect(map.lookup(1, BAD)).not.toBe(place);
    expect(counters[POOL_COUNT.destagedBlocks]).toBe(1);
    frames.checkCounts();
    pool.kill();
  });

  test("gets a new place also when there are more of them than a batch takes", async () => {
    const shape = { ...SMALL_POOL, dataDrives: 2, stripesPerZone: 32 };
    const { gate, pool } = await damagedPool(900, (_, position) => position === 0, shape);
    const { counters } = pool.service.pool(0).parts;
    // While two batches are held nobody takes repairs.
    gate.close("writeStrips");
    for (let block = 900; block < 1400; block += 10) await writeBytes(pool, 1, block * BLOCK, new Uint8Array(10 * BLOCK).fill(1));
    const destaged = pool.service.pool(0).destageAll();
    await until(() => gate.waiting("writeStrips") > 0 && counters[POOL_COUNT.destageBatchesActive] === 2);
    for (let block = 0; block < 900; block += 10) await readBytes(pool, 1, block * BLOCK, 10 * BLOCK);
    expect(counters[POOL_COUNT.repairedBlocks]).toBeGreaterThan(256);
    gate.open("writeStrips");
    await destaged;
    await turns(500);
    // As many as are remembered at a time.
    expect(counters[POOL_COUNT.destagedBlocks]).toBeGreaterThanOrEqual(500 + 256);
    pool.kill();
  });
});

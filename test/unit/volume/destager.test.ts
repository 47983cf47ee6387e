import { describe, expect, test } from "vitest";
import { NOT_MAPPED } from "../../../src/raid/geometry.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes, zeroBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;

function block(byte: number, count = 1): Uint8Array {
  return new Uint8Array(count * BLOCK).fill(byte);
}

describe("Destager: zeroed ranges (invariant 2)", () => {
  test("never takes out of the map what was written after the zero, though the write is destaged first", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    for (const at of [5, 1100]) await writeBytes(first, 1, at * BLOCK, block(1));
    await first.service.pool(0).destageAll();
    await first.service.stop();
    first.kill();

    // Two batches are under way and held: the destager waits for one of them before it looks at what is dirty.
    media.wrap = (drive, position) => (position === 0 ? gate.wrap(drive) : drive);
    const pool = await openMemoryPool(media);
    const { map, counters } = pool.service.pool(0).parts;
    await readBytes(pool, 1, 5 * BLOCK, BLOCK);
    gate.close("writeStrips", "metadataGet");
    await writeBytes(pool, 1, 100 * BLOCK, block(2, 400));
    const destaged = pool.service.pool(0).destageAll();
    await until(() => gate.waiting("writeStrips") > 0 && counters[POOL_COUNT.destageBatchesActive] === 2);
    // Taking the range out of the map must wait for a page; the batch with the write need not.
    await zeroBytes(pool, 1, 5 * BLOCK, 1100 * BLOCK);
    await writeBytes(pool, 1, 5 * BLOCK, block(3));
    gate.open("writeStrips");
    await turns(200);
    gate.open("metadataGet");
    await destaged;
    await pool.service.pool(0).destageAll();
    expect(map.lookup(1, 5)).toBeGreaterThan(NOT_MAPPED);
    expect(map.lookup(1, 1100)).toBe(NOT_MAPPED);

    await pool.service.stop();
    pool.kill();
    const again = await openMemoryPool(media);
    const read = await readBytes(again, 1, 5 * BLOCK, BLOCK);
    expect(read.status).toBe(BLOCK_STATUS.good);
    expect(Buffer.compare(read.data, block(3))).toBe(0);
  });
});

describe("Destager: zeros and what is under way (invariant 3)", () => {
  test("a block that was zeroed while its old version went to the drives stays zeroed", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 400 * BLOCK));
    gate.close("writeStrips");
    await writeBytes(pool, 1, 0, block(1, 300));
    const destaged = pool.service.pool(0).destageAll();
    // The first batch ends, so that the destager goes on; the second one, with block 250, is held.
    await until(() => gate.waiting("writeStrips") === 4);
    gate.letThrough("writeStrips");
    await until(() => gate.waiting("writeStrips") === 4);
    await zeroBytes(pool, 1, 250 * BLOCK, BLOCK);
    await turns(50);
    gate.open("writeStrips");
    await destaged;
    await pool.service.pool(0).destageAll();
    const { map } = pool.service.pool(0).parts;
    expect(map.lookup(1, 250)).toBe(NOT_MAPPED);
    expect(map.lookup(1, 251)).toBeGreaterThan(NOT_MAPPED);
    expect((await readBytes(pool, 1, 250 * BLOCK, BLOCK)).data[0]).toBe(0);
    pool.kill();
  });

  test("the record of a zeroed range stays in the journal until the range is out of the map", async () => {
    const media = new MemoryPoolMedia();
    let logPutsLeft = Number.POSITIVE_INFINITY;
    media.wrap = (drive) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        const operations = operation === "metadataBatch" ? (parameters[0] as { key: string }[]) : [];
        if (operations.some(({ key }) => key.startsWith("l/")) && --logPutsLeft < 0) return new Promise(() => undefined);
        return run();
      });
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
    await writeBytes(pool, 1, 0, block(1, 20));
    await pool.service.pool(0).destageAll();
    // The first range is taken out on both copies of the map, the second one on none.
    logPutsLeft = 2;
    await Promise.all([zeroBytes(pool, 1, 2 * BLOCK, BLOCK), zeroBytes(pool, 1, 9 * BLOCK, BLOCK)]);
    await until(() => pool.service.pool(0).parts.zeros.count === 1 && logPutsLeft < 0);
    await turns(30);
    pool.kill();
    logPutsLeft = Number.POSITIVE_INFINITY;
    const again = await openMemoryPool(media);
    const { data } = await readBytes(again, 1, 0, 20 * BLOCK);
    for (let n = 0; n < 20; n++) expect(data[n * BLOCK], `block ${n}`).toBe(n === 2 || n === 9 ? 0 : 1);
    again.kill();
  });
});

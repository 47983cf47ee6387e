/** A drive that does not answer for seconds: hosts must not notice, while there is room in cache and journal. */
import { describe, expect, test } from "vitest";
import { DriveFaults } from "../../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../../drivers/drive/fault-drive.ts";
import { createGlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;
const STALL_MILLISECONDS = 2000;
const VOLUME_BLOCKS = 1500;

describe("a drive that stalls for seconds", () => {
  test("holds no host write up: all are answered while its batch is still under way, and nothing is lost", async () => {
    const media = new MemoryPoolMedia();
    const faults = new DriveFaults();
    const { global } = createGlobalMemory({
      ...{ directorCount: 1, poolCount: 1, driveCount: 4, poolReachedBy: [[0]] },
      ...{ frameCount: 256, stagingBytesPerPool: 4096, mailboxBytes: 4096 },
    });
    media.wrap = (drive, position) => (position === 2 ? new FaultDrive(drive, faults, global) : drive);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, VOLUME_BLOCKS * BLOCK));
    await writeBytes(pool, 1, 0, new Uint8Array(50 * BLOCK).fill(1));
    faults.set({ rules: [{ fault: "delay", milliseconds: STALL_MILLISECONDS }] });
    const destaged = pool.service.pool(0).destageAll();
    const { counters } = pool.service.pool(0).parts;
    await until(() => counters[POOL_COUNT.destageBatchesActive] === 1);
    const before = counters[POOL_COUNT.destagedBlocks];
    for (let n = 0; n < 40; n++) {
      const at = 10 + n * 10;
      const { status } = await writeBytes(pool, 1, at * BLOCK, new Uint8Array(10 * BLOCK).fill(n + 2), n % 4 === 0);
      expect(status).toBe(BLOCK_STATUS.good);
    }
    expect(counters[POOL_COUNT.destagedBlocks]).toBe(before);
    expect(counters[POOL_COUNT.destageBatchesActive]).toBeGreaterThan(0);
    faults.set(undefined);
    await destaged;
    await pool.service.pool(0).destageAll();
    pool.kill();
    const again = await openMemoryPool(media);
    const { data } = await readBytes(again, 1, 0, 410 * BLOCK);
    expect(data[0]).toBe(1);
    for (let n = 0; n < 40; n++) expect(data[(10 + n * 10) * BLOCK], `write ${n}`).toBe(n + 2);
    again.kill();
  });
});

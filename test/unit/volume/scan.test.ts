import { describe, expect, test } from "vitest";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
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
const BLOCKS = 1400;
const HOT_BLOCKS = 150;
const PIECE_BLOCKS = 10;

async function readAt(pool: OpenedPool, block: number, count: number): Promise<void> {
  const { data } = await readBytes(pool, 1, block * BLOCK, count * BLOCK);
  for (let n = 0; n < count; n++) expect(data[n * BLOCK]).toBe((block + n) % 251);
}

/** A pool of 512 frames whose drives hold 1,400 blocks, none of them in memory. */
async function coldPool(): Promise<OpenedPool> {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, frameCount: 512 });
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
  for (let block = 0; block < BLOCKS; block += PIECE_BLOCKS) {
    const data = Buffer.alloc(PIECE_BLOCKS * BLOCK);
    for (let n = 0; n < PIECE_BLOCKS; n++) data[n * BLOCK] = (block + n) % 251;
    await writeBytes(first, 1, block * BLOCK, data);
  }
  await first.service.pool(0).destageAll();
  await first.service.stop();
  first.kill();
  return openMemoryPool(media);
}

describe("A pool: a volume read front to back", () => {
  test("leaves in memory what is read again and again, and is not kept itself", async () => {
    const pool = await coldPool();
    const { counters, cache, frames } = pool.service.pool(0).parts;
    const hotMisses = async (): Promise<number> => {
      const before = counters[POOL_COUNT.readBlocksMissed]!;
      // In no order, or they would be read ahead.
      for (let n = 0; n < HOT_BLOCKS; n++) await readAt(pool, (n * 67) % HOT_BLOCKS, 1);
      return counters[POOL_COUNT.readBlocksMissed]! - before;
    };
    expect(await hotMisses()).toBe(HOT_BLOCKS);
    for (let round = 0; round < 3; round++) {
      await hotMisses();
      for (let block = HOT_BLOCKS; block < BLOCKS; block += PIECE_BLOCKS) await readAt(pool, block, PIECE_BLOCKS);
    }
    // A few were in the nursery each time when the scan came, where a use counts for nothing.
    expect(await hotMisses()).toBeLessThan(HOT_BLOCKS / 20);
    expect(cache.clean.evicted).toBeGreaterThan(BLOCKS * 2);
    frames.checkCounts();
    pool.kill();
  });
});

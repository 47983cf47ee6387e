import { describe, expect, test } from "vitest";
import type { Drive, StripWrite } from "../../../drivers/drive/drive.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes, zeroBytes } from "../../support/memory-pool.ts";

const BLOCK_BYTES = 4096;
const VOLUME_BLOCKS = 1500;
/** A batch has 16 stripes of 12 blocks here, and two are under way at once. */
const TWO_BATCHES_AND_A_BIT = 2 * 16 * 12 + 20;
const OTHER_ZEROS = 100;

/** Holds strip writes back until `release`. */
class Gate {
  #open: () => void = () => undefined;
  #opened: Promise<void> = Promise.resolve();

  close(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
  }

  wrap(drive: Drive): Drive {
    return new Proxy(drive, {
      get: (target, property) => {
        const value = Reflect.get(target, property) as unknown;
        if (property !== "writeStrips") return typeof value === "function" ? value.bind(target) : value;
        return async (write: StripWrite) => {
          await this.#opened;
          return target.writeStrips(write);
        };
      },
    });
  }
}

describe("destager: zeroed ranges (invariant 2)", () => {
  // Found by the crash test: zero and write came while destage waited for a batch, and the zero took the write's place.
  test("keeps a write that follows a zero of its block, though its batch was waited for since before", async () => {
    const media = new MemoryPoolMedia();
    const gate = new Gate();
    media.wrap = (drive) => gate.wrap(drive);
    let pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, VOLUME_BLOCKS * BLOCK_BYTES));
    expect((await writeBytes(pool, 1, 600 * BLOCK_BYTES, Buffer.alloc(OTHER_ZEROS * BLOCK_BYTES, 3))).status).toBe(
      BLOCK_STATUS.good,
    );
    await pool.service.pool(0).destageAll();
    gate.close();
    const older = Buffer.alloc(TWO_BATCHES_AND_A_BIT * BLOCK_BYTES, 1);
    expect((await writeBytes(pool, 1, 100 * BLOCK_BYTES, older)).status).toBe(BLOCK_STATUS.good);
    const destaged = pool.service.pool(0).destageAll();
    const { counters } = pool.service.pool(0).parts;
    while (counters[POOL_COUNT.destageBatchesActive]! < 2) await new Promise((resolve) => setImmediate(resolve));
    // Each is a change of the map of its own: they keep the one that matters waiting until the batch is mapped.
    for (let n = 0; n < OTHER_ZEROS; n++) await zeroBytes(pool, 1, (600 + n) * BLOCK_BYTES, BLOCK_BYTES);
    const newer = Buffer.alloc(8 * BLOCK_BYTES, 2);
    expect((await zeroBytes(pool, 1, 0, newer.length)).status).toBe(BLOCK_STATUS.good);
    expect((await writeBytes(pool, 1, 0, newer)).status).toBe(BLOCK_STATUS.good);
    gate.release();
    await destaged;
    await pool.service.pool(0).destageAll();
    // Neither memory nor the journal has it: the map must.
    pool.kill();
    pool = await openMemoryPool(media);
    const { status, data } = await readBytes(pool, 1, 0, newer.length);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(data.equals(newer)).toBe(true);
    pool.kill();
  });
});

import { describe, expect, test } from "vitest";
import type { Drive, StripWrite } from "../../../drivers/drive/drive.ts";
import { JOURNAL_DATA_START } from "../../../src/journal/record.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { DriveGate, turns, until } from "../../support/gated-drive.ts";
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

test("a part that is replayed over a whole block keeps the block's record until both are on the drives", async () => {
  const media = new MemoryPoolMedia();
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 100 * BLOCK_BYTES));
  const head = Buffer.from(media.journal!.cached.subarray(0, JOURNAL_DATA_START));
  expect((await zeroBytes(first, 1, 0, 10 * BLOCK_BYTES)).status).toBe(BLOCK_STATUS.good);
  await writeBytes(first, 1, 5 * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(1));
  await first.service.pool(0).destageAll();
  // In the journal as a part, as the rest is on the drives and nowhere else.
  first.service.pool(0).parts.cache.removeRange(1, 0, 100);
  await writeBytes(first, 1, 5 * BLOCK_BYTES, new Uint8Array(512).fill(2));
  first.kill();
  // The crash came before the trim was durable: all three records are replayed.
  media.journal!.cached.set(head);

  const gate = new DriveGate();
  media.wrap = (drive) => gate.wrap(drive);
  const second = await openMemoryPool(media);
  const { map, journal } = second.service.pool(0).parts;
  gate.close("writeStrips");
  void second.service
    .pool(0)
    .destageAll()
    .catch(() => undefined);
  await until(() => map.lookup(1, 5) === 0 && gate.waiting("writeStrips") > 0);
  journal.fits(100_000, 100_000);
  await turns(50);
  second.kill();

  media.wrap = (drive) => drive;
  const third = await openMemoryPool(media);
  const { data } = await readBytes(third, 1, 5 * BLOCK_BYTES, BLOCK_BYTES);
  expect([data[0], data[511], data[512], data[BLOCK_BYTES - 1]]).toEqual([2, 2, 1, 1]);
  third.kill();
});

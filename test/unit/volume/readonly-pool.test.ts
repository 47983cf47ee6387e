import { describe, expect, test } from "vitest";
import { BLOCK_STATUS, MappingQuery } from "../../../src/volume/block-io.ts";
import { BeyondRedundancyError } from "../../../src/volume/pool-members.ts";
import { interceptDrive, until } from "../../support/gated-drive.ts";
import {
  flush,
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
const BLOCKS = 400;
const { good, mediumError, writeProtected } = BLOCK_STATUS;

/** All that is stored, to see whether any of it has changed. */
function storedIn(media: MemoryPoolMedia): unknown {
  return {
    drives: media.drives.map(
      (state) =>
        state && {
          metadata: [...state.metadata].map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
          zones: [...state.zones].map(([zone, { finished, nextStrip, strips }]) => [zone, finished, nextStrip, strips.size]),
        },
    ),
    journal: Buffer.from(media.journal!.cached).toString("base64"),
  };
}

/** A volume as hosts know it, and what each write left. */
class Model {
  readonly bytes = Buffer.alloc(BLOCKS * BLOCK);
  #seed = 1;

  async write(pool: OpenedPool, offset: number, bytes: number): Promise<void> {
    this.#seed += 1;
    const data = new Uint8Array(bytes).map((_, n) => (n * 31 + (n >> 9) * 7 + this.#seed * 101) & 0xff);
    const { status } = await writeBytes(pool, 1, offset, data);
    expect(status).toBe(good);
    this.bytes.set(data, offset);
  }

  async zero(pool: OpenedPool, block: number, count: number): Promise<void> {
    expect((await zeroBytes(pool, 1, block * BLOCK, count * BLOCK)).status).toBe(good);
    this.bytes.fill(0, block * BLOCK, (block + count) * BLOCK);
  }
}

/** Blocks that could not be read; those that could were right. */
async function readAll(pool: OpenedPool, model: Model): Promise<number[]> {
  const unreadable: number[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    const { status, data, errorOffsetBytes } = await readBytes(pool, 1, block * BLOCK, BLOCK);
    if (status === mediumError) {
      expect(errorOffsetBytes).toBe(block * BLOCK);
      unreadable.push(block);
      continue;
    }
    expect([block, status]).toEqual([block, good]);
    expect(data.equals(model.bytes.subarray(block * BLOCK, (block + 1) * BLOCK)), `block ${block}`).toBe(true);
  }
  return unreadable;
}

function told(pool: OpenedPool): number[] {
  const { ranges } = pool.service.status()[0]!.unreadable ?? { ranges: [] };
  return ranges.flatMap(({ firstBlock, blockCount }) => Array.from({ length: blockCount }, (_, n) => firstBlock + n));
}

/** On the drives, with overwrites, parts of blocks and zeros of later in the journal only. */
async function used(shape = SMALL_POOL): Promise<{ media: MemoryPoolMedia; model: Model }> {
  const media = new MemoryPoolMedia(shape);
  const model = new Model();
  const pool = await openMemoryPool(media);
  await pool.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
  for (let block = 0; block < 300; block += 20) await model.write(pool, block * BLOCK, 20 * BLOCK);
  await pool.service.pool(0).destageAll();
  await model.write(pool, 10 * BLOCK, 5 * BLOCK);
  // Parts: over what is on the drives, over each other, over zeros, over what was never written.
  for (let block = 40; block < 80; block += 3) await model.write(pool, block * BLOCK + 512, 1024);
  for (let block = 40; block < 80; block += 6) await model.write(pool, block * BLOCK + 1024, 2048);
  await model.zero(pool, 100, 40);
  await model.write(pool, 110 * BLOCK, 3 * BLOCK);
  await model.write(pool, 120 * BLOCK + 512, 512);
  await model.write(pool, 350 * BLOCK + 3072, 512);
  await model.write(pool, 360 * BLOCK, 8 * BLOCK);
  await model.zero(pool, 362, 2);
  pool.kill();
  return { media, model };
}

describe("a pool that has lost one drive more than it can do without", () => {
  test.each([
    [1, 3],
    [0, 2],
    [0, 3],
    [1, 2],
  ])("drives %i and %i: reads what the others and the journal have, says what not, and changes nothing", async (a, b) => {
    const { media, model } = await used();
    const gone = [a, b].map((n) => media.drives[n]);
    media.drives[a] = undefined;
    media.drives[b] = undefined;
    await expect(openMemoryPool(media)).rejects.toThrow(BeyondRedundancyError);
    const before = storedIn(media);
    const pool = await openMemoryPool(media, { readOnly: {} });
    const unreadable = await readAll(pool, model);
    expect(unreadable.length).toBeGreaterThan(50);
    expect(unreadable.length).toBeLessThan(220);
    // Whole in the journal, zeroed, or never written.
    for (const block of [10, 14, 105, 111, 120, 350, 361, 363, 399]) expect(unreadable).not.toContain(block);
    await until(() => told(pool).length > 0);
    expect(told(pool)).toEqual(unreadable);
    expect(pool.events.map(({ type }) => type)).toContain("pool.readOnly");
    expect((await writeBytes(pool, 1, 0, new Uint8Array(BLOCK))).status).toBe(writeProtected);
    expect((await zeroBytes(pool, 1, 0, BLOCK)).status).toBe(writeProtected);
    expect((await flush(pool, 1)).status).toBe(good);
    await expect(pool.service.createVolume(0, volumeDocument(2, BLOCK))).rejects.toThrow("read-only");
    expect(pool.service.status()[0]).toMatchObject({ state: "readonly" });
    // Twice, with all of it gone from memory: as before.
    pool.service.served(0).parts.cache.reclaim(10_000);
    expect(await readAll(pool, model)).toEqual(unreadable);
    await pool.service.stop();
    pool.kill();
    expect(storedIn(media)).toEqual(before);

    // They were only pulled: everything is there again.
    media.drives[a] = gone[0];
    media.drives[b] = gone[1];
    const whole = await openMemoryPool(media);
    expect(whole.service.status()[0]!.state).toBe("optimal");
    expect(await readAll(whole, model)).toEqual([]);
    await whole.service.pool(0).destageAll();
    expect(await readAll(whole, model)).toEqual([]);
    whole.kill();
  });

  test("holds no more of the journal in memory than its share, and frees it all", async () => {
    const media = new MemoryPoolMedia();
    const model = new Model();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
    for (let block = 0; block < BLOCKS; block += 20) await model.write(pool, block * BLOCK, 20 * BLOCK);
    pool.kill();
    media.drives[1] = undefined;
    media.drives[2] = undefined;
    const reading = await openMemoryPool(media, { readOnly: {} });
    const { cache, frames } = reading.service.served(0).parts;
    expect(await readAll(reading, model)).toEqual([]);
    expect(cache.dirtyCount).toBeLessThanOrEqual(frames.heldFrames / 32);
    expect(reading.service.status()[0]!.dirtyBytes).toBe(BLOCKS * BLOCK);
    // A read of more than that at once.
    const all = await readBytes(reading, 1, 0, 256 * BLOCK);
    expect(all.data.equals(model.bytes.subarray(0, 256 * BLOCK))).toBe(true);
    expect(cache.dirtyCount).toBeLessThanOrEqual(frames.heldFrames / 32);
    await reading.service.stop();
    reading.service.served(0).letGo();
    frames.checkCounts();
    reading.kill();
  });

  test("calls all of a volume mapped: who copies it passes over nothing that only the journal has", async () => {
    const { media } = await used();
    media.drives[1] = undefined;
    media.drives[2] = undefined;
    const pool = await openMemoryPool(media, { readOnly: {} });
    const query = new MappingQuery(() => undefined);
    query.volume = 1;
    query.offsetBytes = 4 * BLOCK;
    pool.service.mapping(query);
    expect(query.extents).toEqual([{ bytes: (BLOCKS - 4) * BLOCK, mapped: true }]);
    pool.kill();
  });

  test("has none on record as out that it can't do without: put back, it is whole", async () => {
    const { media, model } = await used();
    const pool = await openMemoryPool(media);
    const { group } = pool.service.pool(0).parts;
    // The first is about to be put on record when the second goes.
    const losing = [1, 3].map((position) => group.lose(position, unreachable(`0${position}`)).catch(() => undefined));
    await Promise.all(losing);
    pool.kill();
    media.drives[1] = undefined;
    const again = await openMemoryPool(media);
    expect(await readAll(again, model)).toEqual([]);
    again.kill();
  });

  test("has its drives asked, and says so when one of them is there again", async () => {
    const { media } = await used();
    const away = { now: true };
    media.wrap = (drive, position) => {
      if (position !== 2 && position !== 3) return drive;
      return interceptDrive(drive, (_operation, _parameters, run) =>
        away.now ? Promise.reject(unreachable(drive.name)) : run(),
      );
    };
    let returns = 0;
    const onReturn = (): void => {
      returns += 1;
    };
    const pool = await openMemoryPool(media, { hurry: 100, readOnly: { onReturn } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(returns).toBe(0);
    away.now = false;
    await until(() => returns > 0, 1_000_000);
    pool.kill();
  });
});

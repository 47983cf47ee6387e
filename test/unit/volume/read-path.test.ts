import { describe, expect, test } from "vitest";
import { BLOCK_STATUS, BlockIo } from "../../../src/volume/block-io.ts";
import { DriveGate, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;

function filled(byte: number, bytes = BLOCK): Uint8Array {
  return new Uint8Array(bytes).fill(byte);
}

async function reopened(media: MemoryPoolMedia, pool: OpenedPool): Promise<OpenedPool> {
  await pool.service.pool(0).destageAll();
  await pool.service.stop();
  pool.kill();
  return openMemoryPool(media);
}

describe("ReadPath: what a drive returned late (invariant 2)", () => {
  test("is not merged into a partial write that came after the block was rewritten and evicted", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    await writeBytes(first, 1, 3 * BLOCK, filled(1));
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await reopened(media, first);
    const { cache } = pool.service.pool(0).parts;

    gate.close("readStrips");
    const early = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await until(() => gate.waiting("readStrips") > 0);
    // While that read is under way: a whole write, destaged and evicted, then a write of one sector.
    await writeBytes(pool, 1, 3 * BLOCK, filled(2));
    await pool.service.pool(0).destageAll();
    cache.remove(cache.find(1, 3));
    await writeBytes(pool, 1, 3 * BLOCK + 512, filled(3, 512));
    gate.open("readStrips");
    // The early read may see either version, but no mix of the first with the third.
    expect((await early).status).toBe(BLOCK_STATUS.good);
    const { data } = await readBytes(pool, 1, 3 * BLOCK, BLOCK);
    const expected = filled(2);
    expected.fill(3, 512, 1024);
    expect(Buffer.compare(data, expected)).toBe(0);
    const again = await reopened(media, pool);
    expect(Buffer.compare((await readBytes(again, 1, 3 * BLOCK, BLOCK)).data, expected)).toBe(0);
    again.kill();
  });

  test("is not published when the block was rewritten meanwhile", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    await writeBytes(first, 1, 3 * BLOCK, filled(1));
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await reopened(media, first);
    const { cache } = pool.service.pool(0).parts;
    gate.close("readStrips");
    const early = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await until(() => gate.waiting("readStrips") > 0);
    await writeBytes(pool, 1, 3 * BLOCK, filled(2));
    await pool.service.pool(0).destageAll();
    cache.remove(cache.find(1, 3));
    gate.open("readStrips");
    expect((await early).data[0]).toBe(1);
    await turns();
    expect(cache.find(1, 3)).toBe(-1);
    expect((await readBytes(pool, 1, 3 * BLOCK, BLOCK)).data[0]).toBe(2);
    pool.frames.checkCounts();
    pool.kill();
  });

  test("serves all who wait for blocks of one strip with one read", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    for (let n = 0; n < 4; n++) await writeBytes(first, 1, n * BLOCK, filled(n + 1));
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await reopened(media, first);
    gate.close("readStrips");
    const reads = [0, 1, 2, 3, 3, 0].map((n) => readBytes(pool, 1, n * BLOCK, BLOCK));
    await until(() => gate.waiting("readStrips") > 0);
    await turns();
    expect(gate.waiting("readStrips")).toBe(1);
    gate.open("readStrips");
    expect((await Promise.all(reads)).map(({ data }) => data[0])).toEqual([1, 2, 3, 4, 4, 1]);
    pool.kill();
  });
});

describe("ReadPath: a strip that has lost its redundancy", () => {
  /** A host that reads one block as soon as it has another: an ordered command, or one that waited for read budget. */
  function readOneAfterOther(pool: OpenedPool, blocks: readonly number[]): Promise<number[]> {
    return new Promise((resolve) => {
      const statuses: number[] = [];
      const next = (): void => {
        const io = new BlockIo((done) => {
          statuses.push(done.status);
          if (statuses.length < blocks.length) next();
          else resolve(statuses);
        });
        io.volume = 1;
        io.offsetBytes = blocks[statuses.length]! * BLOCK;
        io.bytes = BLOCK;
        pool.service.read(io);
      };
      next();
    });
  }

  test.each([0, 1, 2, 3])("without drive %i, serves a read that begins in the end of another one of the strip", async (lost) => {
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    for (let n = 0; n < 12; n++) await writeBytes(first, 1, n * BLOCK, filled(n + 1));
    media.drives[lost] = undefined;
    await first.service.pool(0).destageAll();
    await first.service.stop();
    first.kill();
    const pool = await openMemoryPool(media);
    const good = BLOCK_STATUS.good;
    expect(await readOneAfterOther(pool, [0, 1, 2, 3])).toEqual([good, good, good, good]);
    expect(pool.events.filter(({ type }) => type === "block.lost")).toEqual([]);
    pool.kill();
  });
});

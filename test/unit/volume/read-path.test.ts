import { describe, expect, test } from "vitest";
import { DriveError, type PartsRead } from "../../../drivers/drive/drive.ts";
import { FRAME_STATE } from "../../../src/cache/frame-pool.ts";
import { BLOCK_STATUS, BlockIo } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { DriveGate, interceptDrive, lateAnswer, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;

function filled(byte: number, bytes = BLOCK): Uint8Array {
  return new Uint8Array(bytes).fill(byte);
}

/** Media on which a volume's blocks have been written: for each block the byte that it is full of. */
async function writtenMedia(blocks: readonly (readonly [block: number, byte: number])[]) {
  const media = new MemoryPoolMedia();
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
  for (const [block, byte] of blocks) await writeBytes(first, 1, block * BLOCK, filled(byte));
  return { media, first };
}

/** A pool that has these blocks on its drives only, and drives that wait where the gate is closed. */
async function gatedPool(blocks: readonly (readonly [block: number, byte: number])[]) {
  const gate = new DriveGate();
  const { media, first } = await writtenMedia(blocks);
  media.wrap = (drive) => gate.wrap(drive);
  const pool = await reopened(media, first);
  return { gate, media, pool };
}

const TWELVE = Array.from({ length: 12 }, (_, n) => [n, n + 1] as const);

async function reopened(media: MemoryPoolMedia, pool: OpenedPool): Promise<OpenedPool> {
  await pool.service.pool(0).destageAll();
  await pool.service.stop();
  pool.kill();
  return openMemoryPool(media);
}

describe("ReadPath: what a drive returned late (invariant 2)", () => {
  test("is not merged into a partial write that came after the block was rewritten and evicted", async () => {
    const { gate, media, pool } = await gatedPool([[3, 1]]);
    const { cache } = pool.service.pool(0).parts;

    gate.close("readParts");
    const early = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await until(() => gate.waiting("readParts") > 0);
    // While that read is under way: a whole write, destaged and evicted, then a write of one sector.
    await writeBytes(pool, 1, 3 * BLOCK, filled(2));
    await pool.service.pool(0).destageAll();
    cache.remove(cache.find(1, 3));
    await writeBytes(pool, 1, 3 * BLOCK + 512, filled(3, 512));
    gate.open("readParts");
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
    const { gate, pool } = await gatedPool([[3, 1]]);
    const { cache } = pool.service.pool(0).parts;
    gate.close("readParts");
    const early = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await until(() => gate.waiting("readParts") > 0);
    await writeBytes(pool, 1, 3 * BLOCK, filled(2));
    await pool.service.pool(0).destageAll();
    cache.remove(cache.find(1, 3));
    gate.open("readParts");
    expect((await early).data[0]).toBe(1);
    await turns();
    expect(cache.find(1, 3)).toBe(-1);
    expect((await readBytes(pool, 1, 3 * BLOCK, BLOCK)).data[0]).toBe(2);
    pool.frames.checkCounts();
    pool.kill();
  });

  // Whoever reads after a write of some sectors was acknowledged sees those, or what came after them: never what was before.
  test.each([
    {
      ending: "zeroed",
      change: (pool: OpenedPool) => zeroBytes(pool, 1, 3 * BLOCK, BLOCK),
      newest: 0,
    },
    {
      ending: "rewritten, destaged and evicted",
      change: async (pool: OpenedPool) => {
        const { cache } = pool.service.pool(0).parts;
        await writeBytes(pool, 1, 3 * BLOCK, filled(2));
        await pool.service.pool(0).destageAll();
        cache.remove(cache.find(1, 3));
      },
      newest: 2,
    },
  ])("is not served without the partial write that came before the read, when the block is then $ending", async (given) => {
    const { gate, pool } = await gatedPool([[3, 1]]);
    gate.close("readParts");
    const before = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await until(() => gate.waiting("readParts") > 0);
    expect((await writeBytes(pool, 1, 3 * BLOCK + 512, filled(3, 512))).status).toBe(BLOCK_STATUS.good);
    const after = readBytes(pool, 1, 3 * BLOCK, BLOCK);
    await turns();
    await given.change(pool);
    gate.open("readParts");
    const { status, data } = await after;
    expect(status).toBe(BLOCK_STATUS.good);
    expect(Buffer.compare(data, filled(given.newest))).toBe(0);
    expect((await before).status).toBe(BLOCK_STATUS.good);
    await turns();
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });

  test("serves all who wait for blocks of one strip with one read", async () => {
    const { gate, pool } = await gatedPool(TWELVE.slice(0, 4));
    gate.close("readParts");
    const reads = [0, 1, 2, 3, 3, 0].map((n) => readBytes(pool, 1, n * BLOCK, BLOCK));
    await until(() => gate.waiting("readParts") > 0);
    await turns();
    expect(gate.waiting("readParts")).toBe(1);
    gate.open("readParts");
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
    const { media, first } = await writtenMedia(TWELVE);
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

describe("ReadPath: reading ahead", () => {
  const BLOCKS = 1200;

  async function coldPool(media = new MemoryPoolMedia()): Promise<{ media: MemoryPoolMedia; pool: OpenedPool; content: Buffer }> {
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    const content = Buffer.alloc(BLOCKS * BLOCK);
    for (let n = 0; n < BLOCKS; n++) content.fill((n * 7) & 0xff, n * BLOCK, (n + 1) * BLOCK);
    for (let n = 0; n < BLOCKS; n += 100) {
      await writeBytes(first, 1, n * BLOCK, content.subarray(n * BLOCK, (n + 100) * BLOCK));
      await first.service.pool(0).destageAll();
    }
    return { media, pool: await reopened(media, first), content };
  }

  const readAhead = (pool: OpenedPool) => pool.service.pool(0).parts.counters[POOL_COUNT.readAheadBlocks]!;

  test("has a sequential reader's next blocks in memory before it asks", async () => {
    const { pool, content } = await coldPool();
    const { counters } = pool.service.pool(0).parts;
    for (let n = 0; n < 64; n++) {
      const { data } = await readBytes(pool, 1, n * 4 * BLOCK, 4 * BLOCK);
      expect(Buffer.compare(data, content.subarray(n * 4 * BLOCK, (n + 1) * 4 * BLOCK))).toBe(0);
      await turns(4);
    }
    expect(counters[POOL_COUNT.readBlocksHit]).toBeGreaterThan(256 * 0.9);
    expect(readAhead(pool)).toBeGreaterThan(256 * 0.9);
    pool.frames.checkCounts();
    pool.kill();
  });

  test("reads no strip for a host that reads at random", async () => {
    const { pool } = await coldPool();
    let seed = 3;
    for (let n = 0; n < 60; n++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      await readBytes(pool, 1, ((seed >>> 8) % BLOCKS) * BLOCK, BLOCK);
    }
    expect(readAhead(pool)).toBe(0);
    pool.kill();
  });

  test("joins a reader to what is being read ahead", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    media.wrap = (drive) => gate.wrap(drive);
    const { pool, content } = await coldPool(media);
    for (let n = 0; n < 2; n++) await readBytes(pool, 1, n * 4 * BLOCK, 4 * BLOCK);
    gate.close("readParts");
    const third = readBytes(pool, 1, 8 * BLOCK, 4 * BLOCK);
    await until(() => readAhead(pool) > 0);
    await turns();
    const asked = gate.waiting("readParts");
    const fourth = readBytes(pool, 1, 12 * BLOCK, 4 * BLOCK);
    await turns();
    expect(gate.waiting("readParts")).toBe(asked);
    gate.open("readParts");
    expect(Buffer.compare((await third).data, content.subarray(8 * BLOCK, 12 * BLOCK))).toBe(0);
    expect(Buffer.compare((await fourth).data, content.subarray(12 * BLOCK, 16 * BLOCK))).toBe(0);
    pool.kill();
  });

  test("holds no more than its share of the frames, however many streams there are", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    media.wrap = (drive) => gate.wrap(drive);
    const { pool } = await coldPool(media);
    for (let stream = 0; stream < 10; stream++) {
      for (let n = 0; n < 2; n++) await readBytes(pool, 1, (stream * 115 + n) * BLOCK, BLOCK);
    }
    gate.close("readParts");
    const reads: Promise<unknown>[] = [];
    for (let stream = 0; stream < 10; stream++) reads.push(readBytes(pool, 1, (stream * 115 + 2) * BLOCK, BLOCK));
    await turns(100);
    expect(readAhead(pool)).toBeGreaterThan(0);
    expect(pool.frames.count(FRAME_STATE.reserved)).toBeLessThanOrEqual(pool.frames.heldFrames / 8 + 10);
    gate.open("readParts");
    await Promise.all(reads);
    await turns();
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });

  test("stops while a host's write waits for frames", async () => {
    const { pool } = await coldPool();
    const { frames } = pool;
    for (let n = 0; n < 2; n++) await readBytes(pool, 1, n * 4 * BLOCK, 4 * BLOCK);
    // All that host writes may have, and one that waits for more.
    const taken: number[] = [];
    const one = new Int32Array(1);
    while (frames.tryTake(1, one, 0)) taken.push(one[0]!);
    let served = false;
    frames.whenAvailable(1, () => {
      served = true;
    });
    await readBytes(pool, 1, 8 * BLOCK, 4 * BLOCK);
    expect(readAhead(pool)).toBe(0);
    expect(served).toBe(false);
    for (const frame of taken) frames.give(frame);
    expect(served).toBe(true);
    await readBytes(pool, 1, 12 * BLOCK, 4 * BLOCK);
    expect(readAhead(pool)).toBeGreaterThan(0);
    frames.checkCounts();
    pool.kill();
  });

  test("raises nothing and keeps no frame when what it read ahead is bad, until somebody reads it", async () => {
    const { media, pool, content } = await coldPool();
    for (const drive of media.drives)
      for (const zone of drive!.zones.values()) for (const strip of zone.strips.values()) strip[9]! ^= 1;
    for (let n = 0; n < 3; n++) await readBytes(pool, 1, n * BLOCK, BLOCK);
    await turns(50);
    expect(readAhead(pool)).toBeGreaterThan(0);
    expect(pool.events.filter(({ type }) => type === "block.lost").length).toBeLessThanOrEqual(3);
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    // Every strip's first block is bad, its others are as they were.
    const { data, status } = await readBytes(pool, 1, 41 * BLOCK, BLOCK);
    if (status === BLOCK_STATUS.good) expect(Buffer.compare(data, content.subarray(41 * BLOCK, 42 * BLOCK))).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });

  test("serves blocks of one strip that are asked for while another read of it is under way", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    media.wrap = (drive) => gate.wrap(drive);
    const { pool, content } = await coldPool(media);
    gate.close("readParts");
    const reads: Promise<{ data: Buffer }>[] = [];
    for (const block of [3, 1, 3, 0, 2, 1]) {
      reads.push(readBytes(pool, 1, block * BLOCK, BLOCK));
      await turns(5);
    }
    expect(gate.waiting("readParts")).toBe(4);
    gate.open("readParts");
    const blocks = await Promise.all(reads);
    [3, 1, 3, 0, 2, 1].forEach((block, n) => {
      expect(blocks[n]!.data[0]).toBe(content[block * BLOCK]);
    });
    await turns();
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });
});

describe("ReadPath: a drive that is late (invariant 4)", () => {
  test("keeps its frames until the drive is done with them, and serves the rebuilt block from others", async () => {
    const { media, first } = await writtenMedia(TWELVE);
    let land: (() => void) | undefined;
    let asked: PartsRead | undefined;
    media.wrap = (drive) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (operation !== "readParts" || asked !== undefined) return run();
        asked = parameters[0] as PartsRead;
        const late = lateAnswer(drive.name);
        land = late.land;
        throw late.error;
      });
    const pool = await reopened(media, first);
    const { status, data } = await readBytes(pool, 1, 5 * BLOCK, BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(data[0]).toBe(6);
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(1);
    // The late drive writes after all: nobody has that memory.
    const address = pool.global.i32[(asked!.list >> 2) + 4 + 2]! >>> 0;
    pool.global.u8.fill(0xaa, address, address + BLOCK);
    for (let n = 0; n < 12; n++) expect((await readBytes(pool, 1, n * BLOCK, BLOCK)).data[0]).toBe(n + 1);
    land!();
    await turns();
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });
});

describe("ReadPath: a pool that fails", () => {
  test("keeps the frames that a late drive may write to, also when recording the drive's loss is refused", async () => {
    const { media, first } = await writtenMedia([[0, 1]]);
    let late = false;
    media.wrap = (drive) =>
      interceptDrive(drive, async (operation, _parameters, run) => {
        if (late && operation === "metadataBatch") throw new DriveError("fenced", drive.name, "somebody else has it");
        if (operation !== "readParts") return run();
        late = true;
        throw lateAnswer(drive.name).error;
      });
    const pool = await reopened(media, first);
    expect((await readBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.failed);
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(1);
    pool.kill();
  });

  test("answers reads that still waited for a region of the staging area", async () => {
    const strips = 300;
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 1500 * BLOCK));
    for (let n = 0; n < strips * 4; n += 60) await writeBytes(first, 1, n * BLOCK, filled(1, 60 * BLOCK));
    const gate = new DriveGate();
    let fenced = false;
    media.wrap = (drive) =>
      gate.wrap(
        interceptDrive(drive, async (operation, _parameters, run) => {
          if (operation === "readParts" && fenced) throw new DriveError("fenced", drive.name, "somebody else has it");
          return run();
        }),
      );
    const pool = await reopened(media, first);
    for (const block of [0, 1100]) await readBytes(pool, 1, block * BLOCK, BLOCK); // Loads the map's pages.
    gate.close("readParts");
    let answered = 0;
    const statuses: number[] = [];
    // From the other end, so that nothing is read ahead.
    for (let n = strips - 1; n >= 0; n--) {
      void readBytes(pool, 1, (n * 4 + 2) * BLOCK, BLOCK).then(({ status }) => {
        statuses.push(status);
        answered++;
      });
    }
    await turns();
    // All regions are taken, and there are reads without one.
    expect(gate.waiting("readParts")).toBeLessThan(strips);
    fenced = true;
    gate.open("readParts");
    await turns(200);
    expect(answered).toBe(strips);
    expect(new Set(statuses)).toEqual(new Set([BLOCK_STATUS.failed]));
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    expect(pool.service.pool(0).parts.zoneUse.reading.some((reads) => reads > 0)).toBe(false);
    pool.frames.checkCounts();
    pool.kill();
  });
});

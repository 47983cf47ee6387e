import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_STATUS, MappingQuery } from "../../../src/volume/block-io.ts";
import { DriveGate, interceptDrive, turns } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const PAGE = 1024;

function ask(pool: OpenedPool, volume: number, offsetBytes: number, extentsMax = 255): Promise<MappingQuery> {
  return new Promise((resolve) => {
    const query = new MappingQuery(resolve);
    query.volume = volume;
    query.offsetBytes = offsetBytes;
    query.extentsMax = extentsMax;
    pool.service.mapping(query);
  });
}

/** Asks until the volume's end; one boolean for each block, and how many questions it took. */
async function mapOf(
  pool: OpenedPool,
  volume: number,
  blocks: number,
  extentsMax: number,
): Promise<{ mapped: boolean[]; questions: number }> {
  const mapped: boolean[] = [];
  let questions = 0;
  while (mapped.length < blocks) {
    const query = await ask(pool, volume, mapped.length * BLOCK, extentsMax);
    questions += 1;
    expect(query.status).toBe(BLOCK_STATUS.good);
    expect(query.extents.length).toBeGreaterThan(0);
    expect(query.extents.length).toBeLessThanOrEqual(extentsMax);
    for (const [n, extent] of query.extents.entries()) {
      expect(extent.bytes).toBeGreaterThan(0);
      if (n > 0) expect(extent.mapped).toBe(!query.extents[n - 1]!.mapped);
      for (let at = 0; at < extent.bytes; at += BLOCK) mapped.push(extent.mapped);
    }
  }
  expect(mapped.length).toBe(blocks);
  return { mapped, questions };
}

describe("findMapping (GET LBA STATUS)", () => {
  const BLOCKS = 3 * PAGE + 100;
  type Act = { kind: "write" | "zero"; at: number; count: number } | { kind: "destage" } | { kind: "reopen" } | { kind: "evict" };
  const act: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("write" as const),
        at: fc.nat({ max: BLOCKS - 1 }),
        count: fc.integer({ min: 1, max: 60 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("zero" as const),
        at: fc.nat({ max: BLOCKS - 1 }),
        count: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(2000)),
      }),
    },
    { weight: 2, arbitrary: fc.constantFrom<Act>({ kind: "destage" }, { kind: "reopen" }, { kind: "evict" }) },
  );

  test("says of every block what was done to it last, wherever it is now", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 14 }), fc.constantFrom(1, 2, 255), async (acts, extentsMax) => {
        const media = new MemoryPoolMedia();
        let pool = await openMemoryPool(media);
        await pool.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
        const model: boolean[] = new Array(BLOCKS).fill(false);
        for (const one of acts) {
          if (one.kind === "write" || one.kind === "zero") {
            const count = Math.min(one.count, BLOCKS - one.at);
            if (one.kind === "write") await writeBytes(pool, 1, one.at * BLOCK, new Uint8Array(count * BLOCK).fill(1));
            else await zeroBytes(pool, 1, one.at * BLOCK, count * BLOCK);
            model.fill(one.kind === "write", one.at, one.at + count);
          } else if (one.kind === "destage") await pool.service.pool(0).destageAll();
          else if (one.kind === "evict") pool.service.pool(0).parts.cache.reclaim(10_000);
          else {
            pool.kill();
            pool = await openMemoryPool(media);
          }
          expect((await mapOf(pool, 1, BLOCKS, extentsMax)).mapped).toEqual(model);
        }
        pool.kill();
      }),
      { numRuns: 25 },
    );
  });

  test("an empty volume takes a question for 4 GiB, when its pages are known and when they must be loaded a bounded number", async () => {
    const media = new MemoryPoolMedia();
    const blocks = 16 * PAGE * PAGE; // 64 GiB
    let pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, blocks * BLOCK));
    const query = await ask(pool, 1, 0);
    expect(query.extents).toEqual([{ bytes: PAGE * PAGE * BLOCK, mapped: false }]);
    // One dirty block far behind ends the hole, in the same question.
    await writeBytes(pool, 1, 700 * PAGE * BLOCK, new Uint8Array(BLOCK).fill(1));
    expect((await ask(pool, 1, 0)).extents.slice(0, 2)).toEqual([
      { bytes: 700 * PAGE * BLOCK, mapped: false },
      { bytes: BLOCK, mapped: true },
    ]);
    await pool.service.pool(0).destageAll();
    pool.kill();
    let reads = 0;
    media.wrap = (drive, position) =>
      interceptDrive(drive, (operation, _parameters, run) => {
        if (position === 0 && operation === "metadataGet") reads += 1;
        return run();
      });
    pool = await openMemoryPool(media);
    reads = 0;
    const cold = await ask(pool, 1, 0);
    expect(cold.extents).toHaveLength(1);
    expect(cold.extents[0]!.mapped).toBe(false);
    expect(reads).toBeLessThanOrEqual(64);
    expect(cold.extents[0]!.bytes).toBeGreaterThanOrEqual(60 * PAGE * BLOCK);
    pool.kill();
  });

  test("begins where it is asked, ends where the volume does, and knows no volume that is not there", async () => {
    const pool = await openMemoryPool(new MemoryPoolMedia());
    await pool.service.createVolume(0, volumeDocument(1, 10 * BLOCK + 1536));
    await writeBytes(pool, 1, 10 * BLOCK, new Uint8Array(512).fill(1));
    expect((await ask(pool, 1, 3 * BLOCK + 512)).extents).toEqual([
      { bytes: 7 * BLOCK - 512, mapped: false },
      { bytes: 1536, mapped: true },
    ]);
    expect((await ask(pool, 1, 10 * BLOCK + 1024)).extents).toEqual([{ bytes: 512, mapped: true }]);
    expect((await ask(pool, 9, 0)).status).toBe(BLOCK_STATUS.noVolume);
    expect((await ask(pool, 1, 11 * BLOCK)).status).toBe(BLOCK_STATUS.noVolume);
    pool.kill();
  });

  test("a zeroed range that waits to be taken out of the map is deallocated already", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
    await writeBytes(pool, 1, 0, new Uint8Array(20 * BLOCK).fill(1));
    await pool.service.pool(0).destageAll();
    gate.close("metadataBatch");
    await zeroBytes(pool, 1, 5 * BLOCK, 10 * BLOCK);
    await writeBytes(pool, 1, 8 * BLOCK, new Uint8Array(BLOCK).fill(2));
    await turns();
    expect(pool.service.pool(0).parts.zeros.isEmpty).toBe(false);
    const { mapped } = await mapOf(pool, 1, 100, 255);
    expect(mapped.map((is, n) => (is ? n : -1)).filter((n) => n >= 0)).toEqual([0, 1, 2, 3, 4, 8, 15, 16, 17, 18, 19]);
    gate.open("metadataBatch");
    pool.kill();
  });
});

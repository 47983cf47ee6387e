/** Which drive a strip is read from, and what becomes of what a pool finds out by reading. */
import { describe, expect, test } from "vitest";
import { decodePlace } from "../../../src/raid/geometry.ts";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { interceptDrive, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 600;
const content = new Uint8Array(BLOCKS * BLOCK).map((_, n) => (n * 31 + (n >> 12)) & 0xff);

/** A pool with a written volume, nothing of it in memory; `gone` drives answer nothing any more, `reads` counts by drive. */
async function pooled(raid: RaidShape) {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, ...raid, stripesPerZone: 48 });
  const gone = new Set<number>();
  const reads = media.drives.map(() => 0);
  media.wrap = (drive, position) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (gone.has(position)) throw unreachable(drive.name);
      if (operation === "readParts" || operation === "readStrips") reads[position]! += 1;
      return run();
    });
  const pool = await openMemoryPool(media);
  await pool.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
  await writeBytes(pool, 1, 0, content);
  await pool.service.pool(0).destageAll();
  const { parts } = pool.service.pool(0);
  parts.cache.reclaim(100_000);
  const expectRight = async (block: number, count: number) => {
    const { status, data } = await readBytes(pool, 1, block * BLOCK, count * BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(Buffer.compare(data, content.subarray(block * BLOCK, (block + count) * BLOCK))).toBe(0);
  };
  return { media, pool, parts, gone, reads, expectRight };
}

describe("StripeReader: copies of a mirror", () => {
  test.each([
    { level: 1, dataDrives: 1, copies: 2 },
    { level: 1, dataDrives: 1, copies: 3 },
    { level: 10, dataDrives: 2 },
  ] satisfies RaidShape[])("%o: neighbours come from one drive, and all drives have their turn", async (raid) => {
    const { parts, pool, reads, expectRight } = await pooled(raid);
    const { reader, geometry } = parts;
    for (let stripe = 0; stripe < 16; stripe++) {
      for (let column = 0; column < geometry.dataDrives; column++)
        expect(reader.directPosition({ zone: 1, stripe, column })).toBe(reader.directPosition({ zone: 1, stripe: 0, column }));
    }
    await expectRight(0, BLOCKS);
    for (const count of reads) expect(count).toBeGreaterThan(0);
    pool.kill();
  });

  test("what one copy's drive does not have comes from the other, without a rebuild", async () => {
    const { parts, pool, gone, reads, expectRight } = await pooled({ level: 1, dataDrives: 1, copies: 2 });
    gone.add(0);
    await expectRight(0, BLOCKS);
    expect(parts.group.state).toBe("degraded");
    parts.cache.reclaim(100_000);
    const before = reads[1]!;
    await expectRight(0, BLOCKS);
    expect(reads[1]! - before).toBeGreaterThan(0);
    expect(parts.counters[POOL_COUNT.repairedBlocks]).toBe(0);
    pool.kill();
  });
});

describe("StripeReader: reads repair what they find (architecture, invariant 3)", () => {
  test.each([
    { level: 6, dataDrives: 4 },
    { level: 1, dataDrives: 1, copies: 3 },
    { level: 10, dataDrives: 2 },
  ] satisfies RaidShape[])("%o: in a degraded group too, where redundancy is left", async (raid) => {
    const { media, parts, pool, expectRight } = await pooled(raid);
    const { reader, geometry, map } = parts;
    const block = 77;
    const place = map.lookup(1, block);
    const { slot, stripe, column, index } = decodePlace(geometry, place);
    const zone = map.zones.zone[slot]!;
    const position = reader.directPosition({ zone, stripe, column });
    // Another drive is lost, that this block can do without: of a pair, one of another pair.
    const lost = (position + 2) % geometry.driveCount;
    await parts.group.lose(lost, unreachable("x"));
    media.drives[position]!.zones.get(zone)!.strips.get(stripe)![index * BLOCK + 5]! ^= 0x40;
    await expectRight(block, 1);
    expect(parts.counters[POOL_COUNT.repairedBlocks]).toBeGreaterThan(0);
    await until(() => map.lookup(1, block) !== place);
    parts.cache.reclaim(100_000);
    await expectRight(0, BLOCKS);
    pool.kill();
  });
});

/** Takeover reads of the journal only what is still the newest: whatever was written, the partner finds what the owner had acknowledged. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/volume/block-io.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../support/memory-pool.ts";

const BLOCKS = 24;
const SECTOR_BYTES = 512;
const BYTES = BLOCKS * BLOCK_BYTES;
const SECTORS = BYTES / SECTOR_BYTES;

interface Step {
  readonly sector: number;
  readonly sectors: number;
  readonly fill: number;
  readonly kind: "write" | "blocks" | "zero" | "destage";
}

const step: fc.Arbitrary<Step> = fc.record({
  sector: fc.nat(SECTORS - 1),
  sectors: fc.integer({ min: 1, max: 40 }),
  fill: fc.integer({ min: 1, max: 255 }),
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constant("write" as const) },
    { weight: 4, arbitrary: fc.constant("blocks" as const) },
    { weight: 1, arbitrary: fc.constant("zero" as const) },
    { weight: 1, arbitrary: fc.constant("destage" as const) },
  ),
});

async function run(pool: OpenedPool, model: Buffer, { kind, sector, sectors, fill }: Step): Promise<void> {
  if (kind === "destage") {
    await pool.service.pool(0).destageAll();
    return;
  }
  const unit = kind === "write" ? SECTOR_BYTES : BLOCK_BYTES;
  const from = Math.floor((sector * SECTOR_BYTES) / unit) * unit;
  const to = Math.min(BYTES, from + Math.ceil((sectors * SECTOR_BYTES) / unit) * unit);
  model.fill(kind === "zero" ? 0 : fill, from, to);
  if (kind === "zero") await zeroBytes(pool, 1, from, to - from);
  else await writeBytes(pool, 1, from, model.subarray(from, to));
}

async function contentOf(pool: OpenedPool): Promise<Buffer> {
  const { status, data } = await readBytes(pool, 1, 0, BYTES);
  expect(status).toBe(0);
  return data;
}

describe("replay at a takeover", () => {
  test("what the partner serves is what the owner had, however often blocks were written, in parts or whole", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 10 }), async (first, second) => {
        const media = new MemoryPoolMedia();
        const model = Buffer.alloc(BYTES);
        const owner = await openMemoryPool(media, { hurry: 20 });
        await owner.service.createVolume(0, volumeDocument(1, BYTES));
        for (const one of first) await run(owner, model, one);
        owner.kill();
        const partner = await openMemoryPool(media, { hurry: 20, pagesKept: true });
        expect((await contentOf(partner)).equals(model)).toBe(true);
        partner.frames.checkCounts();
        // It goes on from there, and what it destages is what it read.
        for (const one of second) await run(partner, model, one);
        await partner.service.pool(0).destageAll();
        expect((await contentOf(partner)).equals(model)).toBe(true);
        partner.kill();
        const restarted = await openMemoryPool(media, { hurry: 20 });
        expect((await contentOf(restarted)).equals(model)).toBe(true);
        restarted.kill();
      }),
      { numRuns: 40 },
    );
  });

  test("of a record that its owner did not finish nothing is replayed, and the partner writes over it", async () => {
    const media = new MemoryPoolMedia();
    const owner = await openMemoryPool(media);
    await owner.service.createVolume(0, volumeDocument(1, BYTES));
    const before = Buffer.alloc(2 * BLOCK_BYTES, 0x11);
    await writeBytes(owner, 1, 0, before);
    const { unsynced } = media.journal!;
    const count = unsynced.length;
    await writeBytes(owner, 1, 0, Buffer.alloc(2 * BLOCK_BYTES, 0x22));
    owner.kill();
    // The last sector of its payload never came into the file.
    const last = unsynced.at(-1)!;
    expect(unsynced.length).toBe(count + 1);
    media.journal!.cached.fill(0, last.position + last.bytes - SECTOR_BYTES, last.position + last.bytes);
    const partner = await openMemoryPool(media, { pagesKept: true });
    expect((await readBytes(partner, 1, 0, before.length)).data.equals(before)).toBe(true);
    const after = Buffer.alloc(2 * BLOCK_BYTES, 0x33);
    await writeBytes(partner, 1, 0, after);
    partner.kill();
    const next = await openMemoryPool(media);
    expect((await readBytes(next, 1, 0, after.length)).data.equals(after)).toBe(true);
    next.kill();
  });

  test("content that is not what was written keeps the pool closed: nothing wrong is ever served", async () => {
    const media = new MemoryPoolMedia();
    const owner = await openMemoryPool(media);
    await owner.service.createVolume(0, volumeDocument(1, BYTES));
    await writeBytes(owner, 1, 0, Buffer.alloc(BLOCK_BYTES, 0x11));
    const first = media.journal!.unsynced.at(-1)!;
    await writeBytes(owner, 1, BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, 0x22));
    owner.kill();
    media.journal!.cached[first.position + first.bytes - 1]! ^= 1;
    await expect(openMemoryPool(media, { pagesKept: true })).rejects.toThrow("is not what was written");
  });
});

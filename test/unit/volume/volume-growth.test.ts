import { describe, expect, test } from "vitest";
import type { MetadataOperation } from "../../../drivers/drive/drive.ts";
import { decodeDocument, encodeDocument } from "../../../src/map/metadata-store.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_KEY, type PoolDocument, type PoolVolumeDocument } from "../../../src/volume/pool-document.ts";
import { volumeKey } from "../../../src/volume/volume-records.ts";
import { interceptDrive, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  openMemoryPool,
  readBytes,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const TiB = 2 ** 40;

describe("volumes: how large they may be", () => {
  test("the last block of the largest volume is not the first, through cache, journal, map and drives", async () => {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 16 * TiB));
    const last = 16 * TiB - BLOCK;
    const blocks = [0, BLOCK, last - BLOCK, last];
    for (const [n, offset] of blocks.entries()) await writeBytes(pool, 1, offset, new Uint8Array(BLOCK).fill(n + 1));
    const bytes = async (from: typeof pool) =>
      Promise.all(blocks.map(async (offset) => (await readBytes(from, 1, offset, BLOCK)).data[7]));
    expect(await bytes(pool)).toEqual([1, 2, 3, 4]);
    pool.kill();
    const replayed = await openMemoryPool(media);
    expect(await bytes(replayed)).toEqual([1, 2, 3, 4]);
    await replayed.service.pool(0).destageAll();
    replayed.kill();
    const fromDrives = await openMemoryPool(media);
    expect(await bytes(fromDrives)).toEqual([1, 2, 3, 4]);
  });

  test("one whose last blocks could not be told from its first is refused", async () => {
    const pool = await openMemoryPool(new MemoryPoolMedia());
    await expect(pool.service.createVolume(0, volumeDocument(1, 16 * TiB + BLOCK))).rejects.toMatchObject({ code: "conflict" });
    await pool.service.createVolume(0, volumeDocument(1, TiB));
    await expect(pool.service.growVolume(1, 17 * TiB)).rejects.toMatchObject({ code: "conflict" });
    await pool.service.growVolume(1, 16 * TiB);
    expect(pool.service.volumeInfo(1)?.sizeBytes).toBe(16 * TiB);
  });
});

describe("volumes: deleting", () => {
  test("an almost empty volume of 16 TiB is given back in steps as few as its pages", async () => {
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 16 * TiB));
    await first.service.createVolume(0, volumeDocument(2, TiB));
    for (const tebibyte of [0, 3, 15]) await writeBytes(first, 1, tebibyte * TiB, new Uint8Array(BLOCK).fill(9));
    await writeBytes(first, 2, 0, new Uint8Array(BLOCK).fill(7));
    await first.service.pool(0).destageAll();
    first.kill();
    let reads = 0;
    media.wrap = (drive) =>
      interceptDrive(drive, (operation, _parameters, run) => {
        if (operation === "metadataGet" || operation === "metadataScan") reads += 1;
        return run();
      });
    const pool = await openMemoryPool(media);
    reads = 0;
    await pool.service.deleteVolume(1);
    const { record, parts } = pool.service.pool(0);
    await until(() => !record.volumes.has(1));
    expect(reads).toBeLessThan(60);
    expect(parts.space.liveBlocks).toBe(1);
    expect([...media.drives[0]!.metadata.keys()].some((key) => key.startsWith("p/00000001"))).toBe(false);
    const { status, data } = await readBytes(pool, 2, 0, BLOCK);
    expect([status, data[0]]).toEqual([BLOCK_STATUS.good, 7]);
  });
});

function longNamed(volume: number): PoolVolumeDocument {
  return { ...volumeDocument(volume, TiB), name: `v${volume}`.padEnd(63, "x"), serial: `${volume}`.padStart(32, "0") };
}

/** Bytes of metadata that each drive is given by each batch. */
function countBatches(media: MemoryPoolMedia): number[] {
  const batches: number[] = [];
  media.wrap = (drive, position) =>
    interceptDrive(drive, (operation, [operations], run) => {
      if (operation === "metadataBatch" && position === 3) {
        const values = operations as readonly MetadataOperation[];
        batches.push(values.reduce((sum, one) => sum + (one.type === "put" ? one.value.byteLength : 0), 0));
      }
      return run();
    });
  return batches;
}

describe("volumes: how many there may be", () => {
  test("the thousandth is made, changed and deleted by writing as much as for the first, and all are there after a restart", async () => {
    const media = new MemoryPoolMedia();
    const batches = countBatches(media);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, longNamed(1));
    const first = batches.at(-1)!;
    for (let volume = 2; volume <= 1024; volume++) await pool.service.createVolume(0, longNamed(volume));
    await pool.service.growVolume(1024, 2 * TiB);
    await pool.service.deleteVolume(500);
    await until(() => !pool.service.pool(0).record.volumes.has(500));
    expect(Math.max(...batches.slice(1))).toBeLessThan(first + 100);
    pool.kill();
    const again = await openMemoryPool(media);
    const { record, parts } = again.service.pool(0);
    expect(parts.group.state).toBe("optimal");
    expect([...record.volumes.keys()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1024 }, (_, n) => n + 1).filter((volume) => volume !== 500),
    );
    expect(again.service.volumeInfo(1024)?.sizeBytes).toBe(2 * TiB);
  });
});

describe("volume records on the drives", () => {
  const made = async (count: number): Promise<MemoryPoolMedia> => {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    for (let volume = 1; volume <= count; volume++) await pool.service.createVolume(0, volumeDocument(volume, TiB));
    pool.kill();
    return media;
  };
  const keysOn = (media: MemoryPoolMedia, position: number): string[] =>
    [...media.drives[position]!.metadata.keys()].filter((key) => key.startsWith("v/")).sort();

  test("a drive that lost records in silence is not the one they are read from, and gets them back", async () => {
    for (const [change, of] of [
      ["lost", 0],
      ["damaged", 1],
      ["too many", 2],
    ] as const) {
      const media = await made(3);
      const { metadata } = media.drives[of]!;
      if (change === "lost") metadata.delete(volumeKey(2));
      else if (change === "damaged") metadata.get(volumeKey(2))![9]! ^= 1;
      else metadata.set(volumeKey(9), encodeDocument(volumeDocument(9, TiB)));
      const pool = await openMemoryPool(media);
      const { record, parts } = pool.service.pool(0);
      expect([...record.volumes.keys()]).toEqual([1, 2, 3]);
      expect(parts.group.state).toBe("optimal");
      for (const position of [0, 1, 2, 3]) {
        expect(keysOn(media, position)).toEqual([1, 2, 3].map(volumeKey));
        expect(metadata.get(volumeKey(2))).toEqual(media.drives[3]!.metadata.get(volumeKey(2)));
      }
    }
  });

  test.each([0, 1, 2, 3, 4])(
    "a volume whose making was cut off after %i drives is there on all of them or on none",
    async (reached) => {
      const media = await made(2);
      let left = Number.POSITIVE_INFINITY;
      media.wrap = (drive) =>
        interceptDrive(drive, (operation, _parameters, run) => {
          if (operation === "metadataBatch" && left-- <= 0) return new Promise(() => undefined);
          return run();
        });
      const pool = await openMemoryPool(media);
      left = reached;
      void pool.service.createVolume(0, volumeDocument(3, TiB));
      await until(() => left <= 0 || reached === 4);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      pool.kill();
      media.wrap = (drive) => drive;
      const again = await openMemoryPool(media);
      const { record, parts } = again.service.pool(0);
      expect([...record.volumes.keys()]).toEqual(reached === 0 ? [1, 2] : [1, 2, 3]);
      expect(parts.group.state).toBe("optimal");
      for (const position of [0, 1, 2, 3]) expect(keysOn(media, position)).toEqual([...record.volumes.keys()].map(volumeKey));
    },
  );

  test("records that no drive has whole are refused: no volume is forgotten in silence", async () => {
    const media = await made(2);
    for (const drive of media.drives) drive!.metadata.delete(volumeKey(1));
    // People are told of each drive what it lacks: one that can't be read now may be in order later.
    media.wrap = (drive, position) =>
      interceptDrive(drive, (operation, _parameters, run) => {
        if (position === 3 && operation === "metadataScan") throw unreachable(drive.name);
        return run();
      });
    await expect(openMemoryPool(media)).rejects.toThrow(
      /records of all its 2 volumes whole \(drive 00 has 1 records, which are not what was written; .*drive 03: was taken away.*\)/,
    );
  });

  test("a version that only a drive without its records has was never acknowledged: the one before counts", async () => {
    const media = await made(2);
    const before = media.drives.map((drive) => new Map(drive!.metadata));
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(3, TiB));
    pool.kill();
    // The making of the third was cut off after the second drive, which had lost the record of the first in silence.
    for (const position of [0, 2, 3]) {
      const { metadata } = media.drives[position]!;
      metadata.delete(volumeKey(3));
      const document = decodeDocument(media.drives[1]!.metadata.get(POOL_KEY)!) as PoolDocument;
      const { volumeCount, volumesDigest } = decodeDocument(before[position]!.get(POOL_KEY)!) as PoolDocument;
      metadata.set(POOL_KEY, encodeDocument({ ...document, version: document.version - 1, volumeCount, volumesDigest }));
    }
    media.drives[1]!.metadata.delete(volumeKey(1));
    const again = await openMemoryPool(media);
    const { record, parts } = again.service.pool(0);
    expect([...record.volumes.keys()]).toEqual([1, 2]);
    expect(parts.group.members.map(({ state }) => state)).toEqual(["online", "failed", "online", "online"]);
    again.kill();
  });

  test("a pool of the first format, with its volumes in the document, is read and written anew", async () => {
    const media = await made(2);
    for (const drive of media.drives) {
      const { metadata } = drive!;
      const { volumeCount: _, volumesDigest: __, ...document } = decodeDocument(metadata.get(POOL_KEY)!) as PoolDocument;
      const volumes = [1, 2].map((volume) => volumeDocument(volume, TiB));
      metadata.set(POOL_KEY, encodeDocument({ ...document, formatVersion: 1, volumes }));
      for (const volume of [1, 2]) metadata.delete(volumeKey(volume));
    }
    const pool = await openMemoryPool(media);
    expect([...pool.service.pool(0).record.volumes.keys()]).toEqual([1, 2]);
    pool.kill();
    const document = decodeDocument(media.drives[2]!.metadata.get(POOL_KEY)!) as PoolDocument;
    expect(document).toMatchObject({ formatVersion: 2, volumeCount: 2 });
    expect(document.volumes).toBeUndefined();
    const again = await openMemoryPool(media);
    expect([...again.service.pool(0).record.volumes.keys()]).toEqual([1, 2]);
  });
});

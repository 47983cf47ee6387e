import { describe, expect, test } from "vitest";
import { MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import type { JournalFile } from "../../../drivers/journal-file/journal-file.ts";
import { MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import { decodeDocument, encodeDocument } from "../../../src/map/metadata-store.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { POOL_KEY, type PoolDocument } from "../../../src/volume/pool-document.ts";
import { DriveGate, turns, until } from "../../support/gated-drive.ts";
import {
  flush,
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;

function filled(byte: number, blocks = 1): Uint8Array {
  return new Uint8Array(blocks * BLOCK).fill(byte);
}

async function poolWith(
  media: MemoryPoolMedia,
  volumes: Record<number, number>,
  wrapJournal?: (file: JournalFile) => JournalFile,
): Promise<OpenedPool> {
  const pool = await openMemoryPool(media, wrapJournal === undefined ? {} : { wrapJournal });
  for (const [volume, blocks] of Object.entries(volumes))
    await pool.service.createVolume(0, volumeDocument(Number(volume), blocks * BLOCK));
  return pool;
}

/** The first byte of each block. */
async function firstBytes(pool: OpenedPool, volume: number, from: number, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let n = from; n < from + count; n += 100) {
    const step = Math.min(100, from + count - n);
    const { status, data } = await readBytes(pool, volume, n * BLOCK, step * BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    for (let m = 0; m < step; m++) found.push(data[m * BLOCK]!);
  }
  return found;
}

describe("pool: full (7/27/07)", () => {
  test("is told once for each full period, and not twice in a minute", async () => {
    const pool = await poolWith(new MemoryPoolMedia(), { 1: 5000 });
    const { runtime } = pool.service.pool(0).parts;
    let now = 0;
    runtime.nowMilliseconds = () => now;
    const full = () => pool.events.filter((event) => event.type === "pool.full").length;
    const refuseTwice = async () => {
      for (let refused = 0, n = 0; refused < 2; n += 20) {
        const { status } = await writeBytes(pool, 1, (n % 5000) * BLOCK, filled(1, 20));
        if (status === BLOCK_STATUS.spaceExhausted) refused += 1;
      }
    };
    const makeRoom = async () => {
      expect((await zeroBytes(pool, 1, 0, 1000 * BLOCK)).status).toBe(BLOCK_STATUS.good);
      await pool.service.pool(0).destageAll();
      (pool.service.pool(0) as unknown as { start(): void }).start(); // it looks once a second; the test does not wait
    };
    await refuseTwice();
    expect(full()).toBe(1);
    now = 61_000;
    await refuseTwice(); // still the same full period
    expect(full()).toBe(1);
    await makeRoom();
    now = 62_000;
    await refuseTwice();
    expect(full()).toBe(2);
    await makeRoom();
    now = 63_000;
    await refuseTwice(); // within the minute
    expect(full()).toBe(2);
    now = 200_000;
    await refuseTwice(); // and so told now
    expect(full()).toBe(3);
    pool.kill();
  });

  test("refuses new blocks after people were told, overwrites the old ones, loses nothing, and has room again after UNMAP", async () => {
    const media = new MemoryPoolMedia();
    let pool = await poolWith(media, { 1: 5000 });
    const { usableBlocks } = pool.service.pool(0).parts.space;
    const good: number[] = [];
    let refused = 0;
    for (let n = 0; n < 5000 && refused < 3; n += 20) {
      const { status } = await writeBytes(pool, 1, n * BLOCK, filled((n / 20 + 1) & 0xff, 20));
      if (status === BLOCK_STATUS.good) good.push(n);
      else {
        expect(status).toBe(BLOCK_STATUS.spaceExhausted);
        refused += 1;
      }
      // The pool looks how full it is once a second; the test does not wait that long.
      if (n % 100 === 0) (pool.service.pool(0) as unknown as { start(): void }).start();
    }
    expect(refused).toBe(3);
    expect(good.length * 20).toBeGreaterThan(usableBlocks - 40);
    expect(good.length * 20).toBeLessThanOrEqual(usableBlocks);
    // Single blocks find what is left.
    let rest = 4500;
    while ((await writeBytes(pool, 1, rest * BLOCK, filled(0x77))).status === BLOCK_STATUS.good) rest += 1;
    refused += 1;
    const told = pool.events.filter((event) => event.type === "pool.nearlyFull");
    expect(told.map((event) => event.severity)).toEqual(["warning", "critical"]);
    const full = () => pool.events.filter((event) => event.type === "pool.full");
    expect(full()).toMatchObject([{ severity: "critical", subject: "pool A", message: expect.stringContaining("7/27/07") }]);
    expect(pool.service.pool(0).parts.counters[POOL_COUNT.spaceExhausted]).toBe(refused);

    // Overwrites need no room, partial ones neither; over and over, so that compaction has to work in a full pool.
    for (let round = 0; round < 3; round++) {
      for (const n of good)
        expect((await writeBytes(pool, 1, n * BLOCK, filled((n / 20 + 1) & 0xff, 20))).status).toBe(BLOCK_STATUS.good);
      expect((await writeBytes(pool, 1, good[round]! * BLOCK + 512, filled(0xab).subarray(0, 512))).status).toBe(
        BLOCK_STATUS.good,
      );
    }
    expect(pool.service.pool(0).parts.counters[POOL_COUNT.compactedZones]).toBeGreaterThan(0);
    expect((await writeBytes(pool, 1, 4999 * BLOCK, filled(1))).status).toBe(BLOCK_STATUS.spaceExhausted);
    expect(full()).toHaveLength(1);

    pool.kill();
    pool = await openMemoryPool(media);
    for (const n of good) expect(await firstBytes(pool, 1, n, 20)).toEqual(new Array(20).fill((n / 20 + 1) & 0xff));
    // The last block was refused: it reads as never written.
    expect(await firstBytes(pool, 1, 4999, 1)).toEqual([0]);
    expect((await zeroBytes(pool, 1, good[0]! * BLOCK, 40 * BLOCK)).status).toBe(BLOCK_STATUS.good);
    expect((await writeBytes(pool, 1, 4960 * BLOCK, filled(9, 40))).status).toBe(BLOCK_STATUS.good);
    expect((await writeBytes(pool, 1, 4999 * BLOCK, filled(9))).status).toBe(BLOCK_STATUS.good);
    expect((await writeBytes(pool, 1, 4900 * BLOCK, filled(9, 20))).status).toBe(BLOCK_STATUS.spaceExhausted);
    await pool.service.pool(0).destageAll();
    pool.frames.checkCounts();
    expect(pool.service.status()[0]).toMatchObject({ state: "optimal", dirtyBytes: 0 });
    pool.kill();
  });
});

describe("pool: volumes", () => {
  test("a volume that is deleted is gone at once, gives its space back, and leaves the others alone", async () => {
    const media = new MemoryPoolMedia();
    const pool = await poolWith(media, { 1: 800, 2: 100 });
    for (let n = 0; n < 800; n += 200) await writeBytes(pool, 1, n * BLOCK, filled(1, 200));
    await writeBytes(pool, 2, 0, filled(2, 100));
    await pool.service.pool(0).destageAll();
    await writeBytes(pool, 1, 0, filled(3, 50));
    const { space, cache, map } = pool.service.pool(0).parts;
    const write = writeBytes(pool, 1, 0, filled(4, 10));
    const deleted = pool.service.deleteVolume(1);
    expect([BLOCK_STATUS.good, BLOCK_STATUS.noVolume]).toContain((await write).status);
    await deleted;
    expect(pool.service.volumeInfo(1)).toBeUndefined();
    expect((await readBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.noVolume);
    expect((await writeBytes(pool, 1, 0, filled(1))).status).toBe(BLOCK_STATUS.noVolume);
    expect((await zeroBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.noVolume);
    await expect(pool.service.deleteVolume(1)).rejects.toMatchObject({ code: "notFound" });
    await until(() => space.liveBlocks === 100 && pool.service.pool(0).record.volumes.size === 1);
    expect(map.mappedBlocks(1)).toBe(0);
    for (let n = 0; n < 800; n++) expect(cache.find(1, n)).toBe(-1);
    await pool.service.pool(0).destageAll();
    expect(pool.service.pool(0).parts.journal.isEmpty).toBe(true);
    expect(await firstBytes(pool, 2, 0, 100)).toEqual(new Array(100).fill(2));
    pool.frames.checkCounts();
    pool.kill();
  });

  test("a kill at any moment of a deletion: it goes on at the next start, and nothing of the volume comes back", async () => {
    for (let moment = 0; moment < 60; moment += 5) {
      const media = new MemoryPoolMedia();
      let pool = await poolWith(media, { 1: 600, 2: 20 });
      await writeBytes(pool, 1, 0, filled(1, 300));
      await writeBytes(pool, 1, 300 * BLOCK, filled(1, 300));
      await writeBytes(pool, 2, 0, filled(2, 20));
      await pool.service.pool(0).destageAll();
      await writeBytes(pool, 1, 5 * BLOCK, filled(3, 20));
      const deleted = pool.service.deleteVolume(1).then(() => true);
      await turns(moment);
      const acknowledged = await Promise.race([deleted, Promise.resolve(false)]);
      pool.kill();
      pool = await openMemoryPool(media);
      if (acknowledged) expect(pool.service.volumeInfo(1), `moment ${moment}`).toBeUndefined();
      if (pool.service.volumeInfo(1) === undefined) {
        const { space } = pool.service.pool(0).parts;
        await until(() => pool.service.pool(0).record.volumes.size === 1);
        expect(space.liveBlocks).toBe(20);
      } else
        expect(await firstBytes(pool, 1, 0, 30)).toEqual([
          ...new Array(5).fill(1),
          ...new Array(20).fill(3),
          ...new Array(5).fill(1),
        ]);
      expect(await firstBytes(pool, 2, 0, 20)).toEqual(new Array(20).fill(2));
      pool.kill();
    }
  });

  test("a deletion leaves no journal behind that nobody would trim", async () => {
    const media = new MemoryPoolMedia();
    const pool = await poolWith(media, { 1: 100, 2: 100 });
    await writeBytes(pool, 1, 0, filled(1, 50));
    await pool.service.deleteVolume(1);
    const { journal } = pool.service.pool(0).parts;
    await until(() => journal.isEmpty);
    pool.kill();
  });

  test("a volume grows, not shrinks; the new part reads as zeros and takes writes, also after a kill", async () => {
    const media = new MemoryPoolMedia();
    let pool = await poolWith(media, { 1: 100 });
    await writeBytes(pool, 1, 0, filled(1, 100));
    await pool.service.growVolume(1, 2500 * BLOCK);
    expect(pool.service.volumeInfo(1)!.sizeBytes).toBe(2500 * BLOCK);
    await expect(pool.service.growVolume(1, 2000 * BLOCK)).rejects.toMatchObject({ code: "conflict" });
    expect(await firstBytes(pool, 1, 90, 20)).toEqual([...new Array(10).fill(1), ...new Array(10).fill(0)]);
    await writeBytes(pool, 1, 2499 * BLOCK, filled(7));
    await pool.service.pool(0).destageAll();
    pool.kill();
    pool = await openMemoryPool(media);
    expect(pool.service.volumeInfo(1)!.sizeBytes).toBe(2500 * BLOCK);
    expect(await firstBytes(pool, 1, 2490, 10)).toEqual([...new Array(9).fill(0), 7]);
    expect(await firstBytes(pool, 1, 0, 100)).toEqual(new Array(100).fill(1));
    pool.kill();
  });

  test("a number that is taken, and a volume that is not there, are refused", async () => {
    const pool = await poolWith(new MemoryPoolMedia(), { 1: 10 });
    await expect(pool.service.createVolume(0, volumeDocument(1, BLOCK))).rejects.toMatchObject({ code: "conflict" });
    await expect(pool.service.createVolume(5, volumeDocument(2, BLOCK))).rejects.toMatchObject({ code: "notFound" });
    await expect(pool.service.growVolume(9, BLOCK)).rejects.toMatchObject({ code: "notFound" });
    pool.kill();
  });
});

describe("pool: durability (architecture, invariant 1)", () => {
  /** Syncs of the journal end when the test says so. */
  function heldSyncs(): { wrap: (file: JournalFile) => JournalFile; hold: boolean; let: () => void; waiting: () => number } {
    const waiting: (() => void)[] = [];
    const held = {
      hold: false,
      wrap: (file: JournalFile): JournalFile => ({
        bytes: file.bytes,
        write: (position, buffers) => file.write(position, buffers),
        read: (position, target) => file.read(position, target),
        sync: (done) => {
          if (held.hold) waiting.push(() => file.sync(done));
          else file.sync(done);
        },
        close: () => file.close(),
      }),
      let: () => {
        for (const go of waiting.splice(0)) go();
      },
      waiting: () => waiting.length,
    };
    return held;
  }

  test("GOOD needs no sync; FUA, flush and a write-through volume need one that covers the write", async () => {
    const media = new MemoryPoolMedia();
    const syncs = heldSyncs();
    const pool = await poolWith(media, { 1: 100, 2: 100 }, syncs.wrap);
    await new Promise<void>((resolve, reject) =>
      pool.service.setWriteCache(2, false, (ok) => (ok ? resolve() : reject(new Error("no")))),
    );
    expect(pool.service.volumeInfo(2)!.writeCacheEnabled).toBe(false);
    syncs.hold = true;
    const done: string[] = [];
    const mark = (name: string) => (result: { status: number }) => {
      expect(result.status).toBe(BLOCK_STATUS.good);
      done.push(name);
    };
    const all = [
      writeBytes(pool, 1, 0, filled(1)).then(mark("plain")),
      writeBytes(pool, 1, BLOCK, filled(2), true).then(mark("fua")),
      writeBytes(pool, 2, 0, filled(3)).then(mark("write-through")),
    ];
    await turns();
    all.push(flush(pool, 1).then(mark("flush")));
    await turns();
    expect(done).toEqual(["plain"]);
    expect(syncs.waiting()).toBeGreaterThan(0);
    for (let n = 0; n < 5; n++) {
      syncs.let();
      await turns(5);
    }
    await Promise.all(all);
    expect(done.sort()).toEqual(["flush", "fua", "plain", "write-through"]);

    // The power fails: what was promised is there.
    pool.kill();
    media.journal!.powerLoss();
    const again = await openMemoryPool(media);
    expect(await firstBytes(again, 1, 0, 2)).toEqual([1, 2]);
    expect(await firstBytes(again, 2, 0, 1)).toEqual([3]);
    expect(again.service.volumeInfo(2)!.writeCacheEnabled).toBe(false);
    again.kill();
  });

  test("write cache is turned off only when what was acknowledged with it is durable", async () => {
    const media = new MemoryPoolMedia();
    const syncs = heldSyncs();
    const pool = await poolWith(media, { 1: 100 }, syncs.wrap);
    syncs.hold = true;
    await writeBytes(pool, 1, 0, filled(1));
    let off = false;
    pool.service.setWriteCache(1, false, () => {
      off = true;
    });
    await turns();
    expect(off).toBe(false);
    syncs.hold = false;
    syncs.let();
    await until(() => off);
    pool.kill();
    media.journal!.powerLoss();
    const again = await openMemoryPool(media);
    expect(await firstBytes(again, 1, 0, 1)).toEqual([1]);
    again.kill();
  });

  test("what was acknowledged while the write cache was being turned off is durable too when it is off", async () => {
    const gate = new DriveGate();
    const media = new MemoryPoolMedia();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await poolWith(media, { 1: 100 });
    gate.close("metadataBatch");
    const off = new Promise<boolean>((resolve) => pool.service.setWriteCache(1, false, resolve));
    await until(() => gate.waiting("metadataBatch") > 0);
    expect((await writeBytes(pool, 1, 0, filled(1))).status).toBe(BLOCK_STATUS.good);
    gate.open("metadataBatch");
    expect(await off).toBe(true);
    pool.kill();
    media.journal!.powerLoss();
    const again = await openMemoryPool(media);
    expect(await firstBytes(again, 1, 0, 1)).toEqual([1]);
    again.kill();
  });

  test("a journal that fails acknowledges nothing more, and says so", async () => {
    const media = new MemoryPoolMedia();
    let fail = false;
    const pool = await poolWith(media, { 1: 100 }, (file) => ({
      bytes: file.bytes,
      write: (position, buffers) => {
        if (fail) throw new Error("EIO");
        file.write(position, buffers);
      },
      read: (position, target) => file.read(position, target),
      sync: (done) => file.sync(done),
      close: () => file.close(),
    }));
    await writeBytes(pool, 1, 0, filled(1));
    fail = true;
    expect((await writeBytes(pool, 1, 0, filled(2))).status).toBe(BLOCK_STATUS.failed);
    fail = false;
    expect((await writeBytes(pool, 1, 0, filled(3))).status).toBe(BLOCK_STATUS.failed);
    expect((await flush(pool, 1)).status).toBe(BLOCK_STATUS.failed);
    expect((await zeroBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.failed);
    expect(pool.events.map((event) => event.type)).toContain("pool.failed");
    expect(pool.service.status()[0]).toMatchObject({ state: "failed", reason: expect.stringContaining("EIO") });
    pool.kill();
    const again = await openMemoryPool(media);
    expect(await firstBytes(again, 1, 0, 1)).toEqual([1]);
    again.kill();
  });
});

describe("openPool: what it refuses (architecture, invariant 8)", () => {
  async function used(): Promise<MemoryPoolMedia> {
    const media = new MemoryPoolMedia();
    const pool = await poolWith(media, { 1: 100 });
    await writeBytes(pool, 1, 0, filled(1, 10));
    pool.kill();
    return media;
  }

  function changeRecord(media: MemoryPoolMedia, change: (document: PoolDocument) => object): void {
    for (const drive of media.drives) {
      const document = decodeDocument(drive!.metadata.get(POOL_KEY)!) as PoolDocument;
      drive!.metadata.set(POOL_KEY, encodeDocument({ ...document, ...change(document) }));
    }
  }

  const cases: readonly (readonly [name: string, damage: (media: MemoryPoolMedia) => void, message: RegExp])[] = [
    ["two drives gone", (media) => void media.drives.fill(undefined, 1, 3), /2 of its drives are lost.*Volumes concerned: v1/],
    ["its journal gone", (media) => (media.journal = undefined), /journal is missing.*Volumes concerned: v1/],
    ["another journal", (media) => (media.journal = new MemoryJournalState(SMALL_POOL.journalBytes)), /superblock/],
    [
      "a drive's metadata lost on all drives, zones left",
      (media) => {
        for (const drive of media.drives) {
          drive!.metadata.clear();
          drive!.zones.set(1, { finished: true, nextStrip: 0, strips: new Map() });
        }
      },
      /holds zones, but no drive has the pool's record/,
    ],
    [
      "a format that this program does not know",
      (media) => {
        for (const drive of media.drives) drive!.metadata.set("pool", encodeDocument({ formatVersion: 99, version: 1 }));
      },
      /format version 99/,
    ],
  ];
  test.each(cases)("%s", async (_name, damage, message) => {
    const media = await used();
    damage(media);
    const before = media.drives.map((drive) => drive && new Map(drive.metadata));
    await expect(openMemoryPool(media)).rejects.toThrow(message);
    // Refusing changes nothing that would make it worse.
    if (/drives are lost/.test(message.source))
      expect(media.drives.map((drive) => drive && new Map(drive.metadata))).toEqual(before);
  });

  const otherSettings = [
    ["drives that are another pool's", { name: "B" }, /its drives 00, 01, 02, 03 are those of pool A: .*Volumes concerned: v1/],
    ["drives by other names", { drives: ["00", "01", "02", "04"] }, /made with the drives 00, 01, 02, 03.*says 00, 01, 02, 04/],
  ] as const;
  test.each(otherSettings)("%s, and leaves drives and the journal of that name as they are", async (_name, config, message) => {
    const media = await used();
    const pool = await openMemoryPool(media);
    await pool.service.pool(0).destageAll();
    await pool.service.stop();
    pool.kill();
    // The journal that lies under the wrong name holds another pool's acknowledged writes.
    const other = await used();
    media.journal = other.journal;
    const before = media.drives.map((drive) => new Map(drive!.metadata));
    await expect(openMemoryPool(media, { config })).rejects.toThrow(message);
    expect(media.drives.map((drive) => new Map(drive!.metadata))).toEqual(before);
    const again = await openMemoryPool(other);
    expect(await firstBytes(again, 1, 0, 10)).toEqual(new Array(10).fill(1));
    again.kill();
  });

  test("drives whose record names no copies, as the first release wrote it, are opened", async () => {
    const media = await used();
    changeRecord(media, ({ raid: { level, dataDrives } }) => ({ raid: { level, dataDrives } }));
    const pool = await openMemoryPool(media);
    expect(await firstBytes(pool, 1, 0, 10)).toEqual(new Array(10).fill(1));
    pool.kill();
  });

  test("drives of a RAID that this program does not know keep the pool closed, and nothing is changed", async () => {
    const media = await used();
    changeRecord(media, ({ raid }) => ({ raid: { ...raid, level: 7 } }));
    const before = media.drives.map((drive) => new Map(drive!.metadata));
    await expect(openMemoryPool(media)).rejects.toThrow(/not opened: it was made as RAID-7 of 3 data drives.*says RAID-5 3\+1/);
    expect(media.drives.map((drive) => new Map(drive!.metadata))).toEqual(before);
  });

  test("a pool is not made while a drive of it is not there", async () => {
    const media = new MemoryPoolMedia();
    media.drives[2] = undefined;
    await expect(openMemoryPool(media)).rejects.toThrow(/no drive knows the pool.*02/);
  });

  test("one drive swapped for a blank one: degraded, and everything is there", async () => {
    const media = await used();
    const { identity } = media.drives[1]!;
    media.drives[1] = new MemoryDriveState({ name: "01", driveId: "new", geometry: identity });
    const pool = await openMemoryPool(media);
    expect(pool.service.status()[0]).toMatchObject({ state: "degraded" });
    expect(pool.service.status()[0]!.drives[1]!.state).toBe("foreign");
    expect(await firstBytes(pool, 1, 0, 10)).toEqual(new Array(10).fill(1));
    pool.kill();
  });

  test("after a clean stop with nothing dirty the journal may be missing", async () => {
    const media = await used();
    const pool = await openMemoryPool(media);
    await pool.service.pool(0).destageAll();
    await pool.service.stop();
    pool.kill();
    media.journal = undefined;
    const again = await openMemoryPool(media);
    expect(await firstBytes(again, 1, 0, 10)).toEqual(new Array(10).fill(1));
    again.kill();
  });
});

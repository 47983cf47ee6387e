import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../../drivers/drive/drive.ts";
import { JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { FRAME_STATE } from "../../../src/cache/frame-pool.ts";
import { SUPERBLOCK_POSITIONS } from "../../../src/journal/record.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

describe("pool: two drives fail while hosts write", () => {
  test("answers every write that waits, refuses new ones, and has what was acknowledged after the drives are back", async () => {
    const media = new MemoryPoolMedia();
    const gone = { now: false };
    media.wrap = (drive: Drive, position: number): Drive => {
      if (position > 1) return drive;
      const writeStrips = drive.writeStrips.bind(drive);
      drive.writeStrips = async (write) => {
        if (gone.now) throw new DriveError("unreachable", drive.name, "was taken away (fault on command)");
        return writeStrips(write);
      };
      return drive;
    };
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 1500 * 4096));
    gone.now = true;
    const statuses: { offset: number; status: number }[] = [];
    // More than memory takes: the last ones wait for a destage that can't happen.
    const writes = Array.from({ length: 1200 }, async (_, block) => {
      const { status } = await writeBytes(pool, 1, block * 4096, new Uint8Array(4096).fill(block % 251));
      statuses.push({ offset: block * 4096, status });
    });
    await Promise.all(writes);
    const acknowledged = statuses.filter(({ status }) => status === BLOCK_STATUS.good);
    expect(acknowledged.length).toBeGreaterThan(100);
    expect(pool.service.status()[0]!.state).toBe("failed");
    expect((await readBytes(pool, 1, 1400 * 4096, 4096)).status).toBe(BLOCK_STATUS.reopening);
    expect(pool.events.some((event) => event.type === "pool.drivesLost")).toBe(true);

    pool.kill();
    gone.now = false;
    const again = await openMemoryPool(media);
    for (const { offset } of acknowledged) {
      const { status, data } = await readBytes(again, 1, offset, 4096);
      expect(status).toBe(BLOCK_STATUS.good);
      expect(data.every((byte) => byte === (offset / 4096) % 251)).toBe(true);
    }
    again.kill();
  });
});

describe("pool: its drives can't be reached", () => {
  test("tells hosts so, records no drive as lost, and has everything when it is opened anew", async () => {
    const media = new MemoryPoolMedia();
    const path = { lost: false };
    media.wrap = (inner: Drive): Drive => {
      for (const name of ["writeStrips", "readStrips", "readParts", "flush", "metadataBatch", "createZone"] as const) {
        const original = (inner[name] as (...given: unknown[]) => Promise<unknown>).bind(inner);
        Object.assign(inner, {
          [name]: async (...given: unknown[]) => {
            if (!path.lost) return original(...given);
            const error = new DriveError("unreachable", inner.name, "its thread took no request by the deadline");
            error.threadLost = true;
            throw error;
          },
        });
      }
      return inner;
    };
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 1500 * 4096));
    await writeBytes(pool, 1, 0, new Uint8Array(300 * 4096).fill(7));
    path.lost = true;
    await expect(pool.service.pool(0).destageAll()).rejects.toThrow("took no request");
    expect((await readBytes(pool, 1, 0, 4096)).status).toBe(BLOCK_STATUS.unreachable);
    expect((await writeBytes(pool, 1, 0, new Uint8Array(4096))).status).toBe(BLOCK_STATUS.unreachable);
    expect(pool.service.status()[0]!.drives.map(({ state }) => state)).not.toContain("missing");
    expect(pool.events.map(({ type }) => type)).toContain("pool.unreachable");
    expect(pool.events.filter(({ type }) => type.startsWith("drive."))).toEqual([]);
    pool.kill();
    path.lost = false;
    const again = await openMemoryPool(media);
    const { status, data } = await readBytes(again, 1, 0, 300 * 4096);
    expect([status, data.every((byte) => byte === 7)]).toEqual([BLOCK_STATUS.good, true]);
    expect(again.service.status()[0]!.state).toBe("optimal");
    again.kill();
  });
});

describe("pool: one that fails while destage is under way", () => {
  test("tells who waits for the end of it", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 400 * 4096));
    gate.close("writeStrips");
    await writeBytes(pool, 1, 0, new Uint8Array(300 * 4096).fill(1));
    const destaged = pool.service.pool(0).destageAll();
    await until(() => gate.waiting("writeStrips") > 0);
    pool.service.pool(0).parts.health.fail(new Error("the journal has failed"));
    await expect(destaged).rejects.toThrow("the journal has failed");
    await expect(pool.service.pool(0).destageAll()).rejects.toThrow("the journal has failed");
    gate.open("writeStrips");
    await turns();
    pool.frames.checkCounts();
    pool.kill();
  });

  test("gives the frames of batches back that waited for a zone", async () => {
    const media = new MemoryPoolMedia();
    const gate = new DriveGate();
    media.wrap = (drive) => gate.wrap(drive);
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 400 * 4096));
    const { counters, health, space } = pool.service.pool(0).parts;
    // Compaction gives nothing back: sooner or later destage has no zone to go on with.
    gate.close("resetZone");
    const writes: Promise<unknown>[] = [];
    for (let round = 0; space.freeZones > 2 || counters[POOL_COUNT.destageBatchesActive] !== 2; round++) {
      expect(round).toBeLessThan(300);
      for (let block = 0; block < 400; block += 50)
        writes.push(writeBytes(pool, 1, block * 4096, new Uint8Array(50 * 4096).fill(round)));
      pool.service.pool(0).press();
      await turns(30);
    }
    await turns(300);
    expect(counters[POOL_COUNT.destageBatchesActive]).toBe(2);
    health.fail(new Error("the journal has failed"));
    await Promise.all(writes);
    await turns(100);
    // The frame of zeros is one that is never free.
    expect(pool.frames.count(FRAME_STATE.retired)).toBe(1);
    expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
    expect(pool.frames.count(FRAME_STATE.dirty)).toBe(0);
    pool.frames.checkCounts();
    pool.kill();
  });
});

test("a pool that has stopped writes nothing to its drives any more, also when it was just putting a batch together", async () => {
  const media = new MemoryPoolMedia();
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 400 * 4096));
  await writeBytes(first, 1, 0, new Uint8Array(8 * 4096).fill(1));
  await first.service.pool(0).destageAll();
  first.kill();
  const gate = new DriveGate();
  let written = 0;
  media.wrap = (drive) =>
    interceptDrive(gate.wrap(drive), async (operation, _parameters, run) => {
      if (operation === "writeStrips") written += 1;
      return run();
    });
  const pool = await openMemoryPool(media);
  gate.close("readParts");
  await writeBytes(pool, 1, 100 * 4096, new Uint8Array(8 * 4096).fill(2));
  await writeBytes(pool, 1, 512, new Uint8Array(512).fill(3));
  // It reads the rest of the block of which a sector was written, and has picked the others.
  const destaged = pool.service.pool(0).destageAll();
  destaged.catch(() => undefined);
  await until(() => gate.waiting("readParts") > 0);
  const stopped = pool.service.stop();
  await turns();
  gate.open("readParts");
  await stopped;
  const before = written;
  await turns(200);
  expect(written).toBe(before);
  pool.kill();
});

test("a pool has stopped only when nothing more of a deleted volume is on its way; the next start goes on with it", async () => {
  const media = new MemoryPoolMedia();
  let holds = false;
  const held: (() => void)[] = [];
  let logged = 0;
  media.wrap = (drive) =>
    interceptDrive(drive, async (operation, parameters, run) => {
      const [first] = operation === "metadataBatch" ? (parameters[0] as { key: string }[]) : [];
      if (first?.key.startsWith("l/") !== true) return run();
      if (holds) await new Promise<void>((resolve) => held.push(resolve));
      logged += 1;
      return run();
    });
  const pool = await openMemoryPool(media);
  const { space } = pool.service.pool(0).parts;
  await pool.service.createVolume(0, volumeDocument(1, 40_000 * 4096));
  for (let page = 0; page < 39; page++) await writeBytes(pool, 1, page * 1024 * 4096, new Uint8Array(4096).fill(1));
  await pool.service.pool(0).destageAll();
  await pool.service.deleteVolume(1);
  await until(() => space.liveBlocks < 39);
  holds = true;
  await until(() => held.length > 0);
  let isStopped = false;
  const stopped = pool.service.stop().then(() => {
    isStopped = true;
  });
  await turns(100);
  expect(isStopped).toBe(false);
  holds = false;
  for (const go of held) go();
  await stopped;
  const before = logged;
  await turns(100);
  expect(logged).toBe(before);
  expect(space.liveBlocks).toBeGreaterThan(0);
  pool.kill();
  const again = await openMemoryPool(media);
  await until(() => again.service.pool(0).parts.space.liveBlocks === 0);
  again.kill();
});

test("a journal whose superblock can't be written fails the pool, which answers, and the director goes on", async () => {
  const media = new MemoryPoolMedia();
  let refuses = false;
  const pool = await openMemoryPool(media, {
    wrapJournal: (file) => ({
      bytes: file.bytes,
      read: (position, target) => file.read(position, target),
      sync: (done) => file.sync(done),
      close: () => file.close(),
      write: (position, buffers) => {
        if (refuses && SUPERBLOCK_POSITIONS.some((superblock) => superblock === position))
          throw new JournalFileError("io", "EIO (fault on command)");
        file.write(position, buffers);
      },
    }),
  });
  await pool.service.createVolume(0, volumeDocument(1, 1500 * 4096));
  refuses = true;
  const writes: Promise<{ status: number }>[] = [];
  for (let block = 0; block < 1200; block += 50)
    writes.push(writeBytes(pool, 1, block * 4096, new Uint8Array(50 * 4096).fill(block % 251)));
  await pool.service
    .pool(0)
    .destageAll()
    .catch(() => undefined);
  await until(() => pool.service.status()[0]!.state === "failed");
  const statuses = (await Promise.all(writes)).map(({ status }) => status);
  const { status } = await writeBytes(pool, 1, 0, new Uint8Array(4096));
  expect(status).toBe(BLOCK_STATUS.failed);
  await turns(100);
  expect(pool.frames.count(FRAME_STATE.dirty)).toBe(0);
  pool.frames.checkCounts();
  pool.kill();
  refuses = false;
  const again = await openMemoryPool(media);
  for (const [n, status] of statuses.entries()) {
    if (status !== BLOCK_STATUS.good) continue;
    const { data } = await readBytes(again, 1, n * 50 * 4096, 50 * 4096);
    expect(data.every((byte) => byte === (n * 50) % 251)).toBe(true);
  }
  again.kill();
});

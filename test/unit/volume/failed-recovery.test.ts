import { expect, test } from "vitest";
import { isPoolError } from "../../../directors/back-end/owned-pool.ts";
import { DriveError } from "../../../drivers/drive/drive.ts";
import { type JournalFile, JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { JOURNAL_DATA_START } from "../../../src/journal/record.ts";
import { isPathLost } from "../../../src/raid/raid-group.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, SMALL_POOL, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 1600;

/** Less memory than the journal holds: it is destaged while it is replayed. */
async function journalBeyondMemory(frameCount = SMALL_POOL.frameCount): Promise<MemoryPoolMedia> {
  const large = new MemoryPoolMedia({ ...SMALL_POOL, frameCount: 4096 });
  const gate = new DriveGate();
  large.wrap = (drive) => gate.wrap(drive);
  const first = await openMemoryPool(large);
  await first.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
  gate.close("writeStrips");
  for (let block = 0; block < BLOCKS; block += 50) {
    const data = Buffer.alloc(50 * BLOCK);
    for (let n = 0; n < 50; n++) data.fill((block + n) % 251, n * BLOCK, (n + 1) * BLOCK);
    await writeBytes(first, 1, block * BLOCK, data);
  }
  first.kill();
  const media = new MemoryPoolMedia({ ...SMALL_POOL, frameCount });
  media.drives.splice(0, media.drives.length, ...large.drives);
  media.journal = large.journal;
  return media;
}

test("a recovery that fails while it destages leaves the journal as it was: the next one has everything", async () => {
  const media = await journalBeyondMemory();
  // Of two batches one is let go at a time.
  const held: (() => void)[] = [];
  let holds = true;
  media.wrap = (drive) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (operation === "writeStrips" && holds) await new Promise<void>((resolve) => held.push(resolve));
      return run();
    });
  let failed = false;
  const opening = openMemoryPool(media, {
    wrapJournal: (file) => ({
      bytes: file.bytes,
      write: (position, buffers) => file.write(position, buffers),
      sync: (done) => file.sync(done),
      close: () => file.close(),
      read: (position, target) => {
        if (position > 1300 * BLOCK) throw new JournalFileError("io", "EIO (fault on command)");
        return file.read(position, target);
      },
    }),
  }).catch((error: unknown) => {
    failed = true;
    return error;
  });
  await until(() => {
    if (held.length >= 8) for (const go of held.splice(0, 4)) go();
    return failed;
  });
  expect(await opening).toBeInstanceOf(JournalFileError);
  expect(held.length).toBeGreaterThan(0);
  holds = false;
  for (const go of held) go();
  await turns(300);

  media.wrap = (drive) => drive;
  const again = await openMemoryPool(media);
  for (let block = 0; block < BLOCKS; block++) {
    const { status, data } = await readBytes(again, 1, block * BLOCK, BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(data[0], `block ${block}`).toBe(block % 251);
  }
  again.kill();
});

test("a recovery whose destage fails is refused for what that failed for, which keeps the pool closed and not its director", async () => {
  // Also without what a pool that has failed gives up: what is left of the journal is more than memory holds.
  const media = await journalBeyondMemory(512);
  let syncs = 0;
  const opening = openMemoryPool(media, {
    wrapJournal: (file) => ({
      bytes: file.bytes,
      write: (position, buffers) => file.write(position, buffers),
      close: () => file.close(),
      read: (position, target) => file.read(position, target),
      sync: (done) => {
        syncs += 1;
        // The claim's; then what destage waits for.
        if (syncs > 1) queueMicrotask(() => done(new JournalFileError("io", "EIO (fault on command)")));
        else file.sync(done);
      },
    }),
  });
  const error: unknown = await opening.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(JournalFileError);
  expect([isPoolError(error), syncs]).toEqual([true, 2]);

  const drives = await journalBeyondMemory(512);
  drives.wrap = (drive) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (operation !== "writeStrips") return run();
      const lost = new DriveError("unreachable", drive.name, "its thread took no request by the deadline");
      lost.threadLost = true;
      throw lost;
    });
  const path: unknown = await openMemoryPool(drives).catch((reason: unknown) => reason);
  expect([isPoolError(path), isPathLost(path)]).toEqual([true, true]);
});

test("a recovery that needs memory, and finds no room in the journal for what is written anew before destage, is refused", async () => {
  const media = await journalBeyondMemory();
  let isFull = true;
  const wrapJournal = (file: JournalFile): JournalFile => ({
    bytes: file.bytes,
    read: (position, target) => file.read(position, target),
    sync: (done) => file.sync(done),
    close: () => file.close(),
    write: (position, buffers) => {
      if (isFull && position >= JOURNAL_DATA_START) throw new JournalFileError("noSpace", "ENOSPC (fault on command)");
      file.write(position, buffers);
    },
  });
  let error: unknown;
  openMemoryPool(media, { wrapJournal, hurry: 100 }).catch((reason: unknown) => {
    error = reason;
  });
  await until(() => error !== undefined);
  expect(error).toMatchObject({ name: "JournalFileError", kind: "noSpace", message: expect.stringContaining("make room") });
  isFull = false;
  const again = await openMemoryPool(media, { wrapJournal });
  for (let block = 0; block < BLOCKS; block += 50) {
    const { status, data } = await readBytes(again, 1, block * BLOCK, BLOCK);
    expect([status, data[0]]).toEqual([BLOCK_STATUS.good, block % 251]);
  }
  again.kill();
});

test("a takeover that needs memory goes on without room for superblocks: its records need not be written anew", async () => {
  const media = await journalBeyondMemory();
  let refused = 0;
  let isReplayed = false;
  const wrapJournal = (file: JournalFile): JournalFile => ({
    bytes: file.bytes,
    read: (position, target) => file.read(position, target),
    sync: (done) => file.sync(done),
    close: () => file.close(),
    write: (position, buffers) => {
      // The claim's come first.
      if (isReplayed) {
        refused += 1;
        throw new JournalFileError("noSpace", "ENOSPC (fault on command)");
      }
      file.write(position, buffers);
    },
  });
  media.wrap = (drive) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (operation === "writeStrips") isReplayed = true;
      return run();
    });
  const pool = await openMemoryPool(media, { wrapJournal, pagesKept: true, hurry: 100 });
  expect(refused).toBeGreaterThan(0);
  expect((await readBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.good);
  pool.kill();
});

import { expect, test } from "vitest";
import { JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, SMALL_POOL, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 1600;

test("a recovery that fails while it destages leaves the journal as it was: the next one has everything", async () => {
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

  // Less memory than the journal holds: it is destaged while it is replayed. Of two batches one is let go at a time.
  const media = new MemoryPoolMedia(SMALL_POOL);
  media.drives.splice(0, media.drives.length, ...large.drives);
  media.journal = large.journal;
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

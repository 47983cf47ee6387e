/** A journal that is full of what nobody wants any more. Found by simulation. */
import { expect, test } from "vitest";
import { JOURNAL_DATA_START } from "../../../src/journal/record.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { MemoryPoolMedia, openMemoryPool, SMALL_POOL, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const PIECE = 256 * 1024;

test("writes go on after a restart that finds a journal full of writes to a volume that was deleted", async () => {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, journalBytes: JOURNAL_DATA_START + 3 * PIECE });
  let cutOff = false;
  const pool = await openMemoryPool(media, {
    wrapJournal: (file) => ({
      ...file,
      bytes: file.bytes,
      read: (position, target) => file.read(position, target),
      sync: (done) => file.sync(done),
      close: () => file.close(),
      // The process dies before the trim that follows the deletion.
      write: (position, buffers) => {
        if (!cutOff || position >= JOURNAL_DATA_START) file.write(position, buffers);
      },
    }),
  });
  for (const volume of [1, 2]) await pool.service.createVolume(0, volumeDocument(volume, 8 * PIECE));
  for (let n = 0; n < 2; n++) await writeBytes(pool, 1, n * PIECE, new Uint8Array(PIECE).fill(n + 1));
  cutOff = true;
  await pool.service.deleteVolume(1);
  pool.kill();
  const again = await openMemoryPool(media);
  for (let n = 0; n < 4; n++)
    expect((await writeBytes(again, 2, n * PIECE, new Uint8Array(PIECE).fill(7))).status).toBe(BLOCK_STATUS.good);
  again.kill();
});

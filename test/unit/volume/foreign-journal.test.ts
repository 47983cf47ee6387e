import { describe, expect, test } from "vitest";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const DATA = new Uint8Array(4096).fill(0x42);

async function poolWithVolume(media: MemoryPoolMedia): Promise<Awaited<ReturnType<typeof openMemoryPool>>> {
  const pool = await openMemoryPool(media);
  await pool.service.createVolume(0, volumeDocument(1, 1024 * 4096));
  return pool;
}

describe("pool: another pool's journal is in its place", () => {
  test("is not written over by a pool whose own journal was empty", async () => {
    const empty = new MemoryPoolMedia();
    const stopped = await poolWithVolume(empty);
    await stopped.service.pool(0).destageAll();
    await stopped.service.stop();
    stopped.kill();

    const other = new MemoryPoolMedia();
    const killed = await poolWithVolume(other);
    expect((await writeBytes(killed, 1, 0, DATA)).status).toBe(BLOCK_STATUS.good);
    killed.kill();

    const own = empty.journal;
    empty.journal = other.journal;
    await expect(openMemoryPool(empty)).rejects.toThrow(/another pool.*v1/);
    // Put where it belongs it still has what was acknowledged.
    const back = await openMemoryPool(other);
    expect(Buffer.compare((await readBytes(back, 1, 0, 4096)).data, DATA)).toBe(0);
    back.kill();
    empty.journal = own;
    (await openMemoryPool(empty)).kill();
  });

  test("its own journal, or none, is made anew after a clean stop with nothing in it", async () => {
    for (const keep of [true, false]) {
      const media = new MemoryPoolMedia();
      const stopped = await poolWithVolume(media);
      await writeBytes(stopped, 1, 0, DATA);
      await stopped.service.pool(0).destageAll();
      await stopped.service.stop();
      stopped.kill();
      if (!keep) media.journal = undefined;
      const again = await openMemoryPool(media);
      expect(Buffer.compare((await readBytes(again, 1, 0, 4096)).data, DATA)).toBe(0);
      again.kill();
    }
  });
});

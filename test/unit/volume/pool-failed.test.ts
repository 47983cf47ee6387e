import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../../drivers/drive/drive.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
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
    expect((await readBytes(pool, 1, 1400 * 4096, 4096)).status).toBe(BLOCK_STATUS.failed);
    expect(pool.events.some((event) => event.type === "pool.failed")).toBe(true);

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

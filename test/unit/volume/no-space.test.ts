import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../../drivers/drive/drive.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

/** A drive whose disk is full while `full.now` says so. */
function onDisk(full: { now: boolean }, refused: { times: number }) {
  return (drive: Drive, position: number): Drive => {
    if (position !== 2) return drive;
    const writeStrips = drive.writeStrips.bind(drive);
    drive.writeStrips = async (write) => {
      if (full.now) {
        refused.times += 1;
        throw new DriveError("noSpace", drive.name, "no room (fault on command)");
      }
      return writeStrips(write);
    };
    return drive;
  };
}

describe("pool: the disk below a drive is full", () => {
  test("waits and goes on where it was, with every drive still trusted and nothing lost", async () => {
    const media = new MemoryPoolMedia();
    const full = { now: true };
    const refused = { times: 0 };
    media.wrap = onDisk(full, refused);
    const pool = await openMemoryPool(media, { hurry: 1000 });
    await pool.service.createVolume(0, volumeDocument(1, 1024 * 4096));
    const data = new Uint8Array(64 * 4096).fill(0x5a);
    expect((await writeBytes(pool, 1, 0, data)).status).toBe(BLOCK_STATUS.good);

    let destaged = false;
    const destage = pool.service
      .pool(0)
      .destageAll()
      .then(() => {
        destaged = true;
      });
    while (refused.times < 3) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(destaged).toBe(false);
    expect(pool.service.status()[0]!.state).toBe("optimal");
    expect(pool.events.some((event) => event.type === "drive.noSpace" && event.subject === "drive 02")).toBe(true);

    full.now = false;
    await destage;
    expect(pool.service.status()[0]).toMatchObject({ state: "optimal", dirtyBytes: 0 });
    pool.kill();
    const again = await openMemoryPool(media);
    const { data: read } = await readBytes(again, 1, 0, data.length);
    expect(Buffer.compare(read, data)).toBe(0);
    again.kill();
  });
});

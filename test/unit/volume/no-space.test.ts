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

/** A pool with such a drive, and something dirty. */
async function fullPool() {
  const media = new MemoryPoolMedia();
  const full = { now: true };
  const refused = { times: 0 };
  media.wrap = onDisk(full, refused);
  const pool = await openMemoryPool(media, { hurry: 1000 });
  await pool.service.createVolume(0, volumeDocument(1, 1024 * 4096));
  const data = new Uint8Array(64 * 4096).fill(0x5a);
  expect((await writeBytes(pool, 1, 0, data)).status).toBe(BLOCK_STATUS.good);
  return { media, full, refused, pool, data };
}

describe("pool: the disk below a drive is full", () => {
  test("waits and goes on where it was, with every drive still trusted and nothing lost", async () => {
    const { media, full, refused, pool, data } = await fullPool();

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

  test("is judged bad meanwhile: nobody waits for room on it any more", async () => {
    const { refused, pool, data } = await fullPool();
    const destage = pool.service.pool(0).destageAll();
    while (refused.times < 3) await new Promise((resolve) => setTimeout(resolve, 2));
    await pool.service.pool(0).parts.group.lose(2, new DriveError("unrecoveredRead", "02", "it is slow"));
    await destage;
    const times = refused.times;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(refused.times).toBe(times);
    expect(pool.service.status()[0]).toMatchObject({ state: "degraded", dirtyBytes: 0 });
    pool.service.pool(0).parts.cache.removeRange(1, 0, 1024);
    expect(Buffer.compare((await readBytes(pool, 1, 0, data.length)).data, data)).toBe(0);
    pool.kill();
  });

  test("hosts wait, are told 7/27/07 when the journal is full and that lasts, and are served again when there is room", async () => {
    const media = new MemoryPoolMedia();
    const full = { now: false };
    media.wrap = onDisk(full, { times: 0 });
    const pool = await openMemoryPool(media, { hurry: 200, ageSeconds: 1 });
    await pool.service.createVolume(0, volumeDocument(1, 1024 * 4096));
    const content = new Map<number, number>();
    const write = async (at: number, fill: number) => {
      const { status } = await writeBytes(pool, 1, at * 4096, new Uint8Array(32 * 4096).fill(fill));
      if (status === BLOCK_STATUS.good) content.set(at, fill);
      return status;
    };
    const check = async (of: typeof pool) => {
      for (const [at, fill] of content) {
        const { status, data } = await readBytes(of, 1, at * 4096, 32 * 4096);
        expect(status).toBe(BLOCK_STATUS.good);
        expect(data.every((byte) => byte === fill)).toBe(true);
      }
    };
    expect(await write(0, 1)).toBe(BLOCK_STATUS.good);
    full.now = true;
    const told: number[] = [];
    // The same blocks again and again: that fills the journal, and no memory.
    for (let n = 0; n < 2000 && told.length < 3; n++) {
      const status = await write(32 * (n % 4), 2 + (n % 200));
      if (status !== BLOCK_STATUS.good) told.push(status);
    }
    expect(told).toEqual([BLOCK_STATUS.spaceExhausted, BLOCK_STATUS.spaceExhausted, BLOCK_STATUS.spaceExhausted]);
    expect(pool.service.status()[0]!.state).toBe("optimal");
    await check(pool);
    full.now = false;
    await pool.service.pool(0).destageAll();
    for (let n = 0; n < 8; n++) expect(await write(32 * (n % 4), 222)).toBe(BLOCK_STATUS.good);
    await pool.service.pool(0).destageAll();
    pool.kill();
    const again = await openMemoryPool(media);
    await check(again);
    again.kill();
  });
});

import { describe, expect, test } from "vitest";
import { JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { FRAME_STATE } from "../../../src/cache/frame-pool.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { PoolService } from "../../../src/volume/pool-service.ts";
import { COMPACTION_ZONES } from "../../../src/volume/space.ts";
import { DriveGate, turns, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;
const ZONE_BLOCKS = 192;

describe("a pool that stops while destage waits for a zone", () => {
  test("does not fail, gives all its frames back, and has what was acknowledged at the next start", async () => {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 2000 * BLOCK));
    const opened = pool.service.pool(0);
    const { zoneUse, space } = opened.parts;
    // No zone can be emptied, so that they run out.
    zoneUse.uncommitted.fill(1);
    const data = (round: number) => new Uint8Array(ZONE_BLOCKS * BLOCK).fill(round);
    let round = 0;
    const write = async () => {
      round += 1;
      expect((await writeBytes(pool, 1, 0, data(round))).status).toBe(BLOCK_STATUS.good);
    };
    while (space.freeZones > COMPACTION_ZONES) {
      await write();
      await opened.destageAll();
    }
    await write();
    const drained = opened.destageAll().catch((error: Error) => error.message);
    const isDestaging = () => pool.frames.destaging.some((frame) => frame === 1);
    await until(isDestaging);
    await opened.stop();
    expect(isDestaging()).toBe(false);
    pool.service.remove(0);
    opened.letGo();
    expect(await drained).toBe("the pool was closed");
    // The zero frame is one of them.
    expect(pool.frames.count(FRAME_STATE.retired)).toBe(1);
    expect(pool.events.filter(({ type }) => type === "pool.failed")).toEqual([]);
    pool.kill();
    const next = await openMemoryPool(media);
    expect((await readBytes(next, 1, 0, ZONE_BLOCKS * BLOCK)).data).toEqual(Buffer.from(data(round)));
    next.kill();
  });
});

test("what comes once a pool has come to rest is not acknowledged: the next start makes a new journal", async () => {
  const media = new MemoryPoolMedia();
  const pool = await openMemoryPool(media);
  await pool.service.createVolume(0, volumeDocument(1, 64 * BLOCK));
  const opened = pool.service.pool(0);
  await opened.destageAll();
  const stopped = opened.stop();
  // While it comes to rest, and afterwards.
  const during = writeBytes(pool, 1, 0, new Uint8Array(BLOCK).fill(1));
  await stopped;
  const after = writeBytes(pool, 1, BLOCK, new Uint8Array(BLOCK).fill(2));
  const told = [(await during).status, (await after).status];
  pool.kill();
  const next = await openMemoryPool(media);
  const found = await Promise.all([0, 1].map((block) => readBytes(next, 1, block * BLOCK, BLOCK)));
  for (const [n, { data }] of found.entries()) if (told[n] === BLOCK_STATUS.good) expect(data[0]).toBe(n + 1);
  expect(told[1]).toBe(BLOCK_STATUS.reopening);
  next.kill();
});

test("one that fails as all stop keeps no other from coming to rest", async () => {
  let fails = false;
  const bad = await openMemoryPool(new MemoryPoolMedia(), {
    wrapJournal: (file) => ({
      bytes: file.bytes,
      write: (position, buffers) => file.write(position, buffers),
      read: (position, target) => file.read(position, target),
      sync: (done) => (fails ? done(new JournalFileError("io", "EIO")) : file.sync(done)),
      close: () => file.close(),
    }),
  });
  await bad.service.createVolume(0, volumeDocument(1, 64 * BLOCK));
  await writeBytes(bad, 1, 0, new Uint8Array(BLOCK));
  const good = await openMemoryPool(new MemoryPoolMedia());
  fails = true;
  const all = new PoolService([bad.service.pool(0), good.service.pool(0)], bad.frames);
  await expect(all.stop()).rejects.toThrow(JournalFileError);
  // On record that nothing is in its journal.
  expect(good.service.pool(0).record.document.journalLive).toBe(false);
  bad.kill();
  good.kill();
});

test("a pool that was let go is nobody's any more: what a drive refuses it then is told to nobody", async () => {
  const media = new MemoryPoolMedia();
  const gate = new DriveGate();
  media.wrap = (drive) => gate.wrap(drive);
  const pool = await openMemoryPool(media, { hurry: 1000 });
  await pool.service.createVolume(0, volumeDocument(1, 2 * ZONE_BLOCKS * BLOCK));
  await writeBytes(pool, 1, 0, new Uint8Array((ZONE_BLOCKS + 1) * BLOCK));
  const opened = pool.service.pool(0);
  await opened.destageAll();
  // The drives take longer than anybody waits for them.
  gate.close("readStrips", "writeStrips");
  const { zones } = opened.parts.map;
  void opened.compactor.evacuate(zones.state.indexOf(ZONE_STATE.sealed));
  await until(() => gate.waiting("readStrips") > 0);
  await opened.stop();
  pool.service.remove(0);
  opened.letGo();
  media.wrap = (drive) => drive;
  const next = await openMemoryPool(media);
  gate.open("readStrips", "writeStrips");
  await turns(100);
  expect(pool.events.filter(({ type }) => type === "pool.failed")).toEqual([]);
  pool.kill();
  next.kill();
});

test("a write that still waits for room when its pool is let go gives its frames back", async () => {
  const pool = await openMemoryPool(new MemoryPoolMedia());
  await pool.service.createVolume(0, volumeDocument(1, 2 * ZONE_BLOCKS * BLOCK));
  const opened = pool.service.pool(0);
  opened.parts.journal.fits = () => false;
  const waiting = writeBytes(pool, 1, 0, new Uint8Array(3 * BLOCK));
  await turns();
  expect(pool.frames.count(FRAME_STATE.reserved)).toBe(3);
  await opened.stop();
  pool.service.remove(0);
  opened.letGo();
  expect((await waiting).status).not.toBe(BLOCK_STATUS.good);
  expect(pool.frames.count(FRAME_STATE.reserved)).toBe(0);
  pool.kill();
});

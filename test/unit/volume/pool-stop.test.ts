import { describe, expect, test } from "vitest";
import { FRAME_STATE } from "../../../src/cache/frame-pool.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { COMPACTION_ZONES } from "../../../src/volume/space.ts";
import { until } from "../../support/gated-drive.ts";
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

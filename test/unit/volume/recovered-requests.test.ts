/** What another director asked for is found again in the journal, by its requester, epoch and number (architecture invariant 9). */
import { describe, expect, test } from "vitest";
import { BlockIo } from "../../../src/volume/block-io.ts";
import type { RecoveredRequest } from "../../../src/volume/pool-members.ts";
import {
  flush,
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const NEXUS = 65_536 + 7;

/** A request of director 1, of which nobody was told yet that it was done when `pool.kill` comes. */
function request(pool: OpenedPool, kind: "write" | "zero", values: Partial<BlockIo>): Promise<number> {
  return new Promise((resolve) => {
    const io = Object.assign(new BlockIo((done) => resolve(done.status)), { volume: 1, nexus: NEXUS, bytes: BLOCK, ...values });
    if (kind === "write") {
      if (!pool.frames.tryTake(1, io.run.frames, 0)) throw new Error("the test has no frame");
      Object.assign(io.run, { frameCount: 1, phase: 0, bytes: BLOCK });
      pool.frames.view(io.run.frames[0]!).fill(0x31);
    }
    pool.service[kind](io);
  });
}

describe("requests across the channel, after a takeover", () => {
  test("are told by requester, epoch and number: writes, zeroing, and the parts of one that is not aligned", async () => {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 64 * BLOCK));
    await request(pool, "write", { request: 0xffff_fff0, requesterEpoch: 0xfffe });
    await request(pool, "zero", { offsetBytes: BLOCK, request: 2, requesterEpoch: 3 });
    await request(pool, "zero", { offsetBytes: 4 * BLOCK - 512, bytes: BLOCK, request: 4, requesterEpoch: 3 });
    await writeBytes(pool, 1, 8 * BLOCK, new Uint8Array(BLOCK)); // a host of its own
    await flush(pool, 1);
    pool.kill();

    const found: RecoveredRequest[] = [];
    const again = await openMemoryPool(media, {
      takesOver: pool,
      onRecovered: ({ nexus, requesterEpoch, request: number }) => found.push({ nexus, requesterEpoch, request: number }),
    });
    const unique = [...new Set(found.map((entry) => JSON.stringify(entry)))].map(
      (entry) => JSON.parse(entry) as RecoveredRequest,
    );
    expect(unique).toEqual([
      { nexus: NEXUS, requesterEpoch: 0xfffe, request: 0xffff_fff0 },
      { nexus: NEXUS, requesterEpoch: 3, request: 2 },
      { nexus: NEXUS, requesterEpoch: 3, request: 4 },
    ]);
    again.kill();
  });

  test("of a process before say nothing: directors count anew in each", async () => {
    const media = new MemoryPoolMedia();
    const before = await openMemoryPool(media);
    await before.service.createVolume(0, volumeDocument(1, 64 * BLOCK));
    await request(before, "write", { request: 5, requesterEpoch: 1 });
    await flush(before, 1);
    before.kill();
    const told: number[] = [];
    const onRecovered = ({ request: number }: RecoveredRequest): void => void told.push(number);
    const first = await openMemoryPool(media, { onRecovered });
    await request(first, "write", { request: 6, requesterEpoch: 1, offsetBytes: BLOCK });
    await flush(first, 1);
    first.kill();
    const partner = await openMemoryPool(media, { onRecovered, takesOver: first });
    expect(told).toEqual([6]);
    partner.kill();
    const reader = await openMemoryPool(media, { onRecovered, takesOver: first, readOnly: {} });
    expect(told).toEqual([6, 6]);
    reader.kill();
  });
});

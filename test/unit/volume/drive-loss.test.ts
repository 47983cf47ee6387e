import { describe, expect, test } from "vitest";
import { DriveError } from "../../../drivers/drive/drive.ts";
import { decodeDocument, encodeDocument } from "../../../src/map/metadata-store.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { POOL_KEY, type PoolDocument } from "../../../src/volume/pool-document.ts";
import { DriveGate, interceptDrive, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  openMemoryPool,
  readBytes,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;

/** What a drive's own copy of the pool's document says of the members' states. */
function statesOn(media: MemoryPoolMedia, position: number): string[] {
  const document = decodeDocument(media.drives[position]!.metadata.get(POOL_KEY)!) as PoolDocument;
  return document.members.map((member) => member.state);
}

describe("pool: a drive fails during service (invariant 10 of the architecture)", () => {
  test.each([0, 1, 2, 3])("while a volume is made: drive %i is lost, on record, and the volume is there", async (position) => {
    const media = new MemoryPoolMedia();
    const faults = { unreachable: false };
    const first = await openMemoryPool(media);
    first.kill();
    media.wrap = (drive, at) => {
      if (at !== position) return drive;
      return interceptDrive(drive, async (operation, _parameters, run) => {
        if (faults.unreachable && operation !== "close") throw unreachable(drive.name);
        return run();
      });
    };
    const pool = await openMemoryPool(media);
    faults.unreachable = true;
    await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
    // A second change must not wait for what the first one left behind.
    await pool.service.createVolume(0, volumeDocument(2, 100 * BLOCK));
    expect(pool.service.status()[0]).toMatchObject({
      state: "degraded",
      reason: expect.stringMatching(new RegExp(`^drive 0${position}\\b`)),
    });
    expect((await writeBytes(pool, 1, 0, new Uint8Array(8 * BLOCK).fill(7))).status).toBe(BLOCK_STATUS.good);
    await pool.service.pool(0).destageAll();
    const expected = ["online", "online", "online", "online"];
    expected[position] = "missing";
    for (const other of [0, 1, 2, 3]) if (other !== position) expect(statesOn(media, other)).toEqual(expected);

    // The drive comes back, is not trusted with what it missed, and gets it.
    pool.kill();
    faults.unreachable = false;
    const again = await openMemoryPool(media);
    expect(again.service.status()[0]!.drives[position]!.state).toBe("rebuilding");
    const { status, data } = await readBytes(again, 1, 0, 8 * BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(data.every((byte) => byte === 7)).toBe(true);
    await until(() => statesOn(media, position).every((state) => state === "online"));
    again.kill();
  });

  test("while the pool is opened, at any operation: the loss is on record when the pool serves", async () => {
    // One that has the map, and one that has not.
    for (const position of [0, 3]) {
      // With each number a drive fails one operation later; past the last one the pool opens optimal.
      for (let failsAt = 0; ; failsAt++) {
        const media = new MemoryPoolMedia();
        const first = await openMemoryPool(media);
        await first.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
        await writeBytes(first, 1, 0, new Uint8Array(8 * BLOCK).fill(7));
        await first.service.pool(0).destageAll();
        first.kill();
        let operations = 0;
        media.wrap = (drive, at) => {
          if (at !== position) return drive;
          return interceptDrive(drive, async (operation, _parameters, run) => {
            if (operation !== "identify" && operations++ >= failsAt) throw unreachable(drive.name);
            return run();
          });
        };
        const pool = await openMemoryPool(media);
        await turns(50);
        const { state, drives } = pool.service.status()[0]!;
        const says = `drive ${position}, failing from its operation ${failsAt} on`;
        if (state === "optimal") break;
        expect(drives[position]!.state, says).toBe("missing");
        for (const other of [0, 1, 2, 3]) if (other !== position) expect(statesOn(media, other)[position], says).toBe("missing");
        expect((await readBytes(pool, 1, 0, 8 * BLOCK)).data.every((byte) => byte === 7)).toBe(true);
        pool.kill();
      }
    }
  });

  test("two drives: the pool fails as it is, says so, and every request is to be asked again", async () => {
    const media = new MemoryPoolMedia();
    const faults = Array.from({ length: 4 }, () => ({ unreachable: false }));
    media.wrap = (drive, at) =>
      interceptDrive(drive, async (_operation, _parameters, run) => {
        if (faults[at]!.unreachable) throw unreachable(drive.name);
        return run();
      });
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 1000 * BLOCK));
    await writeBytes(pool, 1, 0, new Uint8Array(100 * BLOCK).fill(7));
    faults[1]!.unreachable = true;
    faults[2]!.unreachable = true;
    await expect(pool.service.pool(0).destageAll()).rejects.toThrow();
    expect(pool.service.status()[0]!.state).toBe("failed");
    expect(pool.events.map((event) => event.type)).toContain("pool.drivesLost");
    expect((await writeBytes(pool, 1, 0, new Uint8Array(BLOCK))).status).toBe(BLOCK_STATUS.reopening);
    expect((await readBytes(pool, 1, 0, BLOCK)).status).toBe(BLOCK_STATUS.reopening);
    pool.kill();

    // What was acknowledged is in the journal, and the drives were only away.
    for (const fault of faults) {
      fault.unreachable = false;
    }
    const again = await openMemoryPool(media);
    expect((await readBytes(again, 1, 0, 100 * BLOCK)).data.every((byte) => byte === 7)).toBe(true);
    again.kill();
  });
});

describe("pool: damage on one drive is repaired from the others (invariant 3 of the architecture)", () => {
  const content = new Uint8Array(48 * BLOCK).map((_, n) => (n * 31 + (n >> 12)) & 0xff);

  test.each(["bit flip", "read error", "lost write"] as const)("%s: reads are right, the drive stays", async (damage) => {
    for (const position of [0, 1, 2, 3]) {
      const media = new MemoryPoolMedia();
      const pool = await openMemoryPool(media);
      await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
      await writeBytes(pool, 1, 0, content);
      await pool.service.pool(0).destageAll();
      await pool.service.stop();
      pool.kill();
      const zone = [...media.drives[position]!.zones.values()][0]!;
      if (damage === "bit flip") for (const strip of zone.strips.values()) strip[123]! ^= 4;
      if (damage === "lost write") zone.strips.delete(1);
      if (damage === "read error") {
        media.wrap = (drive, at) =>
          interceptDrive(drive, async (operation, _parameters, run) => {
            if (at === position && (operation === "readStrips" || operation === "readParts"))
              throw new DriveError("unrecoveredRead", drive.name, "EIO");
            return run();
          });
      }
      const again = await openMemoryPool(media);
      const { status, data } = await readBytes(again, 1, 0, content.length);
      expect(status).toBe(BLOCK_STATUS.good);
      expect(Buffer.compare(data, content), `drive ${position}`).toBe(0);
      expect(again.service.status()[0]!.state).toBe("optimal");
      // What was bad gets a new place, so that the next fault finds the redundancy whole.
      const { counters, map } = again.service.pool(0).parts;
      // The second strip of drive 2 is parity, which no read asks for.
      if (damage !== "lost write" || position !== 2) expect(counters[POOL_COUNT.repairedBlocks]).toBeGreaterThan(0);
      await until(() => counters[POOL_COUNT.destagedBlocks]! === counters[POOL_COUNT.repairedBlocks]!);
      expect(map.zones.live[0]).toBe(48 - counters[POOL_COUNT.repairedBlocks]!);
      again.kill();
    }
  });

  test("two bad copies in one stripe: a medium error at the block, never wrong bytes", async () => {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
    await writeBytes(pool, 1, 0, content);
    await pool.service.pool(0).destageAll();
    await pool.service.stop();
    pool.kill();
    for (const position of [0, 1]) {
      for (const zone of media.drives[position]!.zones.values()) for (const strip of zone.strips.values()) strip[99]! ^= 1;
    }
    const again = await openMemoryPool(media);
    let lost = 0;
    for (let n = 0; n < 48; n++) {
      const { status, data, errorOffsetBytes } = await readBytes(again, 1, n * BLOCK, BLOCK);
      if (status === BLOCK_STATUS.good) expect(Buffer.compare(data, content.subarray(n * BLOCK, (n + 1) * BLOCK))).toBe(0);
      else {
        expect(status).toBe(BLOCK_STATUS.mediumError);
        expect(errorOffsetBytes).toBe(n * BLOCK);
        lost += 1;
      }
    }
    expect(lost).toBeGreaterThan(0);
    expect(again.events.filter((event) => event.type === "block.lost")).toHaveLength(lost);
    // A whole write makes the block good again.
    for (let n = 0; n < 48; n++) await writeBytes(again, 1, n * BLOCK, content.subarray(n * BLOCK, (n + 1) * BLOCK));
    await again.service.pool(0).destageAll();
    expect(Buffer.compare((await readBytes(again, 1, 0, content.length)).data, content)).toBe(0);
    again.kill();
  });
});

describe("pool: a zone that two drives lack", () => {
  /** One drive has failed, and another does without the zone. */
  async function media(damaged: boolean, failed = 2, lacking = 3): Promise<MemoryPoolMedia> {
    const media = new MemoryPoolMedia();
    const pool = await openMemoryPool(media);
    await pool.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
    await writeBytes(pool, 1, 0, new Uint8Array(48 * BLOCK).fill(7));
    await pool.service.pool(0).destageAll();
    await pool.service.stop();
    pool.kill();
    const [zone] = media.drives[lacking]!.zones.keys();
    media.drives[lacking]!.zones.delete(zone!);
    for (const { metadata } of [0, 1, 2, 3]
      .filter((position) => position !== failed)
      .map((position) => media.drives[position]!)) {
      const document = decodeDocument(metadata.get(POOL_KEY)!) as PoolDocument;
      const members = document.members.map((member, n) => (n === failed ? { ...member, state: "failed" as const } : member));
      const marked = damaged ? { damagedZones: [zone!] } : {};
      metadata.set(POOL_KEY, encodeDocument({ ...document, members, ...marked }));
    }
    return media;
  }

  test("keeps it closed: a drive put back may have it", async () => {
    await expect(openMemoryPool(await media(false))).rejects.toThrow("1 zones can't be had");
  });

  test("does not, if the zone is on record as damaged", async () => {
    const pool = await openMemoryPool(await media(true));
    expect(pool.service.status()[0]!.state).toBe("degraded");
    pool.kill();
  });

  test("and a drive that lacks a zone still has the map, be it the only one", async () => {
    const drives = await media(true, 1, 0);
    const pool = await openMemoryPool(drives);
    expect((await writeBytes(pool, 1, 60 * BLOCK, new Uint8Array(BLOCK).fill(8))).status).toBe(BLOCK_STATUS.good);
    await pool.service.pool(0).destageAll();
    pool.kill();
    const again = await openMemoryPool(drives);
    expect((await readBytes(again, 1, 60 * BLOCK, BLOCK)).data[0]).toBe(8);
    again.kill();
  });
});

test("a read of what is lost from the drives gets what was written while it was on its way", async () => {
  const media = new MemoryPoolMedia();
  const gate = new DriveGate();
  media.wrap = (drive) => gate.wrap(drive);
  const first = await openMemoryPool(media);
  await first.service.createVolume(0, volumeDocument(1, 100 * BLOCK));
  await writeBytes(first, 1, 0, new Uint8Array(48 * BLOCK).fill(7));
  await first.service.pool(0).destageAll();
  await first.service.stop();
  first.kill();
  for (const drive of media.drives)
    for (const zone of drive!.zones.values()) for (const strip of zone.strips.values()) strip.fill(0);
  const pool = await openMemoryPool(media);
  gate.close("readParts");
  const read = readBytes(pool, 1, 5 * BLOCK, BLOCK);
  await until(() => gate.waiting("readParts") > 0);
  await writeBytes(pool, 1, 5 * BLOCK, new Uint8Array(BLOCK).fill(8));
  gate.open("readParts");
  const { status, data } = await read;
  expect([status, data[0]]).toEqual([BLOCK_STATUS.good, 8]);
  pool.kill();
});

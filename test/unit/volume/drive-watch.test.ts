/** A pool's drives are looked after: what they do wrong is counted, and what is found is acted on, on record and told. */
import { describe, expect, test } from "vitest";
import type { FaultRule } from "../../../drivers/drive/drive-faults.ts";
import { DriveFaults } from "../../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../../drivers/drive/fault-drive.ts";
import { decodeDocument } from "../../../src/map/metadata-store.ts";
import { DRIVE_HEALTH_LIMITS } from "../../../src/raid/drive-health.ts";
import { decodePlace } from "../../../src/raid/geometry.ts";
import { ROLE_P } from "../../../src/raid/raid-level.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { POOL_KEY, type PoolDocument } from "../../../src/volume/pool-document.ts";
import { DriveGate } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, SMALL_POOL, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 300;
const content = new Uint8Array(BLOCKS * BLOCK).map((_, n) => (n * 31 + (n >> 12)) & 0xff);

async function watchedPool(limits: Partial<typeof DRIVE_HEALTH_LIMITS> = {}, spareCount = 0) {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, spareCount });
  const faults = media.drives.map(() => new DriveFaults());
  /** Of spares. */
  const gate = new DriveGate();
  media.wrap = (drive, position, global) => {
    const faulty = new FaultDrive(drive, faults[position]!, global);
    return position < 4 ? faulty : gate.wrap(faulty);
  };
  const driveHealth = { ...DRIVE_HEALTH_LIMITS, ...limits };
  const pool = await openMemoryPool(media, { hurry: 200, config: { driveHealth } });
  await pool.service.createVolume(0, volumeDocument(1, BLOCKS * BLOCK));
  await writeBytes(pool, 1, 0, content);
  await pool.service.pool(0).destageAll();
  const set = (position: number, ...rules: FaultRule[]) => faults[position]!.set(rules.length === 0 ? undefined : { rules });
  const drive = (position: number) => pool.service.status()[0]!.drives[position]!;
  const recorded = (position: number) => {
    const other = position === 0 ? 1 : 0;
    return (decodeDocument(media.drives[other]!.metadata.get(POOL_KEY)!) as PoolDocument).members[position]!.state;
  };
  const readAll = async () => {
    pool.service.pool(0).parts.cache.reclaim(100_000);
    const { status, data } = await readBytes(pool, 1, 0, content.length);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(Buffer.compare(data, content)).toBe(0);
  };
  const events = (type: string) => pool.events.filter((event) => event.type === type);
  return { media, faults, gate, pool, set, drive, recorded, readAll, events };
}

describe("DriveWatch", () => {
  test("a drive whose errors are made good becomes predictive, on record and told once; it is still used", async () => {
    const { pool, set, drive, recorded, readAll, events } = await watchedPool({ predictiveErrors: 5 });
    set(2, { fault: "readError", operations: ["read"] });
    await readAll();
    await expect.poll(() => drive(2).state === "predictive", { timeout: 10_000 }).toBe(true);
    await expect.poll(() => recorded(2) === "predictive", { timeout: 10_000 }).toBe(true);
    expect(drive(2).reason).toMatch(/^\d+ errors of late: \d+ read errors$/);
    expect(drive(2).errors).toBeGreaterThan(4);
    expect(events("drive.predictive")).toHaveLength(1);
    expect(pool.service.status()[0]!.state).toBe("optimal");
    set(2);
    await readAll();
    pool.kill();
  });

  test.each([
    ["bits that flip", { fault: "bitFlip", operations: ["read"], offsetBytes: 200 }, /strips that are not what was written/],
    ["strips that are gone", { fault: "revertedKey" }, /strips that are gone/],
  ] as const)("%s are held against it, too", async (_what, rule, reason) => {
    const { pool, set, drive, readAll } = await watchedPool({ predictiveErrors: 5 });
    set(2, rule);
    await readAll();
    await expect.poll(() => drive(2).state === "predictive", { timeout: 10_000 }).toBe(true);
    expect(drive(2).reason).toMatch(reason);
    for (const other of [0, 1, 3]) expect(drive(other)).toMatchObject({ state: "online", errors: 0 });
    pool.kill();
  });

  test("a block that nobody has any more is not held against its drive, however often it is asked for", async () => {
    const { media, pool, drive } = await watchedPool({ predictiveErrors: 5 });
    const { map, geometry } = pool.service.pool(0).parts;
    const { slot, stripe, column } = decodePlace(geometry, map.lookup(1, 7));
    const zone = map.zones.zone[slot]!;
    for (const role of [column, ROLE_P]) {
      const position = geometry.level.positionOf(stripe, role, 0);
      const strip = media.drives[position]!.zones.get(zone)!.strips.get(stripe)!;
      for (let index = 0; index < geometry.shape.blocksPerStrip; index++) strip[index * BLOCK + 9]! ^= 1;
    }
    for (let n = 0; n < 30; n++) {
      pool.service.pool(0).parts.cache.reclaim(100_000);
      expect((await readBytes(pool, 1, 7 * BLOCK, BLOCK)).status).toBe(BLOCK_STATUS.mediumError);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    // The parity strip shows by its own sum that it is bad: that is one thing, said once.
    for (const position of [0, 1, 2, 3]) {
      expect(drive(position).state).toBe("online");
      expect(drive(position).errors).toBeLessThanOrEqual(1);
    }
    pool.kill();
  });

  test("more of them, and it is out: on record, and everything is still there", async () => {
    const { pool, set, drive, recorded, readAll, events } = await watchedPool({ predictiveErrors: 3, failedErrors: 12 });
    set(1, { fault: "readError", operations: ["read"] });
    for (let n = 0; n < 20 && drive(1).state !== "failed"; n++) {
      await readAll();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await expect.poll(() => recorded(1) === "failed", { timeout: 10_000 }).toBe(true);
    expect(drive(1).reason).toContain("errors of late");
    expect(events("drive.failed")).toHaveLength(1);
    await readAll();
    pool.kill();
  });

  test("a drive that the pool can't do without stays, whatever is held against it", async () => {
    const { pool, set, drive, readAll } = await watchedPool({ predictiveErrors: 1, failedErrors: 2 });
    set(0, { fault: "unreachable" });
    await expect.poll(() => drive(0).state === "missing", { timeout: 10_000 }).toBe(true);
    const { parts } = pool.service.pool(0);
    for (let n = 0; n < 10; n++) parts.driveHealth.found("01", "mismatch", parts.runtime.nowMilliseconds());
    await expect.poll(() => drive(1).state === "predictive", { timeout: 10_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(drive(1).state).toBe("predictive");
    expect(pool.service.status()[0]!.state).toBe("degraded");
    await readAll();
    pool.kill();
  });

  test("nor is it thrown out for another's spare, which has next to nothing yet; once that is built, it goes", async () => {
    const { pool, gate, set, drive, readAll } = await watchedPool({ predictiveErrors: 1, failedErrors: 2 }, 1);
    gate.close("writeStrips");
    set(0, { fault: "unreachable" });
    await expect.poll(() => drive(0), { timeout: 10_000 }).toMatchObject({ name: "04", state: "rebuilding" });
    const { parts } = pool.service.pool(0);
    for (let n = 0; n < 10; n++) parts.driveHealth.found("01", "mismatch", parts.runtime.nowMilliseconds());
    await expect.poll(() => drive(1).state, { timeout: 10_000 }).not.toBe("online");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(drive(1).state).toBe("predictive");
    await readAll();
    gate.open("writeStrips");
    await expect.poll(() => [drive(0).state, drive(1).state], { timeout: 10_000 }).toEqual(["online", "failed"]);
    await readAll();
    pool.kill();
  });

  test("a drive that vanishes while nobody uses it is found missing", async () => {
    const { pool, set, drive, recorded, events } = await watchedPool();
    set(3, { fault: "unreachable" });
    await expect.poll(() => drive(3).state === "missing", { timeout: 10_000 }).toBe(true);
    await expect.poll(() => recorded(3) === "missing", { timeout: 10_000 }).toBe(true);
    expect(events("drive.missing")).toHaveLength(1);
    pool.kill();
  });

  test("a drive that hangs is asked once, not again and again", async () => {
    const { pool, faults, set, drive } = await watchedPool();
    set(3, { fault: "hang", operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 0, { timeout: 10_000 }).toBe(true);
    // Some dozens of seconds of the pool's.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(faults[3]!.status()[0]!.hits).toBe(1);
    set(3, { fault: "delay", milliseconds: 0, operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 2, { timeout: 10_000 }).toBe(true);
    expect(drive(3).state).toBe("online");
    pool.kill();
  });

  test("what a drive answers late, when another has its place, is not held against that one", async () => {
    const { pool, faults, set, drive } = await watchedPool();
    set(3, { fault: "hang", operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 0, { timeout: 10_000 }).toBe(true);
    const { group } = pool.service.pool(0).parts;
    group.replace({ ...group.members[3]!, drive: group.members[0]!.drive });
    set(3, { fault: "unreachable", operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 0, { timeout: 10_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(drive(3).state).toBe("online");
    pool.kill();
  });

  test("what a drive answers after the pool was stopped is not this owner's to judge", async () => {
    const { pool, faults, set, drive, events } = await watchedPool();
    set(3, { fault: "hang", operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 0, { timeout: 10_000 }).toBe(true);
    await pool.service.pool(0).stop();
    set(3, { fault: "unreachable", operations: ["other"] });
    await expect.poll(() => faults[3]!.status()[0]!.hits > 0, { timeout: 10_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(drive(3).state).toBe("online");
    expect([...events("drive.missing"), ...events("pool.failed")]).toEqual([]);
    pool.kill();
  });
});

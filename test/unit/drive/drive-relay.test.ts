/** A director that is cut off from a drive thread works through its partner's path to it, and by itself again afterwards. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DriveRelay } from "../../../drivers/drive/drive-relay.ts";
import { RemoteDrive } from "../../../drivers/drive/remote-drive.ts";
import { Doorbell } from "../../../drivers/shared-memory/doorbell.ts";
import { moveRelay, RELAY, relayState } from "../../../drivers/shared-memory/drive-relay-state.ts";
import { raiseThreadEpoch } from "../../../drivers/shared-memory/epoch.ts";
import { drivePath, threadNumber } from "../../../drivers/shared-memory/layout.ts";
import { DriveThread, TEST_GEOMETRY, temporaryFolder, testGlobalMemory } from "../../support/drive-fixtures.ts";

const { stripBytes } = TEST_GEOMETRY;

describe("a director that is cut off from a drive thread", () => {
  const temporary = temporaryFolder();
  const memory = testGlobalMemory({ directorCount: 2, driveRingSlots: 16 });
  const { global } = memory;
  const scratch = global.layout.staging[0]!;
  const path = drivePath(global.layout, 0, 0);
  let thread: DriveThread;
  let drive: RemoteDrive;
  let relay: DriveRelay;
  let relayed = 0;
  let mine = false;
  let timer: NodeJS.Timeout;

  beforeAll(async () => {
    const format = { driveId: "id-a", geometry: TEST_GEOMETRY };
    const one = { driveIndex: 0, driveNumber: 0, name: "a", folder: join(temporary.path, "a"), format };
    thread = await DriveThread.start({ memory, drives: [one], requestsInFlightMax: 8, deadlineMilliseconds: 5000 });
    drive = new RemoteDrive(thread.channel, { name: "a", driveIndex: 0 });
    relay = new DriveRelay(global, {
      pool: 0,
      director: 1,
      owner: 0,
      isMine: () => mine,
      onRelayed: () => {
        relayed += 1;
      },
    });
    timer = setInterval(() => relay.pump(), 1);
    await drive.open(1);
    await drive.createZone(1);
  });
  afterAll(async () => {
    clearInterval(timer);
    await thread.stop();
    temporary.remove();
  });

  const ring = (): void => {
    const consumer = threadNumber(global.layout, "drive", 0);
    new Doorbell(global, { consumer, producer: threadNumber(global.layout, "director", 0) }).ring();
  };
  const strip = (firstStrip: number, slot: number) => ({
    zone: 1,
    firstStrip,
    count: 1,
    address: scratch + slot * stripBytes,
    strideBytes: stripBytes,
  });
  let next = 0;
  /** Writes strips and metadata, many at a time, and reads them back; all of it must come out right. */
  async function work(): Promise<void> {
    const first = next;
    next += 3;
    const slots = [0, 1, 2];
    for (const slot of slots) global.u8.fill(first + slot + 1, scratch + slot * stripBytes, scratch + (slot + 1) * stripBytes);
    await Promise.all(slots.map((slot) => drive.writeStrips(strip(first + slot, slot))));
    const value = Buffer.alloc(5000, first + 7);
    const operations = slots.map((slot) => ({ type: "put" as const, key: `k${first + slot}`, value }));
    await Promise.all([drive.metadataBatch(operations), ...slots.map(() => drive.identify())]);
    const found = await Promise.all(slots.map((slot) => drive.metadataGet(`k${first + slot}`)));
    for (const one of found) expect(Buffer.compare(one!, value)).toBe(0);
    await Promise.all(slots.map((slot) => drive.readStrips(strip(first + slot, 3 + slot))));
    for (const slot of slots) expect(global.u8[scratch + (3 + slot) * stripBytes + 99]).toBe(first + slot + 1);
  }

  test("goes on through its partner, then by itself, as often as it happens, with requests under way", async () => {
    await work();
    expect(relayed).toBe(0);
    for (let round = 0; round < 3; round += 1) {
      const before = relayed;
      const underWay = work();
      expect(moveRelay(global, path, RELAY.direct, RELAY.cutting)).toBe(true);
      ring();
      await underWay;
      await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.relayed);
      await work();
      await work();
      expect(relayed - before).toBeGreaterThan(20);
      const again = work();
      expect(moveRelay(global, path, RELAY.relayed, RELAY.restoring)).toBe(true);
      await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.direct);
      await again;
      const direct = relayed;
      await work();
      expect([relayed, relay.isActive]).toEqual([direct, false]);
    }
  });

  test("is fenced through its partner as it is by itself", async () => {
    moveRelay(global, path, RELAY.direct, RELAY.cutting);
    ring();
    await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.relayed);
    const newer = new RemoteDrive(thread.channel, { name: "a", driveIndex: 0 });
    await newer.open(2);
    await expect(drive.listZones()).rejects.toMatchObject({ kind: "fenced" });
    expect((await newer.listZones()).map(({ zone }) => zone)).toEqual([1]);
    drive = newer;
  });

  test("has its path back also where the pool is its partner's own by then", async () => {
    mine = true;
    moveRelay(global, path, RELAY.relayed, RELAY.restoring);
    await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.direct);
    mine = false;
    await work();
    moveRelay(global, path, RELAY.direct, RELAY.cutting);
    ring();
    await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.relayed);
    await work();
  });

  test("dies: nothing of it is brought on any more, and the drive thread has its rings again", async () => {
    expect(relayState(global, path)).toBe(RELAY.relayed);
    raiseThreadEpoch(global, threadNumber(global.layout, "director", 0));
    await expect.poll(() => relayState(global, path), { timeout: 5000 }).toBe(RELAY.direct);
    expect(relay.isActive).toBe(false);
    await work();
  });
});

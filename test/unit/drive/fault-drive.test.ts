import { describe, expect, test } from "vitest";
import { CountingDrive, DriveCount } from "../../../drivers/drive/counting-drive.ts";
import { DRIVE_COUNTERS } from "../../../drivers/drive/drive-counters.ts";
import { DriveFaults, FaultDrive } from "../../../drivers/drive/fault-drive.ts";
import { counterBlock } from "../../../drivers/shared-memory/counters.ts";
import { memoryFixture, TEST_GEOMETRY } from "../../support/drive-fixtures.ts";

const { stripBytes } = TEST_GEOMETRY;
const C = DRIVE_COUNTERS.slots;

async function faultyDrive() {
  const fixture = await memoryFixture();
  const faults = new DriveFaults();
  const block = counterBlock(fixture.global, "drive", 0);
  const drive = new CountingDrive(
    new FaultDrive(fixture.attach(), faults, fixture.global),
    new DriveCount(block, fixture.global.clock),
  );
  await drive.open(1);
  await drive.createZone(1);
  const strips = (firstStrip: number, count = 1) => ({
    zone: 1,
    firstStrip,
    count,
    address: fixture.scratch,
    strideBytes: stripBytes,
  });
  return { fixture, faults, block, drive, strips };
}

describe("FaultDrive", () => {
  test("hits the strips of its range, in that zone, and no others", async () => {
    const { faults, drive, strips } = await faultyDrive();
    await drive.writeStrips(strips(0, 10));
    faults.set({ rules: [{ fault: "readError", zone: 1, firstStrip: 3, stripCount: 2 }] });
    for (let strip = 0; strip < 10; strip++) {
      const outcome = await drive.readStrips(strips(strip)).then(
        () => "done",
        (error) => error.kind,
      );
      expect(outcome).toBe(strip === 3 || strip === 4 ? "unrecoveredRead" : "done");
    }
    await expect(drive.readStrips(strips(0, 4))).rejects.toMatchObject({ kind: "unrecoveredRead" });
    expect(await drive.metadataGet("a")).toBeUndefined();
    faults.set({ rules: [{ fault: "readError", zone: 2 }] });
    await drive.readStrips(strips(3));
  });

  test("ends after as many hits as were asked for", async () => {
    const { faults, drive, strips } = await faultyDrive();
    faults.set({ rules: [{ fault: "noSpace", hitsMax: 2 }] });
    await expect(drive.writeStrips(strips(0))).rejects.toMatchObject({ kind: "noSpace" });
    await expect(drive.metadataBatch([{ type: "delete", key: "a" }])).rejects.toMatchObject({ kind: "noSpace" });
    await drive.writeStrips(strips(0));
  });

  test("writes what it reports as unknown, and does not write what it loses", async () => {
    const { faults, drive, strips } = await faultyDrive();
    faults.set({ rules: [{ fault: "unknownWrite", hitsMax: 1 }] });
    await expect(drive.writeStrips(strips(0))).rejects.toMatchObject({ kind: "unknown" });
    await drive.readStrips(strips(0));
    faults.set({ rules: [{ fault: "lostWrite", hitsMax: 1 }] });
    await drive.writeStrips(strips(1));
    await expect(drive.readStrips(strips(1))).rejects.toMatchObject({ kind: "notFound" });
  });

  test("flips one bit of one strip in what a read returns, not in what is stored", async () => {
    const { fixture, faults, drive, strips } = await faultyDrive();
    fixture.global.u8.fill(0, fixture.scratch, fixture.scratch + 3 * stripBytes);
    await drive.writeStrips(strips(0, 3));
    faults.set({ rules: [{ fault: "bitFlip", zone: 1, firstStrip: 1, offsetBytes: 5, bit: 7 }] });
    await drive.readStrips(strips(0, 3));
    const read = fixture.global.view(fixture.scratch, 3 * stripBytes);
    expect(read.findIndex((byte) => byte !== 0)).toBe(stripBytes + 5);
    expect(read[stripBytes + 5]).toBe(0x80);
    faults.set(undefined);
    await drive.readStrips(strips(0, 3));
    expect(read.every((byte) => byte === 0)).toBe(true);
  });
});

describe("CountingDrive", () => {
  test("counts operations, bytes, latencies and errors by kind", async () => {
    const { faults, block, drive, strips } = await faultyDrive();
    await drive.writeStrips(strips(0, 4));
    await drive.readStrips(strips(1, 2));
    await drive.metadataBatch([{ type: "put", key: "a", value: Buffer.alloc(10) }]);
    await drive.finishZone(1);
    await drive.resetZone(1);
    faults.set({ unreachable: true });
    await drive.listZones().catch(() => undefined);
    faults.set(undefined);
    await drive.createZone(1).catch(() => undefined);
    const expected = {
      ...{
        writes: 1,
        writeBytes: 4 * stripBytes,
        reads: 1,
        readBytes: 2 * stripBytes,
        metadataWrites: 1,
        metadataWriteBytes: 10,
      },
      ...{ zonesCreated: 1, zonesFinished: 1, zonesReset: 1, unreachable: 1, invalid: 1, notFound: 0, underWay: 0 },
    };
    for (const [name, count] of Object.entries(expected))
      expect([name, block[C[name as keyof typeof expected]]]).toEqual([name, count]);
    expect(block.subarray(C.writeLatency, C.writeLatency + 25).reduce((sum, value) => sum + value)).toBe(1);
  });
});

import { describe, expect, test } from "vitest";
import { CountingDrive, DriveCount } from "../../../drivers/drive/counting-drive.ts";
import { DRIVE_COUNTERS } from "../../../drivers/drive/drive-counters.ts";
import { DriveFaults } from "../../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../../drivers/drive/fault-drive.ts";
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
  return { faults, block, drive, strips };
}

describe("CountingDrive", () => {
  test("counts operations, bytes, latencies and errors by kind", async () => {
    const { faults, block, drive, strips } = await faultyDrive();
    await drive.writeStrips(strips(0, 4));
    await drive.readStrips(strips(1, 2));
    await drive.metadataBatch([{ type: "put", key: "a", value: Buffer.alloc(10) }]);
    await drive.finishZone(1);
    await drive.resetZone(1);
    faults.set({ rules: [{ fault: "unreachable" }] });
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

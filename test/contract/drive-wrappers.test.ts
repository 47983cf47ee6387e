import { CountingDrive, DriveCount } from "../../drivers/drive/counting-drive.ts";
import { DriveFaults, FaultDrive } from "../../drivers/drive/fault-drive.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { memoryFixture } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";

driveContract("CountingDrive", async () => {
  const fixture = await memoryFixture();
  const count = new DriveCount(counterBlock(fixture.global, "drive", 0), fixture.global.clock);
  return { ...fixture, attach: () => new CountingDrive(fixture.attach(), count) };
});

driveContract("FaultDrive without faults", async () => {
  const fixture = await memoryFixture();
  const faults = new DriveFaults();
  return { ...fixture, attach: () => new FaultDrive(fixture.attach(), faults, fixture.global) };
});

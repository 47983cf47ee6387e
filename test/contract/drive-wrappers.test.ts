import { CountingDrive, DriveCount } from "../../drivers/drive/counting-drive.ts";
import { type DriveFaultSettings, DriveFaults } from "../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../drivers/drive/fault-drive.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { memoryFixture } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";

driveContract("CountingDrive", async () => {
  const fixture = await memoryFixture();
  const count = new DriveCount(counterBlock(fixture.global, "drive", 0), fixture.global.clock);
  return { ...fixture, attach: () => new CountingDrive(fixture.attach(), count) };
});

const HARMLESS: Readonly<Record<string, DriveFaultSettings | undefined>> = {
  "without faults": undefined,
  "with delays": { seed: 7, rules: [{ fault: "delay", milliseconds: 0, jitterMilliseconds: 1, everyNth: 3 }] },
  "with faults for what is not there": {
    rules: [
      { fault: "unreachable", zone: 88_888 },
      { fault: "readError", keyPrefix: "~" },
      { fault: "tornWrite", firstStrip: 5000 },
      { fault: "bitFlip", hitsMax: 0 },
      { fault: "hang", probability: 0 },
    ],
  },
};

for (const [how, settings] of Object.entries(HARMLESS)) {
  driveContract(`FaultDrive ${how}`, async () => {
    const fixture = await memoryFixture();
    const faults = new DriveFaults();
    faults.set(settings);
    return { ...fixture, attach: () => new FaultDrive(fixture.attach(), faults, fixture.global) };
  });
}

import { afterEach, expect, test, vi } from "vitest";
import { openDriveBays } from "../../../directors/back-end/drive-bays.ts";
import { DriveError } from "../../../drivers/drive/drive.ts";
import { RemoteDrive } from "../../../drivers/drive/remote-drive.ts";
import type { PoolConfig } from "../../../src/config/config.ts";
import { testGlobalMemory } from "../../support/drive-fixtures.ts";

const POOL = { index: 0, drives: ["00", "01", "02"], spares: [] } as unknown as PoolConfig;
const IDENTITY = { driveId: "id", capacityBytes: 1 } as Awaited<ReturnType<RemoteDrive["identify"]>>;

afterEach(() => {
  vi.restoreAllMocks();
});

async function opened(lost: (error: DriveError) => void) {
  vi.spyOn(RemoteDrive.prototype, "identify").mockImplementation(async function (this: RemoteDrive) {
    if (this.name === "00") return IDENTITY;
    const error = new DriveError("unreachable", this.name, "its thread was not back in time");
    lost(error);
    throw error;
  });
  const { global } = testGlobalMemory();
  return openDriveBays({ global, pool: POOL, directorIndex: 0, onChannel: () => undefined });
}

test("drives that can't be reached because none can are told apart from drives that are not there", async () => {
  const one = await opened(() => undefined);
  expect(one.bays.map(({ state }) => state)).toEqual(["open", "unavailable", "unavailable"]);
  expect(one.pathLost).toBeUndefined();
  const all = await opened((error) => {
    error.threadLost = true;
  });
  expect(all.pathLost?.threadLost).toBe(true);
});

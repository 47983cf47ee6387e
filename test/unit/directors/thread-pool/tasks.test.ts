import { describe, expect, test } from "vitest";
import { touchFrames } from "../../../../directors/thread-pool/touch-frames.ts";
import { shareOf } from "../../../../directors/thread-pool/touch-memory.ts";
import { createGlobalMemory } from "../../../../drivers/shared-memory/global-memory.ts";
import { frameAddress } from "../../../../drivers/shared-memory/layout.ts";

function makeMemory(directorCount = 1) {
  return createGlobalMemory({
    directorCount,
    poolCount: 1,
    driveCount: 0,
    poolReachedBy: [[0]],
    frameCount: 512,
    stagingBytesPerPool: 65_536,
    mailboxBytes: 4096,
  });
}

describe("tasks of the thread pool", () => {
  test("touchFrames changes nothing and says how much it touched", () => {
    const { global } = makeMemory();
    const address = frameAddress(global.layout, 3);
    global.u8.fill(0xa5, address, address + 9000);
    const before = Buffer.from(global.view(address, 9000));
    expect(touchFrames(global, { address: address + 1, bytes: 8999 })).toBe(8999);
    expect(global.view(address, 9000).equals(before)).toBe(true);
  });

  test("shares of directors cover staging and frames, without overlap", () => {
    const { global } = makeMemory(3);
    const shares = [0, 1, 2].map((director) => shareOf(global, director));
    expect(shares[0]!.address).toBe(global.layout.staging[0]);
    expect(shares.map(({ address, bytes }) => address + bytes)).toEqual([
      shares[1]!.address,
      shares[2]!.address,
      global.layout.totalBytes,
    ]);
  });
});

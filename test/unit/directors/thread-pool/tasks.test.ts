import { describe, expect, test } from "vitest";
import { touchFrames } from "../../../../directors/thread-pool/touch-frames.ts";
import { shareOf } from "../../../../directors/thread-pool/touch-memory.ts";
import { verifyChecksums } from "../../../../directors/thread-pool/verify-checksums.ts";
import { xorStrips } from "../../../../directors/thread-pool/xor-strips.ts";
import { dataCrc32c } from "../../../../drivers/shared-memory/data-crc32c.ts";
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

  test("verifyChecksums names the ranges that differ, and only those", () => {
    const { global } = makeMemory();
    const ranges = new Float64Array(9);
    for (const [n, bytes] of [4096, 100, 8192].entries()) {
      const address = frameAddress(global.layout, n * 4);
      global.u8.fill(n + 1, address, address + bytes);
      ranges.set([address, bytes, dataCrc32c(global.view(address, bytes))], n * 3);
    }
    expect(verifyChecksums(global, { ranges })).toEqual([]);
    global.u8[frameAddress(global.layout, 4) + 99]! ^= 1;
    expect(verifyChecksums(global, { ranges })).toEqual([1]);
  });

  test("xorStrips makes parity from which any strip can be had again", () => {
    const { global } = makeMemory();
    const stripBytes = 4096;
    const sources = [0, 1, 2].map((n) => frameAddress(global.layout, n));
    sources.forEach((address, n) => {
      for (let at = 0; at < stripBytes; at += 1) global.u8[address + at] = (at * (n + 3) + n) & 0xff;
    });
    const parity = frameAddress(global.layout, 8);
    const again = frameAddress(global.layout, 9);
    xorStrips(global, { target: parity, sources, stripBytes });
    xorStrips(global, { target: again, sources: [parity, sources[0]!, sources[2]!], stripBytes });
    expect(global.view(again, stripBytes).equals(global.view(sources[1]!, stripBytes))).toBe(true);
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

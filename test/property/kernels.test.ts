import { crc32 } from "node:zlib";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";
import { createKernels, type Kernels } from "../../drivers/shared-memory/kernels.ts";
import { referenceCrc32c, referenceKernels, referenceProduct } from "../../drivers/shared-memory/reference-kernels.ts";
import { testGlobalMemory } from "../support/global-memory.ts";

/** Kernels work in this window of global memory; the reference works in a copy of it, at the same offsets. */
const WINDOW_BYTES = 4096;
const { global, transfer } = testGlobalMemory();
const base = global.layout.frames;
const window = global.view(base, WINDOW_BYTES);
const after = global.view(base + WINDOW_BYTES, 4096);
const copy = new Uint8Array(WINDOW_BYTES);
const reference = referenceKernels(copy);
const kernels: Kernels = createKernels(transfer.kernelModule, transfer.memory);

/** Any range of the window: every alignment, every length from none to all, short ones often. */
const range = fc
  .tuple(fc.nat(WINDOW_BYTES), fc.oneof(fc.nat(300), fc.nat(WINDOW_BYTES)))
  .map(([at, bytes]) => ({ at, bytes: Math.min(bytes, WINDOW_BYTES - at) }));
/** Two places for ranges of one length; near each other often, so that they overlap. */
const twoRanges = fc
  .tuple(range, fc.oneof(fc.integer({ min: -200, max: 200 }), fc.integer({ min: -WINDOW_BYTES, max: WINDOW_BYTES })))
  .map(([{ at, bytes }, distance]) => ({ at, bytes, other: Math.max(0, Math.min(at + distance, WINDOW_BYTES - bytes)) }));
const apart = ({ at, other, bytes }: { at: number; other: number; bytes: number }) =>
  at === other || Math.abs(at - other) >= bytes;

beforeEach(() => {
  for (let i = 0; i < WINDOW_BYTES; i++) window[i] = Math.imul(i + 1, 0x9e3779b1) >>> 13;
  copy.set(window);
  after.fill(0xa5);
});

function expectSameBytes(): void {
  expect(window.equals(copy)).toBe(true);
  expect(after.every((byte) => byte === 0xa5)).toBe(true);
}

describe("kernels against plain TypeScript", () => {
  test("copy moves any range onto any other, overlapping ones too", () => {
    fc.assert(
      fc.property(twoRanges, ({ at, other, bytes }) => {
        kernels.copy(base + other, base + at, bytes);
        reference.copy(other, at, bytes);
        expectSameBytes();
      }),
      { numRuns: 500 },
    );
  });

  test("fill sets any range to the low byte of a number", () => {
    fc.assert(
      fc.property(range, fc.integer({ min: 0, max: 0x1ff }), ({ at, bytes }, byte) => {
        kernels.fill(base + at, byte, bytes);
        reference.fill(at, byte, bytes);
        expectSameBytes();
      }),
      { numRuns: 300 },
    );
  });

  test("xor adds any range to another that is apart or the same", () => {
    fc.assert(
      fc.property(twoRanges.filter(apart), ({ at, other, bytes }) => {
        kernels.xor(base + other, base + at, bytes);
        reference.xor(other, at, bytes);
        expectSameBytes();
      }),
      { numRuns: 500 },
    );
  });

  test("xor is right for every length up to 300 and every alignment of a vector", () => {
    for (let bytes = 0; bytes <= 300; bytes++) {
      const to = 1000 + (bytes % 16);
      const from = 2000 + (Math.floor(bytes / 16) % 16);
      kernels.xor(base + to, base + from, bytes);
      reference.xor(to, from, bytes);
    }
    expectSameBytes();
  });

  test("addToPq adds a strip to P and, as its column's power of 2, to Q", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(40), fc.nat(40), fc.nat(40), (bytes, a, b, c) => {
        const [p, q, source] = [a, 1200 + b, 2400 + c];
        kernels.addToPq(base + p, base + q, base + source, bytes);
        reference.addToPq(p, q, source, bytes);
        expectSameBytes();
      }),
      { numRuns: 500 },
    );
  });

  test("multiplyAdd adds a multiple of any range to another that is apart or the same", () => {
    fc.assert(
      fc.property(twoRanges.filter(apart), fc.nat(255), ({ at, other, bytes }, factor) => {
        kernels.multiplyAdd(base + other, base + at, factor, bytes);
        reference.multiplyAdd(other, at, factor, bytes);
        expectSameBytes();
      }),
      { numRuns: 500 },
    );
  });

  test("multiply makes any range a multiple of itself", () => {
    fc.assert(
      fc.property(range, fc.nat(255), ({ at, bytes }, factor) => {
        kernels.multiply(base + at, factor, bytes);
        reference.multiply(at, factor, bytes);
        expectSameBytes();
      }),
      { numRuns: 500 },
    );
  });

  test("every product of two bytes is right, in the vector part and in the rest", () => {
    for (let factor = 0; factor < 256; factor++) {
      for (let byte = 0; byte < 256; byte++) window[byte] = byte;
      window.fill(factor, 256, 256 + 31);
      kernels.multiply(base, factor, 256);
      for (let byte = 0; byte < 256; byte++)
        if (window[byte] !== referenceProduct(byte, factor)) expect({ byte, factor }).toBe("right");
      kernels.multiply(base + 256, factor, 31);
      expect(window[256]).toBe(referenceProduct(factor, factor));
      expect(window[286]).toBe(referenceProduct(factor, factor));
    }
  });

  test("isZero tells a range of zeros from one with a single byte anywhere", () => {
    fc.assert(
      fc.property(range, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ at, bytes }, where, byte) => {
        // Neighbours are not zero: a look past either end shows.
        window.fill(0xff);
        window.fill(0, at, at + bytes);
        expect(kernels.isZero(base + at, bytes)).toBe(true);
        if (bytes === 0) return;
        window[at + (where % bytes)] = byte;
        expect(kernels.isZero(base + at, bytes)).toBe(false);
        copy.set(window);
        expect(reference.isZero(at, bytes)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test("firstDifference finds the first of any differences, and none in equal ranges", () => {
    fc.assert(
      fc.property(twoRanges.filter(apart), fc.array(fc.nat(), { maxLength: 3 }), ({ at, other, bytes }, places) => {
        window.copyWithin(other, at, at + bytes);
        if (bytes > 0) for (const place of places) window[other + (place % bytes)]! ^= 0x10;
        copy.set(window);
        expect(kernels.firstDifference(base + at, base + other, bytes)).toBe(reference.firstDifference(at, other, bytes));
      }),
      { numRuns: 500 },
    );
  });

  test("crc32c agrees for any range and seed, with the native one too", () => {
    const seed = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffffffff }));
    fc.assert(
      fc.property(range, seed, ({ at, bytes }, start) => {
        const expected = reference.crc32c(at, bytes, start);
        expect(kernels.crc32c(base + at, bytes, start)).toBe(expected);
        expect(dataCrc32c(window.subarray(at, at + bytes), start)).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });

  test("crc32c of two parts, the second seeded with the first, is that of the whole", () => {
    fc.assert(
      fc.property(range, fc.nat(), ({ at, bytes }, cut) => {
        const first = bytes === 0 ? 0 : cut % bytes;
        const whole = kernels.crc32c(base + at, bytes);
        expect(kernels.crc32c(base + at + first, bytes - first, kernels.crc32c(base + at, first))).toBe(whole);
        expect(dataCrc32c(window.subarray(at + first, at + bytes), dataCrc32c(window.subarray(at, at + first)))).toBe(whole);
      }),
    );
  });
});

describe("CRC32C, RFC 3720 appendix B.4", () => {
  const VECTORS: [string, Uint8Array, number][] = [
    ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["32 bytes, rising", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["32 bytes, falling", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    [
      "an iSCSI read command",
      Buffer.from("01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000", "hex"),
      0xd9963a56,
    ],
  ];

  test.each(VECTORS)("of %s", (_, bytes, expected) => {
    window.set(bytes);
    expect(kernels.crc32c(base, bytes.length)).toBe(expected);
    expect(dataCrc32c(window.subarray(0, bytes.length))).toBe(expected);
    expect(referenceCrc32c(bytes)).toBe(expected);
  });
});

describe("checksum of data", () => {
  test("is CRC-32 of IEEE 802.3: its check value", () => {
    window.set(Buffer.from("123456789"));
    expect(dataChecksum(window.subarray(0, 9))).toBe(0xcbf43926);
  });

  test("of two parts, the second seeded with the first, is that of the whole", () => {
    fc.assert(
      fc.property(range, fc.nat(), ({ at, bytes }, cut) => {
        const first = bytes === 0 ? 0 : cut % bytes;
        const whole = dataChecksum(window.subarray(at, at + bytes));
        expect(dataChecksum(window.subarray(at + first, at + bytes), dataChecksum(window.subarray(at, at + first)))).toBe(whole);
        expect(whole).toBe(crc32(Buffer.from(window.subarray(at, at + bytes))));
      }),
    );
  });

  test("any flipped bit of a block changes it", () => {
    fc.assert(
      fc.property(fc.nat({ max: 4096 * 8 - 1 }), fc.integer(), (bit, seed) => {
        const block = window.subarray(0, 4096).fill(seed);
        const before = dataChecksum(block);
        block[bit >> 3]! ^= 1 << (bit & 7);
        expect(dataChecksum(block)).not.toBe(before);
      }),
    );
  });
});

describe("kernels, limits", () => {
  const end = global.layout.totalBytes;

  test("trap on a range that leaves global memory", () => {
    const overruns: (() => void)[] = [
      () => kernels.copy(end - 8, base, 9),
      () => kernels.fill(end - 8, 0, 9),
      () => kernels.xor(end - 8, base, 9),
      () => kernels.addToPq(end - 8, base, base + 4096, 9),
      () => kernels.addToPq(base, end - 8, base + 4096, 9),
      () => kernels.multiplyAdd(end - 8, base, 3, 9),
      () => kernels.multiply(end - 8, 3, 9),
      () => kernels.isZero(end, 1),
      () => kernels.firstDifference(end, base, 1),
      () => kernels.crc32c(end - 8, 9),
    ];
    for (const overrun of overruns) expect(overrun).toThrow(WebAssembly.RuntimeError);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checksumOfWords, joinedChecksum } from "../../../drivers/shared-memory/checksum-arithmetic.ts";
import { dataChecksum } from "../../../drivers/shared-memory/data-checksum.ts";

/** Made from a seed: arrays of single bytes that are shrunk one by one would take minutes. */
function bytesOf(count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count);
  for (let at = 0, state = seed | 1; at < count; at++) {
    state = Math.imul(state ^ (state >>> 13), 0x5bd1e995);
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const seed = fc.integer();

describe("checksum arithmetic: the same as the native checksum of the bytes", () => {
  test("of words, in one piece or in two", () => {
    fc.assert(
      fc.property(fc.nat({ max: 600 }), fc.nat({ max: 600 }), seed, (from, more, content) => {
        const bytes = bytesOf((from + more) * 4, content);
        const words = new Uint32Array(bytes.buffer, bytes.byteOffset, from + more);
        expect(checksumOfWords(words, from, from + more)).toBe(dataChecksum(bytes.subarray(from * 4)));
        const first = checksumOfWords(words, 0, from);
        expect(checksumOfWords(words, from, from + more, first)).toBe(dataChecksum(bytes));
      }),
    );
  });

  test("of two ranges one behind the other, whatever their lengths", () => {
    fc.assert(
      fc.property(fc.nat({ max: 5000 }), fc.nat({ max: 5000 }), seed, (firstBytes, eights, content) => {
        const bytes = bytesOf(firstBytes + eights * 8, content);
        const first = dataChecksum(bytes.subarray(0, firstBytes));
        const second = dataChecksum(bytes.subarray(firstBytes));
        expect(joinedChecksum(first, second, eights * 8)).toBe(dataChecksum(bytes));
      }),
    );
  });

  test("of the largest record's payload, block by block", () => {
    const blocks = bytesOf(1032 * 4096, 7);
    let sum = 0;
    for (let at = 0; at < blocks.length; at += 4096)
      sum = joinedChecksum(sum, dataChecksum(blocks.subarray(at, at + 4096)), 4096);
    expect(sum).toBe(dataChecksum(blocks));
  });
});

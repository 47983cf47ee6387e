/**
 * The kernels once more, in the plainest TypeScript there is: what kernels/kernels.as.ts has to do.
 *
 * Read this to understand them; property tests hold every kernel against it. Not used by the product.
 */
import type { Kernels } from "./kernels.ts";

/** Kernels over any bytes, global memory's or a copy of it. */
export function referenceKernels(memory: Uint8Array): Kernels {
  return {
    copy(target, source, bytes) {
      memory.set(memory.slice(source, source + bytes), target);
    },
    fill(target, byte, bytes) {
      for (let i = 0; i < bytes; i++) memory[target + i] = byte & 0xff;
    },
    xor(target, source, bytes) {
      for (let i = 0; i < bytes; i++) memory[target + i]! ^= memory[source + i]!;
    },
    isZero(address, bytes) {
      return memory.subarray(address, address + bytes).every((byte) => byte === 0);
    },
    firstDifference(a, b, bytes) {
      for (let i = 0; i < bytes; i++) if (memory[a + i] !== memory[b + i]) return i;
      return -1;
    },
    crc32c(address, bytes, seed = 0) {
      return referenceCrc32c(memory.subarray(address, address + bytes), seed);
    },
  };
}

/** Castagnoli polynomial with its bits reversed, a bit at a time (RFC 7143 §13.1). */
export function referenceCrc32c(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

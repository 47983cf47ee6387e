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
    addToPq(p, q, source, bytes) {
      for (let i = 0; i < bytes; i++) {
        memory[p + i]! ^= memory[source + i]!;
        memory[q + i] = referenceProduct(memory[q + i]!, 2) ^ memory[source + i]!;
      }
    },
    multiplyAdd(target, source, factor, bytes) {
      for (let i = 0; i < bytes; i++) memory[target + i]! ^= referenceProduct(memory[source + i]!, factor);
    },
    multiply(target, factor, bytes) {
      for (let i = 0; i < bytes; i++) memory[target + i] = referenceProduct(memory[target + i]!, factor);
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

/** Product in GF(2^8) of polynomials over bits, modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11d). */
export function referenceProduct(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 14; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8);
  return product;
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

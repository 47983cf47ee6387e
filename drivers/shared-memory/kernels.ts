/** The kernels of the shared-memory driver: WASM SIMD that works in place on global memory. (Contract: the driver completes it.) */
import type { Address } from "./global-memory.ts";

export interface Kernels {
  /** Ranges may overlap. */
  copy(target: Address, source: Address, bytes: number): void;
  fill(target: Address, byte: number, bytes: number): void;
  /** target ^= source; multiples of 16 bytes. */
  xor(target: Address, source: Address, bytes: number): void;
  isZero(address: Address, bytes: number): boolean;
  /** Offset of the first differing byte, or −1. */
  firstDifference(a: Address, b: Address, bytes: number): number;
  /** CRC32C (Castagnoli) of short ranges, headers above all; data goes through `dataCrc32c`. */
  crc32c(address: Address, bytes: number): number;
}

/**
 * The kernels of the shared-memory driver: WASM SIMD that works in place on global memory.
 *
 * Runs on: every thread, each with an instance of its own over the one memory; instantiating writes nothing.
 * A range that leaves global memory traps (WebAssembly.RuntimeError). Compiled from kernels/kernels.as.ts.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Address } from "./global-memory.ts";

export interface Kernels {
  /** Ranges may overlap. */
  copy(target: Address, source: Address, bytes: number): void;
  /** Only the low eight bits of `byte` count. */
  fill(target: Address, byte: number, bytes: number): void;
  /** target ^= source. The ranges are the same or apart. Any length; multiples of 128 bytes are the fast ones. */
  xor(target: Address, source: Address, bytes: number): void;
  /**
   * A data strip's share of P and Q over GF(2^8) (polynomial 0x11d, generator 2): p ^= source, q = 2 q ^ source. Called for
   * each data strip, the highest column first, so that column c is in q times 2 to the power of c. Ranges are apart.
   */
  addToPq(p: Address, q: Address, source: Address, bytes: number): void;
  /** target ^= factor × source over GF(2^8). The ranges are the same or apart. */
  multiplyAdd(target: Address, source: Address, factor: number, bytes: number): void;
  /** target = factor × target over GF(2^8). */
  multiply(target: Address, factor: number, bytes: number): void;
  isZero(address: Address, bytes: number): boolean;
  /** Offset of the first differing byte, or −1. Below 2 GiB. */
  firstDifference(a: Address, b: Address, bytes: number): number;
  /**
   * CRC32C (Castagnoli) of short ranges, headers above all; data goes through `dataCrc32c`.
   * `seed` is the CRC of what came before, 0 at the start.
   */
  crc32c(address: Address, bytes: number, seed?: number): number;
}

/** What kernels.as.ts of this source tree exports as `kernelVersion`. */
const KERNEL_VERSION = 2;

interface KernelExports {
  kernelVersion(): number;
  initialiseTables(): void;
  copy(target: Address, source: Address, bytes: number): void;
  fill(target: Address, byte: number, bytes: number): void;
  xor(target: Address, source: Address, bytes: number): void;
  addToPq(p: Address, q: Address, source: Address, bytes: number): void;
  multiplyAdd(target: Address, source: Address, factor: number, bytes: number): void;
  multiply(target: Address, factor: number, bytes: number): void;
  isZero(address: Address, bytes: number): number;
  firstDifference(a: Address, b: Address, bytes: number): number;
  crc32c(address: Address, bytes: number, seed: number): number;
}

/** Beside this file in a build; in dist/ when this file runs from the sources, as tests do. */
const KERNEL_PLACES = ["./kernels.wasm", "../../dist/drivers/shared-memory/kernels.wasm"];

/** Reads and compiles the kernels: once, on main. */
export function loadKernelModule(): WebAssembly.Module {
  let missing: unknown;
  for (const place of KERNEL_PLACES) {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(fileURLToPath(new URL(place, import.meta.url)));
    } catch (error) {
      missing = error;
      continue;
    }
    return new WebAssembly.Module(bytes);
  }
  throw new Error("the kernels are not built (no kernels.wasm): run `npm run build`", { cause: missing });
}

/** Fills the kernels' tables: main, once, before any other thread attaches. */
export function initialiseKernelTables(module: WebAssembly.Module, memory: WebAssembly.Memory): void {
  instantiate(module, memory).initialiseTables();
}

export function createKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const wasm = instantiate(module, memory);
  return {
    copy: wasm.copy,
    fill: wasm.fill,
    xor: wasm.xor,
    addToPq: wasm.addToPq,
    multiplyAdd: wasm.multiplyAdd,
    multiply: wasm.multiply,
    isZero: (address, bytes) => wasm.isZero(address, bytes) !== 0,
    firstDifference: wasm.firstDifference,
    crc32c: (address, bytes, seed = 0) => wasm.crc32c(address, bytes, seed) >>> 0,
  };
}

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): KernelExports {
  const wasm = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as KernelExports;
  const version = wasm.kernelVersion?.();
  if (version !== KERNEL_VERSION) {
    throw new Error(`the kernels are of version ${version}, the sources of ${KERNEL_VERSION}: run \`npm run build\``);
  }
  return wasm;
}

/**
 * What every thread sees of global memory: one shared WebAssembly.Memory, views on it, and the kernels that work in it.
 *
 * Runs on: every thread. Main creates it once (`createGlobalMemory`), the others attach to what main hands them.
 * Addresses are byte offsets from the start of global memory; they are what threads exchange, never data.
 */
import type { Clock } from "./clock.ts";
import type { Kernels } from "./kernels.ts";
import type { Layout } from "./layout.ts";

/** Byte offset into global memory. */
export type Address = number;

export interface GlobalMemory {
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly kernels: Kernels;
  readonly clock: Clock;
  /** A Buffer over `bytes` at `address`; it aliases global memory. */
  view(address: Address, bytes: number): Buffer;
}

/** What main posts to a worker (workerData) so that it can attach. */
export interface GlobalMemoryTransfer {
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  readonly kernelModule: WebAssembly.Module;
}

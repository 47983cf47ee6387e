/**
 * What every thread sees of global memory: one shared WebAssembly.Memory, views on it, and the kernels that work in it.
 *
 * Runs on: every thread. Main creates it once (`createGlobalMemory`), the others attach to what main hands them.
 * Addresses are byte offsets from the start of global memory; they are what threads exchange, never data.
 * Invariants:
 *  1. The memory never grows (initial = maximum), so views are made once and stay good.
 *  2. Main has written header, rings' headers, time base and tables before any thread attaches; attaching writes nothing.
 */
import { attachClock, type Clock, startTimeBase } from "./clock.ts";
import { createKernels, initialiseKernelTables, type Kernels, loadKernelModule } from "./kernels.ts";
import { HEADER_WORD, LAYOUT_MAGIC, LAYOUT_VERSION, type Layout, type LayoutShape, layoutOf } from "./layout.ts";
import { initialiseRing } from "./ring.ts";

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
  /** Copies bytes `from` to `to` of `source`, which may lie in global memory itself (the kernel copies then) or anywhere. */
  copyIn(address: Address, source: Buffer, from: number, to: number): void;
}

/** What main posts to a worker (workerData) so that it can attach. */
export interface GlobalMemoryTransfer {
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  readonly kernelModule: WebAssembly.Module;
}

const PAGE_BYTES = 65_536;

/** @throws RangeError when the shape needs more than can be had. */
export function createGlobalMemory(shape: LayoutShape): {
  readonly global: GlobalMemory;
  readonly transfer: GlobalMemoryTransfer;
} {
  const layout = layoutOf(shape);
  const kernelModule = loadKernelModule();
  const pageCount = layout.totalBytes / PAGE_BYTES;
  const memory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
  const i32 = new Int32Array(memory.buffer);

  startTimeBase(memory.buffer, layout.timeBase);
  initialiseKernelTables(kernelModule, memory);
  for (const ring of layout.channelRings.flat()) if (ring !== undefined) initialiseRing(i32, ring);
  for (const path of layout.drivePaths.flat()) {
    initialiseRing(i32, path.requests);
    initialiseRing(i32, path.completions);
  }
  // Publication order: everything above, then version and size, then the magic.
  const header = layout.header / 4;
  i32[header + HEADER_WORD.layoutVersion] = LAYOUT_VERSION;
  i32[header + HEADER_WORD.pageCount] = pageCount;
  Atomics.store(i32, header + HEADER_WORD.magic, LAYOUT_MAGIC);

  const transfer = { memory, layout, kernelModule };
  return { global: attachGlobalMemory(transfer), transfer };
}

/** @throws Error when the memory is not one that this code laid out. */
export function attachGlobalMemory(transfer: GlobalMemoryTransfer): GlobalMemory {
  const { memory, layout, kernelModule } = transfer;
  const buffer = memory.buffer;
  const i32 = new Int32Array(buffer);
  const header = layout.header / 4;
  const magic = Atomics.load(i32, header + HEADER_WORD.magic);
  if (magic !== LAYOUT_MAGIC) throw new Error("global memory: no header where the layout has it");
  const version = i32[header + HEADER_WORD.layoutVersion];
  if (version !== LAYOUT_VERSION) throw new Error(`global memory: layout version ${version}, this code has ${LAYOUT_VERSION}`);
  if (i32[header + HEADER_WORD.pageCount] !== layout.totalBytes / PAGE_BYTES || buffer.byteLength !== layout.totalBytes) {
    throw new Error(`global memory: ${buffer.byteLength} bytes, the layout says ${layout.totalBytes}`);
  }
  const u8 = new Uint8Array(buffer);
  const kernels = createKernels(kernelModule, memory);
  return {
    memory,
    layout,
    u8,
    i32,
    f64: new Float64Array(buffer),
    kernels,
    clock: attachClock(buffer, layout.timeBase),
    view: (address, bytes) => Buffer.from(buffer, address, bytes),
    copyIn: (address, source, from, to) => {
      // V8 copies shared memory word by word; the kernel is several times as fast.
      if ((source.buffer as ArrayBufferLike) === buffer) kernels.copy(address, source.byteOffset + from, to - from);
      else source.copy(u8, address, from, to);
    },
  };
}

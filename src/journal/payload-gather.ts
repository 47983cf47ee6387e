/**
 * Gathers the frames of one journal record side by side, so that the record leaves in two pieces: header and payload.
 *
 * Frames of small writes lie anywhere. Each as a buffer of its own costs more than its bytes: a view made for the checksum,
 * a view and an I/O vector for the write. Copied side by side by the kernel (0.1 µs each, in cache), all of that lasts.
 *
 * Runs on: the owning director's thread. Owns: the pool's gather area in global memory.
 * Invariant: what `add` has copied stays until `clear`; the record that it belongs to was written by then.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";

export class PayloadGather {
  readonly #global: GlobalMemory;
  readonly #address: Address;
  readonly #frames: Buffer[] = [];
  /** The first n frames, for every n. */
  readonly #prefixes: Buffer[] = [];
  #count = 0;
  #taken = 0;

  constructor(global: GlobalMemory, address: Address, bytes: number) {
    this.#global = global;
    this.#address = address;
    const capacity = Math.floor(bytes / FRAME_BYTES);
    this.#prefixes.push(global.view(address, 0));
    for (let n = 0; n < capacity; n++) {
      this.#frames.push(global.view(address + n * FRAME_BYTES, FRAME_BYTES));
      this.#prefixes.push(global.view(address, (n + 1) * FRAME_BYTES));
    }
  }

  /** Frames that still fit. */
  get room(): number {
    return this.#frames.length - this.#count;
  }

  /** Copies a frame; returns the copy. */
  add(frame: Address): Buffer {
    const at = this.#count++;
    this.#global.kernels.copy(this.#address + at * FRAME_BYTES, frame, FRAME_BYTES);
    return this.#frames[at]!;
  }

  /** What was added since the last call, in one piece; undefined when nothing was. */
  take(): Buffer | undefined {
    const from = this.#taken;
    if (from === this.#count) return undefined;
    this.#taken = this.#count;
    const whole = this.#prefixes[this.#count]!;
    return from === 0 ? whole : whole.subarray(from * FRAME_BYTES);
  }

  clear(): void {
    this.#count = 0;
    this.#taken = 0;
  }
}

/**
 * Slabs: where what is sent is put together, headers one after the other and short read data between them.
 *
 * Runs on: the director's thread; one pool for all its connections. Owns: the director's stretch of global memory for transmission.
 * Invariant: a slab has one user, from the take to the give.
 */
import type { Address, GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";

export const SLAB_BYTES = 32_768;
/** On the heap only headers are put together, and what lies on the heap itself. */
const HEAP_SLAB_BYTES = 16_384;
const HEAP_SLABS_KEPT_MAX = 64;

export interface Slab {
  readonly bytes: Buffer;
  /** −1: on the heap, where the copy kernel does not reach. */
  readonly address: Address;
}

export class SlabPool {
  readonly #free: Slab[] = [];
  readonly #freeOnHeap: Slab[] = [];

  constructor(global: GlobalMemory, address: Address, bytes: number) {
    for (let at = 0; at + SLAB_BYTES <= bytes; at += SLAB_BYTES)
      this.#free.push({ bytes: global.view(address + at, SLAB_BYTES), address: address + at });
  }

  /** Slabs of global memory that nobody uses. */
  get free(): number {
    return this.#free.length;
  }

  /**
   * One of global memory while more of these are free than the connection holds, `held`; else one on the heap. So a peer that does
   * not read gets half of them, the next a quarter, and there are always some for those who do.
   */
  take(held: number): Slab {
    const slab = this.#free.length > held ? this.#free.pop() : this.#freeOnHeap.pop();
    return slab ?? { bytes: Buffer.allocUnsafeSlow(HEAP_SLAB_BYTES), address: -1 };
  }

  give(slab: Slab): void {
    if (slab.address >= 0) this.#free.push(slab);
    else if (this.#freeOnHeap.length < HEAP_SLABS_KEPT_MAX) this.#freeOnHeap.push(slab);
  }
}

/**
 * Stretches of global memory in which read data is put side by side when its frames lie apart.
 *
 * Read data is sent from its frames. Where a large read's blocks were written one by one, each frame would be a piece of
 * its own: a view, a link in the stream's queue and an I/O vector cost 0.6 µs, the copy kernel takes 0.2 µs for the same
 * 4 KiB, and what it has fetched from memory is in the processor's cache when the network stack copies it (docs/decisions/0009).
 *
 * Runs on: the director's thread; one for each director. Owns: the director's transmit area in global memory.
 * Invariant: a buffer has one user, from `take` until `give`; the kernel is done with it by then.
 */
import type { Address, GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { TRANSMIT_BYTES } from "../../../drivers/shared-memory/layout.ts";

export const GATHER_BUFFER_BYTES = 262_144;

export class GatherBuffers {
  readonly #free: Address[] = [];

  constructor(global: GlobalMemory, director: number) {
    const start = global.layout.transmit[director]!;
    for (let at = 0; at < TRANSMIT_BYTES; at += GATHER_BUFFER_BYTES) this.#free.push(start + at);
  }

  get free(): number {
    return this.#free.length;
  }

  /** A buffer, or undefined when all are on their way: the data goes from its frames then. */
  take(): Address | undefined {
    return this.#free.pop();
  }

  give(buffer: Address): void {
    this.#free.push(buffer);
  }
}

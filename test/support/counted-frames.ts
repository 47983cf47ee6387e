/** A FrameSource of a fixed number of frames that knows which are out: for tests that must not leak one. */

import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";

export class CountedFrames implements FrameSource {
  readonly taken = new Set<number>();
  readonly #global: GlobalMemory;
  readonly #free: number[];
  #waiters: { ticket: number; count: number; ready: () => void }[] = [];
  #ticket = 0;

  constructor(global: GlobalMemory, firstFrame: number, count: number) {
    this.#global = global;
    this.#free = Array.from({ length: count }, (_, n) => firstFrame + n);
  }

  tryTake(count: number, out: Int32Array, at: number): boolean {
    if (this.#free.length < count) return false;
    for (let n = 0; n < count; n += 1) {
      const frame = this.#free.shift()!;
      this.taken.add(frame);
      out[at + n] = frame;
    }
    return true;
  }

  whenAvailable(count: number, ready: () => void): number {
    this.#ticket += 1;
    this.#waiters.push({ ticket: this.#ticket, count, ready });
    return this.#ticket;
  }

  cancelWait(ticket: number): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.ticket !== ticket);
  }

  give(frame: number): void {
    if (!this.taken.delete(frame)) throw new Error(`frame ${frame} given back, but not taken here`);
    this.#free.push(frame);
  }

  addressOf(frame: number): number {
    return this.#global.layout.frames + frame * FRAME_BYTES;
  }

  view(frame: number): Buffer {
    return this.#global.view(this.addressOf(frame), FRAME_BYTES);
  }

  /** Calls back who may go on; true when anybody was. */
  serveWaiters(): boolean {
    const first = this.#waiters[0];
    if (first === undefined || first.count > this.#free.length) return false;
    this.#waiters.shift();
    first.ready();
    return true;
  }

  get waiting(): number {
    return this.#waiters.length;
  }
}

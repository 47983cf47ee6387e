/**
 * Which session number each director gave last: its next life goes on from there, so that what was kept of a nexus of the one
 * before (unit-table.ts) is not taken for that of another host.
 *
 * Runs on: directors. Owns: the number in the thread's line, of which the director is the only writer.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { THREAD_WORD, type ThreadNumber, threadWords } from "./layout.ts";

export class SessionNumbers {
  readonly #i32: Int32Array;
  readonly #word: number;

  constructor(global: GlobalMemory, thread: ThreadNumber) {
    this.#i32 = global.i32;
    this.#word = threadWords(global.layout, thread) + THREAD_WORD.sessionNumber;
  }

  /** 0: none yet. */
  get last(): number {
    return Atomics.load(this.#i32, this.#word);
  }

  set last(number: number) {
    Atomics.store(this.#i32, this.#word, number);
  }
}

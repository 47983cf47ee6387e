/**
 * Where a turn of a director's event loop goes: receiving, storage with its journal, answering.
 *
 *   begin ─(PDUs parsed, other threads' messages)─▶ turnEnds ─(journal written)─▶ stored ─(directors and hosts answered)─▶ answered ─▶ done
 *
 * Stamped once for each turn and each phase of it, never for each I/O: with many commands in a turn the cost of the clock
 * is shared as that of the system calls is. A stage's sum over the commands answered is its time for each command.
 */
import { counterBlock, observe } from "../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../drivers/shared-memory/global-memory.ts";
import { DIRECTOR_COUNTERS } from "./director-counters.ts";

const C = DIRECTOR_COUNTERS.slots;

export class TurnStages {
  readonly #clock: GlobalMemory["clock"];
  readonly #block: Float64Array;
  #last = 0;
  #storage = 0;
  #answers = 0;

  constructor(global: GlobalMemory, directorIndex: number) {
    this.#clock = global.clock;
    this.#block = counterBlock(global, "director", directorIndex);
  }

  /** The first work of a turn has come. */
  begin(): void {
    this.#last = this.#clock.nowMicroseconds();
  }

  turnEnds(): void {
    observe(this.#block, C.turnReceive, this.#lap());
    this.#storage = 0;
    this.#answers = 0;
  }

  /** Storage's part of a round is done; there may be several rounds in a turn. */
  stored(): void {
    this.#storage += this.#lap();
  }

  answered(): void {
    this.#answers += this.#lap();
  }

  done(): void {
    observe(this.#block, C.turnStorage, this.#storage);
    observe(this.#block, C.turnAnswers, this.#answers);
  }

  #lap(): number {
    const now = this.#clock.nowMicroseconds();
    const passed = now - this.#last;
    this.#last = now;
    return passed;
  }
}

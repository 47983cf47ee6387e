/**
 * Commands of one director that wait until it is known who owns their volume: for a bounded time, and a bounded number.
 *
 * Runs on: the director's thread. Owns: the tasks in it, data-out and all.
 * Invariants:
 *  1. At most HELD_TASKS_MAX tasks and resets wait; one more is refused.
 *  2. Each leaves by `takeAll` or by `takeExpired`, HELD_MICROSECONDS after it came from its host.
 *  3. They leave in the order in which they came.
 */
import type { NexusNumber, ResetDone, ScsiTask } from "./task.ts";

export const HELD_TASKS_MAX = 2048;
/** Less than hosts give a command before they try another path, and than COMMAND_AGE_MAX: who waited is still executed. */
export const HELD_MICROSECONDS = 2_500_000;

export interface HeldReset {
  readonly nexus: NexusNumber;
  readonly lun: number;
  readonly done: ResetDone;
  heldSinceMicroseconds: number;
}

/** A reset is no task, but keeps its place among them. */
export type Held = ScsiTask | HeldReset;

export class HeldTasks {
  #held: Held[] = [];

  get count(): number {
    return this.#held.length;
  }

  /** False: there is no room for it. What an owner that died had for a while has waited since it came. */
  add(held: Held, nowMicroseconds: number): boolean {
    if (this.#held.length >= HELD_TASKS_MAX) return false;
    if (held.heldSinceMicroseconds === 0) {
      const arrived = "cdb" in held ? held.arrivedMicroseconds : 0;
      held.heldSinceMicroseconds = arrived === 0 ? nowMicroseconds : arrived;
    }
    this.#held.push(held);
    return true;
  }

  /** All of them, to be tried again. */
  takeAll(): Held[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  /** Those that have waited long enough. */
  takeExpired(nowMicroseconds: number): Held[] {
    const isExpired = (held: Held): boolean => nowMicroseconds - held.heldSinceMicroseconds >= HELD_MICROSECONDS;
    if (!this.#held.some(isExpired)) return [];
    const expired = this.#held.filter(isExpired);
    this.#held = this.#held.filter((held) => !isExpired(held));
    return expired;
  }
}

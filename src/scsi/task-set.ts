/**
 * Task set of one logical unit: which command may run now (SAM-5 §8).
 *
 *   enter ──(may run)──► running ──► leave
 *     └──(must wait)──► waiting ──(startable)──┘
 *
 * SIMPLE and untagged commands run at once; the volume below keeps concurrent commands on one block apart. ORDERED waits
 * for everything older and holds back everything younger. HEAD OF QUEUE passes whatever waits.
 *
 * Runs on: the owning director's thread. Owns: its queue.
 * Invariants:
 *  1. count === running + waiting, and count ≤ TASK_SET_COMMANDS_MAX; beyond that the command gets TASK SET FULL.
 *  2. While an ORDERED command runs nothing else does, but for HEAD OF QUEUE.
 *  3. Commands leave the queue in the order in which they came.
 */
import { TASK_ATTRIBUTE } from "./task.ts";

/** One logical unit's share: 64 sessions with 64 commands each. */
export const TASK_SET_COMMANDS_MAX = 4096;

/** What a task set needs of a command. */
export interface TaskSetEntry {
  attribute: number;
}

export class TaskSet<Entry extends TaskSetEntry> {
  running = 0;
  #orderedRunning = false;
  /** Waiting commands from #first on; compacted when the dead part is the longer one. */
  #waiting: Entry[] = [];
  #first = 0;

  get waiting(): number {
    return this.#waiting.length - this.#first;
  }

  get count(): number {
    return this.running + this.waiting;
  }

  get full(): boolean {
    return this.count >= TASK_SET_COMMANDS_MAX;
  }

  /** Takes a command in. True: it runs now. False: it waits, and `nextStartable` returns it later. */
  enter(entry: Entry): boolean {
    if (entry.attribute === TASK_ATTRIBUTE.headOfQueue || (this.waiting === 0 && this.#mayStart(entry))) {
      this.#start(entry);
      return true;
    }
    this.#waiting.push(entry);
    return false;
  }

  /** A running command ended. */
  leave(entry: Entry): void {
    this.running -= 1;
    if (entry.attribute === TASK_ATTRIBUTE.ordered) this.#orderedRunning = false;
  }

  /** The oldest waiting command, started, if it may run now. */
  nextStartable(): Entry | undefined {
    if (this.waiting === 0) return undefined;
    const entry = this.#waiting[this.#first]!;
    if (!this.#mayStart(entry)) return undefined;
    this.#first += 1;
    if (this.#first * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
    this.#start(entry);
    return entry;
  }

  #mayStart(entry: Entry): boolean {
    return !this.#orderedRunning && (entry.attribute !== TASK_ATTRIBUTE.ordered || this.running === 0);
  }

  #start(entry: Entry): void {
    this.running += 1;
    if (entry.attribute === TASK_ATTRIBUTE.ordered) this.#orderedRunning = true;
  }
}

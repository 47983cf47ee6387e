/**
 * What a director does once at the end of each turn of its event loop, in order: storage first, then the front end.
 *
 * Runs on: a director's thread; one for each director. System calls are the cost of an I/O (docs/performance.md), so the
 * journal's group commit and the answers to all hosts go out once for everything that arrived in a turn.
 * Invariants:
 *  1. In one turn every `storage` callback runs before any `frontEnd` callback: the commit completes writes, their answers go along.
 *  2. A callback deferred twice before it runs, runs twice: callers keep a flag.
 *  3. Work deferred by the callbacks themselves runs in the same turn, for at most ROUNDS_MAX rounds; the rest waits for the next.
 */
export type TurnPhase = "storage" | "frontEnd";

const ROUNDS_MAX = 4;

export class TurnEnd {
  #storage: (() => void)[] = [];
  #frontEnd: (() => void)[] = [];
  #spare: (() => void)[] = [];
  #armed = false;
  readonly #schedule: (run: () => void) => void;
  readonly #run = (): void => this.#turn();

  /** @param schedule - runs its argument once this turn's I/O callbacks are done: setImmediate, but in tests */
  constructor(schedule: (run: () => void) => void = setImmediate) {
    this.#schedule = schedule;
  }

  defer(phase: TurnPhase, callback: () => void): void {
    (phase === "storage" ? this.#storage : this.#frontEnd).push(callback);
    if (this.#armed) return;
    this.#armed = true;
    this.#schedule(this.#run);
  }

  #turn(): void {
    for (let round = 0; round < ROUNDS_MAX && this.#storage.length + this.#frontEnd.length > 0; round += 1) {
      for (let again = 0; again < ROUNDS_MAX && this.#storage.length > 0; again += 1) {
        const storage = this.#storage;
        this.#storage = this.#spare;
        this.#drain(storage);
      }
      const frontEnd = this.#frontEnd;
      this.#frontEnd = this.#spare;
      this.#drain(frontEnd);
    }
    this.#armed = false;
    if (this.#storage.length + this.#frontEnd.length > 0) {
      this.#armed = true;
      this.#schedule(this.#run);
    }
  }

  /** Runs a list that nobody adds to any more, and keeps its array for the next time. */
  #drain(callbacks: (() => void)[]): void {
    for (const callback of callbacks) callback();
    callbacks.length = 0;
    this.#spare = callbacks;
  }
}

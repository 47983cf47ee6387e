/**
 * Changes to the array, one after the other: two requests never interleave their steps.
 *
 * Bounded: beyond WAITING_MAX a change is refused, so a stuck director does not pile up work.
 */
const WAITING_MAX = 32;

export class TooManyChanges extends Error {
  constructor() {
    super(`${WAITING_MAX} changes are waiting for earlier ones; try again`);
    this.name = "TooManyChanges";
  }
}

export class ChangeQueue {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** @throws TooManyChanges, or whatever `change` throws */
  run<T>(change: () => Promise<T>): Promise<T> {
    if (this.waiting >= WAITING_MAX) return Promise.reject(new TooManyChanges());
    this.waiting++;
    const result = this.last.then(change);
    this.last = result
      .catch(() => {}) // the caller hears of it; the next change starts all the same
      .then(() => {
        this.waiting--;
      });
    return result;
  }
}

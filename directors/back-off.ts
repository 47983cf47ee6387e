/**
 * When to try again what may not pay: after a vain try 1, 2, 4 … SKIPS_MAX opportunities pass; after one that paid, none.
 *
 * Runs on: a director's thread.
 */
const SKIPS_MAX = 256;

export class BackOff {
  /** Opportunities to let pass after the last vain try, and how many of them have passed. */
  #skips = 0;
  #skipped = 0;

  /** There is an opportunity: whether to use it. If so, `ended` says how it went before the next one comes. */
  admits(): boolean {
    if (this.#skipped === this.#skips) return true;
    this.#skipped += 1;
    return false;
  }

  ended(paid: boolean): void {
    this.#skipped = 0;
    this.#skips = paid ? 0 : Math.min(SKIPS_MAX, Math.max(1, this.#skips * 2));
  }
}

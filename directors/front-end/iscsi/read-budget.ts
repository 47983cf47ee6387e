/**
 * How much read data may be pinned or on its way to sockets: a share for each session, a budget for the director.
 *
 * Runs on: the director's thread; one for each director.
 * Invariants:
 *  1. chargedBytes is the sum of the charges of reads that were submitted and are not fully sent.
 *  2. A session with nothing charged gets one read even where the budget is used up, as long as the total stays under twice
 *     the budget: one that does not read its socket can't starve the others.
 *  3. Who was turned away is called once, in order, when there may be room.
 */
export interface Chargeable {
  chargedBytes: number;
  budgetAvailable(): void;
}

export class ReadBudget {
  readonly budgetBytes: number;
  readonly sessionShareBytes: number;
  chargedBytes = 0;
  readonly #waiting = new Set<Chargeable>();

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
    this.sessionShareBytes = Math.max(1 << 20, Math.floor(budgetBytes / 8));
  }

  tryCharge(who: Chargeable, bytes: number): boolean {
    const first = who.chargedBytes === 0 && this.chargedBytes < 2 * this.budgetBytes;
    const fits = who.chargedBytes + bytes <= this.sessionShareBytes && this.chargedBytes + bytes <= this.budgetBytes;
    if (!first && !fits) {
      this.#waiting.add(who);
      return false;
    }
    this.add(who, bytes);
    return true;
  }

  /** Corrects a charge once the true size is known; negative gives back. */
  add(who: Chargeable, bytes: number): void {
    who.chargedBytes += bytes;
    this.chargedBytes += bytes;
    if (bytes < 0 && this.#waiting.size > 0) this.#wake();
  }

  forget(who: Chargeable): void {
    this.#waiting.delete(who);
  }

  #wake(): void {
    // Those that still find no room put themselves back: one round over who waits now.
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const who of waiting) who.budgetAvailable();
  }
}

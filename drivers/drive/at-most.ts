/**
 * Lets at most so many pieces of work run at a time; the others wait their turn, in order.
 *
 * Runs on: the drive thread. Invariant: a piece that ends, well or not, lets the next one in.
 */
export class AtMost {
  readonly #count: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#count) this.#running += 1;
    else await new Promise<void>((turn) => this.#waiting.push(turn));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

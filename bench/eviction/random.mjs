/** Seeded random numbers (mulberry32) and what the traces draw from them. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1 */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** 0 ≤ n < count */
  below(count) {
    return Math.floor(this.next() * count);
  }

  chance(share) {
    return this.next() < share;
  }

  /** Draws 0 … count − 1, the n-th with a weight of 1 / (n + 1)^skew. */
  zipf(count, skew) {
    const cumulative = new Float64Array(count);
    let sum = 0;
    for (let n = 0; n < count; n++) {
      sum += 1 / (n + 1) ** skew;
      cumulative[n] = sum;
    }
    return () => {
      const wanted = this.next() * sum;
      let low = 0;
      let high = count - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (cumulative[middle] < wanted) low = middle + 1;
        else high = middle;
      }
      return low;
    };
  }
}

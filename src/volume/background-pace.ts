/**
 * How fast work goes on that hosts did not ask for: rebuild, copy-back, scrub. As fast as it can while hosts are quiet, and at
 * a share of that rate, which people set, while they are not.
 *
 *   turn ─▶ a step: some stripes read, made, written or checked; LANES of them at a time ─▶ took
 *
 * With all lanes at work a step ends every (its duration ÷ LANES): that is what a step costs. A share of 30 % lets one begin
 * every (its cost ÷ 0.3). The cost is what it was while hosts were quiet, so that the share is one of a rate that people
 * can know, and not of what hosts have left of it. When steps take so much longer now that they cost more even if they were
 * all under way at once, that counts: hosts then need what they take, and the share becomes one of the time.
 *
 * Runs on: the owning director's thread. Invariant: hosts come in between any two steps.
 */
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { breathe, pause } from "./runtime.ts";

/** Steps under way: while one waits for a drive or for the thread pool, the next is read. */
export const LANES = 2;
/** Hosts that asked for nothing for so long are quiet. */
const QUIET_MILLISECONDS = 1000;
/** The longest rest before a step. */
const REST_MILLISECONDS_MAX = 1000;
/** Timers are late, and steps have to be: so many that were due may be made up for. */
const CATCH_UP_STEPS = 4;
/** Steps that the costs are averages of, about. */
const AVERAGE_STEPS = 64;

export class BackgroundPace {
  readonly #parts: PoolParts;
  /** Of the rate that the work has while hosts are quiet, 1 to 100. */
  sharePercent: number;
  readonly #quietCost = new Average();
  readonly #lateCost = new Average();
  #dueAt = Number.NEGATIVE_INFINITY;
  #asked = -1;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: PoolParts, sharePercent: number) {
    this.#parts = parts;
    this.sharePercent = sharePercent;
  }

  /** Resolves when the next step may begin, to when that is: for `took`. */
  async turn(): Promise<number> {
    const { runtime } = this.#parts;
    await breathe(runtime);
    if (this.#hostsAreActive()) {
      const now = runtime.nowMilliseconds();
      const spacing = (Math.max(this.#quietCost.value, this.#lateCost.value) * 100) / this.sharePercent;
      const due = Math.max(this.#dueAt, now - CATCH_UP_STEPS * spacing);
      this.#dueAt = due + spacing;
      const rest = Math.min(REST_MILLISECONDS_MAX, due - now);
      if (rest >= 1) await pause(runtime, rest);
    }
    return runtime.nowMilliseconds();
  }

  /** The step that began then is done. */
  took(began: number): void {
    const now = this.#parts.runtime.nowMilliseconds();
    const cost = (now - began) / LANES;
    this.#lateCost.add(cost);
    if (!this.#hostsAreActive() && began - this.#askedAt >= QUIET_MILLISECONDS) this.#quietCost.add(cost);
  }

  #hostsAreActive(): boolean {
    const { counters, runtime } = this.#parts;
    const now = runtime.nowMilliseconds();
    const asked =
      counters[POOL_COUNT.readBlocksHit]! +
      counters[POOL_COUNT.readBlocksMissed]! +
      counters[POOL_COUNT.readBlocksUnmapped]! +
      counters[POOL_COUNT.writtenBlocks]!;
    if (asked !== this.#asked) {
      if (this.#asked >= 0) this.#askedAt = now;
      this.#asked = asked;
    }
    return now - this.#askedAt < QUIET_MILLISECONDS;
  }
}

/** Of the first values all of them, then of about the last AVERAGE_STEPS. 0 before there is one. */
class Average {
  #count = 0;
  value = 0;

  add(value: number): void {
    this.#count = Math.min(AVERAGE_STEPS, this.#count + 1);
    this.value += (value - this.value) / this.#count;
  }
}

/**
 * How fast work goes on that hosts did not ask for: rebuild, copy-back, scrub. All of the time while hosts are quiet, and a
 * share of it, which people set, while they are not.
 *
 * Runs on: the owning director's thread. Invariant: hosts come in between any two steps.
 */
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { breathe, pause } from "./runtime.ts";

/** Hosts that asked for nothing for so long are quiet. */
const QUIET_MILLISECONDS = 1000;
/** The longest rest between two steps. */
const REST_MILLISECONDS_MAX = 1000;

export class BackgroundPace {
  readonly #parts: PoolParts;
  /** Of the time, 1 to 100. */
  sharePercent: number;
  #asked = -1;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: PoolParts, sharePercent: number) {
    this.#parts = parts;
    this.sharePercent = sharePercent;
  }

  /** After a step that took so long. */
  async rest(stepMilliseconds: number): Promise<void> {
    const { runtime } = this.#parts;
    await breathe(runtime);
    if (!this.#hostsAreActive()) return;
    const milliseconds = Math.min(REST_MILLISECONDS_MAX, stepMilliseconds * (100 / this.sharePercent - 1));
    if (milliseconds >= 1) await pause(runtime, milliseconds);
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

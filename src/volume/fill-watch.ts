/**
 * Tells people how full a pool is: before writes are refused, and when they are.
 *
 * Runs on: the owning director's thread, once a second and at refusals.
 */
import type { PoolParts } from "./pool-parts.ts";

/** Fill at which people are told, and below which they may be told again. */
const NEARLY_FULL = [
  { share: 0.85, severity: "warning" },
  { share: 0.95, severity: "critical" },
] as const;
const HYSTERESIS = 0.02;
/** That writes are refused is told once until the pool is emptier again, and never more often than this. */
const FULL_TOLD_MILLISECONDS = 60_000;

export class FillWatch {
  readonly #parts: PoolParts;
  /** Index into NEARLY_FULL of what was told last; −1: nothing. */
  #told = -1;
  /** Fill at the first write that was refused, while writes are taken to be refused. */
  #refusingFrom: number | undefined;
  #toldRefusingAt = Number.NEGATIVE_INFINITY;

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  look(): void {
    const { runtime, name } = this.#parts;
    const share = this.#share();
    if (this.#refusingFrom !== undefined && share < this.#refusingFrom - HYSTERESIS) this.#refusingFrom = undefined;
    let level = -1;
    for (let n = 0; n < NEARLY_FULL.length; n++) {
      const slack = n <= this.#told ? HYSTERESIS : 0;
      if (share >= NEARLY_FULL[n]!.share - slack) level = n;
    }
    if (level > this.#told) {
      runtime.raise({
        severity: NEARLY_FULL[level]!.severity,
        type: "pool.nearlyFull",
        subject: `pool ${name}`,
        message: `${Math.floor(share * 100)} % of the pool is used; unmap or delete volumes before writes are refused (7/27/07)`,
      });
    }
    this.#told = level;
  }

  /** A write was refused for want of space. */
  refused(): void {
    if (this.#refusingFrom !== undefined) return;
    const { runtime, name } = this.#parts;
    const now = runtime.nowMilliseconds();
    // Not taken note of: if it still refuses then, people are told.
    if (now - this.#toldRefusingAt < FULL_TOLD_MILLISECONDS) return;
    this.#toldRefusingAt = now;
    this.#refusingFrom = this.#share();
    runtime.raise({
      severity: "critical",
      type: "pool.full",
      subject: `pool ${name}`,
      message: `pool ${name} is full: writes to new blocks are refused (7/27/07). Unmap or delete what is not needed; nothing that was stored is lost`,
    });
  }

  #share(): number {
    const { space, cache } = this.#parts;
    return (space.liveBlocks + cache.dirtyCount) / space.usableBlocks;
  }
}

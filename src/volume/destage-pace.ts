/**
 * How fast destage goes: a rate that follows from how full cache and journal are, and from what the drives take.
 *
 *   share of the limit:  0 ........ START ................... URGENT .... 1
 *   rate:                nothing    capacity × x³, x from 0 to 1   no limit
 *
 * Below START nothing is destaged but what is old, so that rewrites of a block meet in memory and go to the drives once.
 * Above it the rate rises slowly first: a burst is over before destage costs anything, and a set of hot blocks that
 * fits stays in memory; and steeply then, so that what hosts write for long is met before the limit, and the room left
 * takes up a drive that stalls. The capacity is what the last batches took, so that a slow drive is not asked for more.
 *
 * Runs on: the owning director's thread. Knows no clock: times are given, in milliseconds.
 * Invariants:
 *  1. Above URGENT, and while somebody waits, there is no pause between batches.
 *  2. The rate never falls as the fill rises.
 */

/** Fill at which destage begins: share of the frames that may be dirty, or of the journal, whichever is fuller. */
export const START_SHARE = 0.7;
/** … and at which it goes as fast as the drives let it. */
export const URGENT_SHARE = 0.92;
/** Old blocks go at this share of the capacity while hosts write, and when they have not for a while. */
const OLD_BUSY_SHARE = 0.01;
const OLD_IDLE_SHARE = 0.5;
/** 32 MiB/s, until batches have been measured, and 4 MiB/s at least: a stall must not end in a pace that never recovers. */
const CAPACITY_FIRST = 8192;
const CAPACITY_MIN = 1024;
/** Weight of one batch in the measured capacity. */
const BATCH_WEIGHT = 0.1;

export interface DestageLook {
  /** Dirty frames, and journal, as shares of what they may be. */
  readonly dirtyShare: number;
  readonly journalShare: number;
  /** Something has been dirty for longer than it should. */
  readonly isOld: boolean;
  /** Hosts have written in the last seconds. */
  readonly isBusy: boolean;
  /** Writes, a drain or a repair wait for destage. */
  readonly isAwaited: boolean;
}

export class DestagePace {
  #capacity = CAPACITY_FIRST;
  #beganAt = 0;
  #beganBlocks = 0;
  #lastEnd = 0;

  /** Blocks per second that the drives took of late. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Blocks per second; 0: nothing is to be done, Infinity: as fast as it goes. */
  rate(look: DestageLook): number {
    if (look.isAwaited) return Number.POSITIVE_INFINITY;
    const share = Math.max(look.dirtyShare, look.journalShare);
    if (share >= URGENT_SHARE) return Number.POSITIVE_INFINITY;
    const rise = Math.max(0, (share - START_SHARE) / (URGENT_SHARE - START_SHARE));
    const old = look.isOld ? (look.isBusy ? OLD_BUSY_SHARE : OLD_IDLE_SHARE) : 0;
    return this.#capacity * Math.max(rise ** 3, old);
  }

  /** Milliseconds until the next batch may begin at this rate; 0 or less: now. What was not used is not saved up. */
  pause(now: number, rate: number): number {
    if (rate === Number.POSITIVE_INFINITY) return 0;
    return this.#beganAt + (this.#beganBlocks / rate) * 1000 - now;
  }

  began(now: number, blocks: number): void {
    this.#beganAt = now;
    this.#beganBlocks = blocks;
  }

  /** A batch is on the drives. */
  ended(startedAt: number, now: number, blocks: number): void {
    // Batches overlap: a batch is charged with the time since the one before it ended.
    const milliseconds = Math.max(1, now - Math.max(startedAt, this.#lastEnd));
    this.#lastEnd = now;
    const measured = (blocks / milliseconds) * 1000;
    this.#capacity = Math.max(CAPACITY_MIN, this.#capacity + (measured - this.#capacity) * BATCH_WEIGHT);
  }
}

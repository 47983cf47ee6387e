/**
 * Whether a read of a drive is done on the spot or handed to libuv's threads.
 *
 * What is in the kernel's page cache comes in 15 to 20 µs, and on the spot costs half of what it costs through another
 * thread (docs/performance/misses.md). What has to come from a disk takes a hundred times as long, and a thread that waits
 * for it has one read under way where it might have sixteen. So the time that reads take on the spot decides: after a few
 * slow ones the next go aside, then one is tried again. A single slow one says nothing: threads are preempted.
 *
 * Runs on: the drive thread; one for each drive.
 */
const SLOW_MICROSECONDS = 250;
/** Slow reads, less one for every FAST_READS fast ones, that make reads go aside. */
const SLOW_READS = 3;
const FAST_READS = 32;
/** Reads that go aside before one is tried on the spot. */
const ASIDE_READS = 64;

export class ReadPace {
  #slow = 0;
  #fast = 0;
  #aside = 0;

  /** Asked once for each read. */
  onTheSpot(): boolean {
    if (this.#aside === 0) return true;
    this.#aside -= 1;
    return false;
  }

  /** A read on the spot took so long. */
  took(microseconds: number): void {
    if (microseconds > SLOW_MICROSECONDS) {
      this.#fast = 0;
      this.#slow = Math.min(SLOW_READS, this.#slow + 1);
      if (this.#slow === SLOW_READS) this.#aside = ASIDE_READS;
      return;
    }
    this.#fast += 1;
    if (this.#fast < FAST_READS) return;
    this.#fast = 0;
    if (this.#slow > 0) this.#slow -= 1;
  }
}

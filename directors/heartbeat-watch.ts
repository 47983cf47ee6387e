/**
 * Looks at the heartbeats of threads and says which one is stuck.
 *
 * Runs on: main. A process that was held up as a whole (suspended, or its machine was) is no stuck thread: when main
 * itself was late, everyone gets a new term.
 */
export const HEARTBEAT_AGE_MAX_MILLISECONDS = 30_000;
export const HEARTBEAT_CHECK_MILLISECONDS = 1000;
const MAIN_LATE_MILLISECONDS = 5000;

export interface WatchedHeart {
  readonly name: string;
  /** How long ago it beat; infinity when it never did. */
  readonly ageMilliseconds: () => number;
}

export class HeartbeatWatch {
  readonly #hearts: readonly WatchedHeart[];
  #lastCheck: number;
  #graceUntil: number;

  constructor(hearts: readonly WatchedHeart[], nowMilliseconds: number) {
    this.#hearts = hearts;
    this.#lastCheck = nowMilliseconds;
    this.#graceUntil = nowMilliseconds + HEARTBEAT_AGE_MAX_MILLISECONDS;
  }

  /** The name of a thread that is stuck, if any is. Called about every HEARTBEAT_CHECK_MILLISECONDS. */
  check(nowMilliseconds: number): string | undefined {
    if (nowMilliseconds - this.#lastCheck > MAIN_LATE_MILLISECONDS)
      this.#graceUntil = nowMilliseconds + HEARTBEAT_AGE_MAX_MILLISECONDS;
    this.#lastCheck = nowMilliseconds;
    if (nowMilliseconds < this.#graceUntil) return undefined;
    return this.#hearts.find((heart) => heart.ageMilliseconds() > HEARTBEAT_AGE_MAX_MILLISECONDS)?.name;
  }
}

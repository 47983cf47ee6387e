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

export interface HeartbeatBounds {
  readonly ageMaxMilliseconds: number;
  /** Between two checks: beyond it main itself was held up. */
  readonly mainLateMilliseconds: number;
}

const DEFAULT_BOUNDS: HeartbeatBounds = {
  ageMaxMilliseconds: HEARTBEAT_AGE_MAX_MILLISECONDS,
  mainLateMilliseconds: MAIN_LATE_MILLISECONDS,
};

export class HeartbeatWatch {
  readonly #hearts: readonly WatchedHeart[];
  readonly #bounds: HeartbeatBounds;
  #lastCheck: number;
  #graceUntil: number;

  constructor(hearts: readonly WatchedHeart[], nowMilliseconds: number, bounds: HeartbeatBounds = DEFAULT_BOUNDS) {
    this.#hearts = hearts;
    this.#bounds = bounds;
    this.#lastCheck = nowMilliseconds;
    this.#graceUntil = nowMilliseconds + bounds.ageMaxMilliseconds;
  }

  /** The name of a thread that is stuck, if any is. Called at intervals well below the bounds. */
  check(nowMilliseconds: number): string | undefined {
    const { ageMaxMilliseconds, mainLateMilliseconds } = this.#bounds;
    if (nowMilliseconds - this.#lastCheck > mainLateMilliseconds) this.#graceUntil = nowMilliseconds + ageMaxMilliseconds;
    this.#lastCheck = nowMilliseconds;
    if (nowMilliseconds < this.#graceUntil) return undefined;
    return this.#hearts.find((heart) => heart.ageMilliseconds() > ageMaxMilliseconds)?.name;
  }
}

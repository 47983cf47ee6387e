/**
 * Bounds the events that peers can cause: at most EVENTS_MAX of a type in a window; what was left out is counted in the next.
 *
 * Runs on: the director's thread. Types are the front end's own few, so what is kept is bounded.
 */
const EVENTS_MAX = 10;
const WINDOW_SECONDS = 10;

interface Window {
  since: number;
  told: number;
  untold: number;
}

export class EventThrottle {
  readonly #windows = new Map<string, Window>();

  /** @returns how many of this type were left out before this one, or undefined when it is to be left out too */
  admit(type: string, nowMicroseconds: number): number | undefined {
    let window = this.#windows.get(type);
    if (window === undefined) {
      window = { since: nowMicroseconds, told: 0, untold: 0 };
      this.#windows.set(type, window);
    }
    if (nowMicroseconds - window.since >= WINDOW_SECONDS * 1e6) {
      window.since = nowMicroseconds;
      window.told = 0;
    }
    if (window.told >= EVENTS_MAX) {
      window.untold += 1;
      return undefined;
    }
    window.told += 1;
    const { untold } = window;
    window.untold = 0;
    return untold;
  }
}

/**
 * Posts a director's events to the control plane, and no more of them than it can take: peers cause some of them.
 *
 * Runs on: a director's thread. At most EVENTS_BURST at once and EVENTS_PER_SECOND for long; critical ones always go.
 * What was left out is counted, and told of with the next one that goes.
 */
import type { ArrayEvent } from "../src/control/contract.ts";

export const EVENTS_BURST = 200;
export const EVENTS_PER_SECOND = 50;

export class EventPost {
  readonly #post: (event: ArrayEvent) => void;
  readonly #nowMilliseconds: () => number;
  #allowance = EVENTS_BURST;
  #refilledAt: number;
  #leftOut = 0;

  constructor(post: (event: ArrayEvent) => void, nowMilliseconds: () => number) {
    this.#post = post;
    this.#nowMilliseconds = nowMilliseconds;
    this.#refilledAt = nowMilliseconds();
  }

  readonly send = (event: ArrayEvent): void => {
    this.#refill();
    if (this.#allowance < 1 && event.severity !== "critical") {
      this.#leftOut += 1;
      return;
    }
    this.#allowance = Math.max(0, this.#allowance - 1);
    if (this.#leftOut > 0) {
      const message = `${this.#leftOut} events were left out: more came than ${EVENTS_PER_SECOND} a second`;
      this.#leftOut = 0;
      this.#post({ time: event.time, severity: "warning", type: "events.leftOut", subject: event.subject, message });
    }
    this.#post(event);
  };

  #refill(): void {
    const now = this.#nowMilliseconds();
    this.#allowance = Math.min(EVENTS_BURST, this.#allowance + ((now - this.#refilledAt) / 1000) * EVENTS_PER_SECOND);
    this.#refilledAt = now;
  }
}

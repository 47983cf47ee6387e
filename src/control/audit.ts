/**
 * The audit trail: an event for every change that somebody commanded, with who and from where. So it is in the event list,
 * the stream, the metric and the log, as any event is.
 *
 * Runs on: the control thread.
 * Invariant: no secret is put into an event; callers name users, never what they prove.
 */
import type { Severity } from "./contract.ts";
import type { EventLog } from "./event-log.ts";
import { eventNow } from "./start-up.ts";

export class Audit {
  readonly #events: EventLog;
  readonly #address: string;

  constructor(events: EventLog, address: string) {
    this.#events = events;
    this.#address = address;
  }

  /** Only the admin's token changes anything, so the address tells people apart as far as the array can. */
  record(severity: Severity, type: string, subject: string, what: string): void {
    this.#events.add(eventNow(severity, type, subject, `${what} (by the admin's token, from ${this.#address})`));
  }
}

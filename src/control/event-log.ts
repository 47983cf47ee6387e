/**
 * The last events of the array: for the list, the stream and the counters of events.
 *
 * Runs on: the control thread. In memory only: the log on standard error is what lasts.
 * Invariants:
 *  1. At most EVENTS_MAX events are kept; sequence numbers rise by one and are never used twice in a process.
 *  2. At most TYPES_MAX different types are counted by name; the rest count as "other".
 */
import type { ArrayEvent, Severity } from "./contract.ts";

const EVENTS_MAX = 1024;
const TYPES_MAX = 128;
const TEXT_MAX = 1024;

export interface NumberedEvent extends ArrayEvent {
  readonly sequence: number;
}

export interface EventCount {
  readonly type: string;
  readonly severity: Severity;
  count: number;
}

export class EventLog {
  private readonly events: NumberedEvent[] = [];
  private readonly listeners = new Set<(event: NumberedEvent) => void>();
  private readonly countByKey = new Map<string, EventCount>();
  private nextSequence = 1;

  add(event: ArrayEvent): void {
    const numbered: NumberedEvent = {
      sequence: this.nextSequence++,
      time: cut(event.time),
      severity: event.severity,
      type: cut(event.type),
      subject: cut(event.subject),
      message: cut(event.message),
    };
    this.events.push(numbered);
    if (this.events.length > EVENTS_MAX) this.events.shift();
    this.countOne(numbered);
    for (const listener of this.listeners) listener(numbered);
  }

  /** Newest last: up to `limit` of those after `after` that are at least as severe. */
  list(options: { readonly after?: number; readonly limit?: number; readonly severity?: Severity }): NumberedEvent[] {
    const { after = 0, limit = EVENTS_MAX, severity = "info" } = options;
    // A number that is not given yet is another process's, from before a restart: its reader has seen none of these.
    const from = after < this.nextSequence ? after : 0;
    const wanted = this.events.filter((event) => event.sequence > from && RANK[event.severity] >= RANK[severity]);
    return wanted.slice(-limit);
  }

  /** Calls `listener` for each event from now on; the result ends it. */
  subscribe(listener: (event: NumberedEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  counts(): readonly Readonly<EventCount>[] {
    return [...this.countByKey.values()];
  }

  private countOne({ type: named, severity }: NumberedEvent): void {
    const known = this.countByKey.has(`${severity} ${named}`) || this.countByKey.size < TYPES_MAX;
    const type = known ? named : "other";
    const key = `${severity} ${type}`;
    const entry = this.countByKey.get(key);
    if (entry === undefined) this.countByKey.set(key, { type, severity, count: 1 });
    else entry.count++;
  }
}

const RANK: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

/**
 * The simulation's clock and scheduler: everything that happens is an event in one queue, ordered by virtual time and,
 * where that is equal, by a number drawn when the event was made. One thread, no real time, no other randomness.
 *
 *   event ─▶ all promise callbacks that follow from it ─▶ ends of turns ─▶ their promise callbacks ─▶ the next event
 *
 * Invariants:
 *  1. Promise callbacks run only within the event that they follow from: between two events none is left.
 *  2. What happens is a function of the seed alone: `traceHash` says what happened, and is the same for the same seed.
 */
import { Random } from "../support/random.ts";

/** Whoever can stop: a director, from one start to its end. What is dead neither acts nor hears of anything. */
export interface Life {
  readonly name: string;
  dead: boolean;
}

/** Thrown in a director that stops in the middle of something; nothing of it reaches anybody any more. */
export class Stopped extends Error {}

export interface SimEvent {
  readonly time: number;
  readonly tie: number;
  readonly life: Life | undefined;
  work: (() => void) | undefined;
}

/** What went wrong; the first is the run's verdict. */
export class Violation extends Error {}

const TRACE_LINES = 4096;
const TURN_END_ROUNDS_MAX = 100;

type Tick = { _tickCallback?: () => void };

/** Runs every promise callback there is. Only where none is running: not in an async function. */
function drain(): void {
  (process as Tick)._tickCallback!();
}

export class Engine {
  readonly random: Random;
  /** Virtual milliseconds. */
  now = 0;
  /** Events so far. */
  steps = 0;
  traceHash = 0x811c9dc5;
  violation: Violation | undefined;
  readonly #heap: SimEvent[] = [];
  #turnEnds: { readonly life: Life; readonly work: () => void }[] = [];
  readonly #trace: string[] = [];
  readonly #rejections: unknown[] = [];

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Runs `work` so many milliseconds from now, unless `life` has ended by then. */
  after(milliseconds: number, life: Life | undefined, work: () => void): SimEvent {
    return this.at(this.now + milliseconds, life, work);
  }

  at(time: number, life: Life | undefined, work: () => void): SimEvent {
    const event = { time, tie: this.random.next(), life, work };
    this.#push(event);
    return event;
  }

  cancel(event: SimEvent): void {
    event.work = undefined;
  }

  atTurnEnd(life: Life, work: () => void): void {
    this.#turnEnds.push({ life, work });
  }

  /** A random latency about `mean`, with a tail. */
  latency(mean: number): number {
    const { random } = this;
    const tail = random.chance(0.02) ? 20 : 1;
    return mean * tail * (0.1 - Math.log(1 - random.next()));
  }

  /** Does the next event; false: there is none. */
  step(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) return false;
      const { work, life } = event;
      if (work === undefined || life?.dead === true) continue;
      this.now = event.time;
      this.steps += 1;
      this.#run(work);
      for (let round = 0; this.#turnEnds.length > 0; round++) {
        if (round > TURN_END_ROUNDS_MAX) {
          this.fail("a turn does not end");
          this.#turnEnds.length = 0;
        }
        const ends = this.#turnEnds;
        this.#turnEnds = [];
        for (const { life, work } of ends) if (!life.dead) this.#call(work);
        this.#settle();
      }
      return true;
    }
  }

  /** Runs something outside of an event as if it were one. */
  #run(work: () => void): void {
    this.#call(work);
    this.#settle();
  }

  #call(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#thrown(error);
    }
  }

  #settle(): void {
    drain();
    for (const error of this.#rejections.splice(0)) this.#thrown(error);
  }

  /** From the process: a promise was rejected and nobody cares. In the array that ends the thread. */
  rejected(error: unknown): void {
    this.#rejections.push(error);
  }

  #thrown(error: unknown): void {
    if (error instanceof Stopped) return;
    if (error instanceof Violation) this.violation ??= error;
    else this.fail(`thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  fail(what: string): void {
    this.trace("VIOLATION", what);
    this.violation ??= new Violation(what);
  }

  // — trace —

  /** One line of what happened; also what the hash is made of. */
  trace(what: string, a: string | number = "", b: string | number = "", c: string | number = ""): void {
    const line = `${this.now.toFixed(3)} ${what} ${a} ${b} ${c}`;
    let hash = this.traceHash;
    for (let n = 0; n < line.length; n++) hash = Math.imul(hash ^ line.charCodeAt(n), 0x01000193);
    this.traceHash = hash >>> 0;
    if (this.#trace.length >= 2 * TRACE_LINES) this.#trace.splice(0, TRACE_LINES);
    this.#trace.push(line);
  }

  lastLines(count: number): string[] {
    return this.#trace.slice(-count);
  }

  // — the queue: a binary heap —

  #before(a: SimEvent, b: SimEvent): boolean {
    return a.time < b.time || (a.time === b.time && a.tie < b.tie);
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): SimEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!this.#before(heap[child]!, last!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last!;
    return first;
  }
}

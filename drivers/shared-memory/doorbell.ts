/// <reference lib="es2024.sharedmemory" />
/**
 * The running/sleeping flag of US 8,417,862: a producer signals only a consumer that sleeps.
 *
 * Each thread has one doorbell, whatever number of rings it consumes. Word `doorbell` of its line says running, sleeping or napping.
 *
 *   consumer                                   producer
 *   1. drain until nothing is left             1. publish (head of a ring, or a word)
 *   2. flag := sleeping                        2. flag not running? then flag := running (compare and swap) and notify
 *   3. look again; found: flag := running, 1
 *   4. wait while flag = sleeping
 *
 * Both sides write first and read then, and all of these accesses are sequentially consistent: either the consumer's
 * second look finds what was published, or the producer finds it sleeping. So no wake-up is lost.
 *
 * A thread with an event loop sleeps in it, and what wakes it goes the long way round: eventfd, task, promise. Where it
 * knows that it will be rung in a moment it naps instead: flag := napping, look again, wait in the kernel on a word of its
 * own (word `nap`: the wait of its sleep may be outstanding on the flag, and is to stay asleep), for a bounded time. The
 * producer's compare and swap is the same; it notifies the word that the flag named.
 *
 * Invariants:
 *  1. After `ring` the consumer drains at least once more, if it is started at all.
 *  2. Of all producers that find it sleeping, exactly one signals.
 *  3. A thread that serves sockets never blocks for longer than a nap, a fraction of a millisecond: EventLoopDoorbell waits
 *     with Atomics.waitAsync, BlockingDoorbell is for threads that serve nothing else.
 *  4. After a nap the consumer drains, rung or not, before it sleeps or naps again.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { THREAD_DOUBLE, THREAD_WORD, type ThreadNumber, threadWords } from "./layout.ts";

const RUNNING = 0;
const SLEEPING = 1;
const NAPPING = 2;

/** Of word `nap`. */
const AWAKE = 0;
const ASLEEP = 1;

/** A thread that serves sockets blocks no longer. */
const NAP_MILLISECONDS_MAX = 1;

/** Rounds of draining before the event loop gets its turn (sockets, timers). */
const DRAIN_ROUNDS_MAX = 16;
/** Node's longest timer, 24 days. */
const KEEP_ALIVE_MILLISECONDS = 2 ** 31 - 1;

/** A producer's hand on another thread's doorbell. */
export class Doorbell {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly flagWord: number;
  private readonly napWord: number;
  private readonly sentDouble: number;
  private readonly savedDouble: number;

  /** Signals sent and saved are counted in the line of `producer`, the thread that rings. */
  constructor(global: GlobalMemory, threads: { readonly consumer: ThreadNumber; readonly producer: ThreadNumber }) {
    this.i32 = global.i32;
    this.f64 = global.f64;
    const words = threadWords(global.layout, threads.consumer);
    this.flagWord = words + THREAD_WORD.doorbell;
    this.napWord = words + THREAD_WORD.nap;
    const doubles = threadDoubles(global, threads.producer);
    this.sentDouble = doubles + THREAD_DOUBLE.signalsSent;
    this.savedDouble = doubles + THREAD_DOUBLE.signalsSaved;
  }

  /** After publishing. */
  ring(): void {
    const flag = Atomics.load(this.i32, this.flagWord);
    // Another flag than we saw: the consumer has set it since, and looks again after that.
    if (flag === RUNNING || Atomics.compareExchange(this.i32, this.flagWord, flag, RUNNING) !== flag) {
      this.f64[this.savedDouble]! += 1;
      return;
    }
    if (flag === NAPPING) {
      // Order: the word first, so that a nap that is only about to begin does not.
      Atomics.store(this.i32, this.napWord, AWAKE);
      Atomics.notify(this.i32, this.napWord);
    } else {
      Atomics.notify(this.i32, this.flagWord);
    }
    this.f64[this.sentDouble]! += 1;
  }
}

/** The consumer's side on a thread with an event loop. */
export class EventLoopDoorbell {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly flagWord: number;
  private readonly napWord: number;
  private readonly wakeupsDouble: number;
  private drain: (() => boolean) | undefined;
  private draining = false;
  /** An Atomics.waitAsync is outstanding. */
  private waiting = false;
  /** A setImmediate is outstanding. */
  private continuing = false;
  private keepAlive: NodeJS.Timeout | undefined;

  constructor(global: GlobalMemory, thread: ThreadNumber) {
    this.i32 = global.i32;
    this.f64 = global.f64;
    const words = threadWords(global.layout, thread);
    this.flagWord = words + THREAD_WORD.doorbell;
    this.napWord = words + THREAD_WORD.nap;
    this.wakeupsDouble = threadDoubles(global, thread) + THREAD_DOUBLE.wakeups;
  }

  /**
   * Starts: from now on `drain` is called whenever there may be work, until `stop`. It takes what lies in the thread's
   * rings, a bounded amount in one call, and says whether it found anything. What it throws ends the thread.
   * The thread stays alive meanwhile: Atomics.waitAsync holds no handle in Node's event loop, so a timer does.
   */
  consume(drain: () => boolean): void {
    if (this.drain !== undefined) throw new Error("doorbell: consumed already");
    this.drain = drain;
    this.keepAlive = setInterval(() => {}, KEEP_ALIVE_MILLISECONDS);
    // Not from here: the caller may not be ready yet.
    this.continueSoon();
  }

  /** Drains now, without a wake-up: for the end of a turn of the event loop. Does nothing from inside `drain`. */
  poll(): void {
    if (this.draining) return;
    this.run();
  }

  /** Drains once, whether the thread sleeps or runs, and leaves the flag as it is: who rings meanwhile is heard as before. */
  take(): void {
    if (this.drain !== undefined && !this.draining) this.drainOnce();
  }

  /**
   * Waits here until somebody rings, `milliseconds` at most, and drains; says whether there was anything. Sockets and timers
   * wait too: for the end of a turn that knows that it will be rung in a moment. Does nothing from inside `drain`.
   */
  nap(milliseconds: number): boolean {
    if (this.drain === undefined || this.draining) return false;
    // Order: napping first, then look again, then wait, as for sleep.
    Atomics.store(this.i32, this.napWord, ASLEEP);
    Atomics.store(this.i32, this.flagWord, NAPPING);
    const found = this.drainOnce() || this.waitForRing(Math.min(milliseconds, NAP_MILLISECONDS_MAX));
    this.run();
    return found;
  }

  /** No `drain` after this, and the thread may exit. */
  stop(): void {
    this.drain = undefined;
    clearInterval(this.keepAlive);
    this.keepAlive = undefined;
    // Running, so that producers save their signals; and our own waiter goes.
    Atomics.store(this.i32, this.flagWord, RUNNING);
    if (this.waiting) Atomics.notify(this.i32, this.flagWord);
  }

  /** False: nobody rang in time. */
  private waitForRing(milliseconds: number): boolean {
    const ended = Atomics.wait(this.i32, this.napWord, ASLEEP, milliseconds);
    if (ended === "ok") this.f64[this.wakeupsDouble]! += 1;
    return ended !== "timed-out";
  }

  private run(): void {
    for (let round = 0; round < DRAIN_ROUNDS_MAX; round++) {
      if (this.drain === undefined) return;
      Atomics.store(this.i32, this.flagWord, RUNNING);
      if (this.drainOnce()) continue;
      if (this.drain === undefined) return;
      // Order: sleeping first, then look again, then wait.
      Atomics.store(this.i32, this.flagWord, SLEEPING);
      if (this.drainOnce()) continue;
      if (this.drain === undefined) return;
      if (this.wait()) return;
    }
    // Left as running: nobody signals, because the next turn drains anyway.
    Atomics.store(this.i32, this.flagWord, RUNNING);
    this.continueSoon();
  }

  private drainOnce(): boolean {
    this.draining = true;
    try {
      return this.drain!();
    } finally {
      this.draining = false;
    }
  }

  /** False: somebody rang since the flag was set. */
  private wait(): boolean {
    // A wait that is outstanding (poll came first) serves this sleep too: whoever rings notifies it, and if it was
    // notified before, its promise is about to run us, and then we look again.
    if (this.waiting) return true;
    const result = Atomics.waitAsync(this.i32, this.flagWord, SLEEPING);
    if (!result.async) return false;
    this.waiting = true;
    // A rejection can't come from V8; one that `drain` causes must end the thread: unhandled, as it stands.
    void result.value.then(this.onWake);
    return true;
  }

  private readonly onWake = (): void => {
    this.waiting = false;
    if (this.drain === undefined) return;
    this.f64[this.wakeupsDouble]! += 1;
    this.run();
  };

  private continueSoon(): void {
    if (this.continuing) return;
    this.continuing = true;
    setImmediate(this.onContinue);
  }

  private readonly onContinue = (): void => {
    this.continuing = false;
    this.run();
  };
}

/** The consumer's side on a thread that does nothing else, and may block. */
export class BlockingDoorbell {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly flagWord: number;
  private readonly wakeupsDouble: number;

  constructor(global: GlobalMemory, thread: ThreadNumber) {
    this.i32 = global.i32;
    this.f64 = global.f64;
    this.flagWord = threadWords(global.layout, thread) + THREAD_WORD.doorbell;
    this.wakeupsDouble = threadDoubles(global, thread) + THREAD_DOUBLE.wakeups;
  }

  /** Blocks until `hasWork` or the time is over; says which. One wait at most: a ring without work ends it too. */
  wait(hasWork: () => boolean, timeoutMilliseconds: number): boolean {
    if (hasWork()) return true;
    // Order: sleeping first, then look again, then wait.
    Atomics.store(this.i32, this.flagWord, SLEEPING);
    if (!hasWork() && Atomics.wait(this.i32, this.flagWord, SLEEPING, timeoutMilliseconds) === "ok") {
      this.f64[this.wakeupsDouble]! += 1;
    }
    Atomics.store(this.i32, this.flagWord, RUNNING);
    return hasWork();
  }
}

export interface SignalCounts {
  /** Signals that this thread sent, and saved, as a producer. */
  readonly sent: number;
  readonly saved: number;
  /** Times that it was woken, as a consumer. */
  readonly wakeups: number;
}

/** For metrics; any thread may ask. */
export function signalCounts(global: GlobalMemory, thread: ThreadNumber): SignalCounts {
  const doubles = threadDoubles(global, thread);
  return {
    sent: global.f64[doubles + THREAD_DOUBLE.signalsSent]!,
    saved: global.f64[doubles + THREAD_DOUBLE.signalsSaved]!,
    wakeups: global.f64[doubles + THREAD_DOUBLE.wakeups]!,
  };
}

function threadDoubles(global: GlobalMemory, thread: ThreadNumber): number {
  return threadWords(global.layout, thread) / 2;
}

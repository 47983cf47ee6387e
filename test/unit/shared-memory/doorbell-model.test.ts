/**
 * The doorbell's consumer, as it is, among producers that stop between any two of their steps; seeds repeat it.
 *
 * Atomics are replaced: before each of the consumer's accesses the producers go on by some steps, and its waits are the test's.
 * A producer's steps are written down here again, as a generator; the last test holds them beside the real `ring`.
 */
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { Doorbell, EventLoopDoorbell, signalCounts } from "../../../drivers/shared-memory/doorbell.ts";
import { THREAD_WORD, threadWords } from "../../../drivers/shared-memory/layout.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const PRODUCER = 0;
const CONSUMER = 1;
const RUNNING = 0;
const SLEEPING = 1;
const NAPPING = 2;
const AWAKE = 0;

const { global } = testGlobalMemory();
const words = global.i32;
const flagWord = threadWords(global.layout, CONSUMER) + THREAD_WORD.doorbell;
const napWord = threadWords(global.layout, CONSUMER) + THREAD_WORD.nap;

const { load, store, compareExchange, notify, wait, waitAsync } = Atomics;
const { setImmediate } = globalThis;

/** In place of V8's; plain functions, because spies keep each call. */
function watch(instead: object): void {
  Object.assign(Atomics, instead);
}

function unwatch(): void {
  Object.assign(Atomics, { load, store, compareExchange, notify, wait, waitAsync });
  globalThis.setImmediate = setImmediate;
}

afterEach(unwatch);

/** What `ring` does, a yield before each access to memory. */
function* ringSteps(access: Pick<typeof Atomics, "load" | "compareExchange" | "store" | "notify">): Generator<void> {
  yield;
  const flag = access.load(words, flagWord);
  if (flag === RUNNING) return;
  yield;
  if (access.compareExchange(words, flagWord, flag, RUNNING) !== flag) return;
  if (flag === NAPPING) {
    yield;
    access.store(words, napWord, AWAKE);
    yield;
    access.notify(words, napWord);
  } else {
    yield;
    access.notify(words, flagWord);
  }
}

/** Whole numbers below what is asked, the same for the same seed. */
function choices(seed: number): (count: number) => number {
  let state = seed >>> 0;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}

/** A consumer and producers; `choose(n)` is the seed's choice of 0 … n−1. */
function race(choose: (count: number) => number) {
  const seen = { published: 0, drained: 0, naps: 0, rung: 0, timedOut: 0, slept: 0, woken: 0 };
  let ready = 0;
  const producers: Generator<void>[] = [];
  let napping = false;
  let notified = false;
  /** The outstanding Atomics.waitAsync. */
  let wake: { readonly run: () => void; due: boolean } | undefined;
  const immediates: (() => void)[] = [];
  const real = { load, store, compareExchange };
  const access = {
    ...real,
    notify: (_: unknown, word: number) => {
      if (word === napWord && napping) notified = true;
      if (word === flagWord && wake !== undefined) wake.due = true;
      return 0;
    },
  } as Pick<typeof Atomics, "load" | "compareExchange" | "store" | "notify">;

  const stepOne = (): void => {
    const at = choose(producers.length);
    if (producers[at]!.next().done) producers.splice(at, 1);
  };
  const publish = (): void => {
    ready += 1;
    seen.published += 1;
    const producer = ringSteps(access);
    producer.next();
    producers.push(producer);
  };
  const producersGoOn = (): void => {
    for (let n = choose(4); n > 0; n -= 1) {
      if (producers.length < 4 && seen.published < 200 && choose(4) === 0) publish();
      else if (producers.length > 0) stepOne();
    }
  };
  const consumer = new EventLoopDoorbell(global, CONSUMER);
  globalThis.setImmediate = ((run: () => void) => immediates.push(run)) as never;
  const storeWatched = (array: Int32Array, word: number, value: number) => {
    producersGoOn();
    return real.store(array, word, value);
  };
  const napUntil = (array: Int32Array, word: number, value: number) => {
    expect(word).toBe(napWord);
    producersGoOn();
    if (real.load(array, word) !== value) return "not-equal";
    seen.naps += 1;
    napping = true;
    notified = false;
    // Nobody is on his way to ring, and something lies there: it was lost.
    while (!notified && producers.length > 0 && choose(12) > 0) stepOne();
    napping = false;
    if (notified) {
      seen.rung += 1;
      return "ok";
    }
    if (producers.length === 0) expect(ready).toBe(0);
    seen.timedOut += 1;
    return "timed-out";
  };
  const sleep = (array: Int32Array, word: number, value: number) => {
    expect([word, wake]).toEqual([flagWord, undefined]);
    producersGoOn();
    if (real.load(array, word) !== value) return { async: false, value: "not-equal" };
    seen.slept += 1;
    const promise = {
      // biome-ignore lint/suspicious/noThenProperty: the doorbell waits for it as for V8's promise
      then: (run: () => void) => {
        wake = { run, due: false };
      },
    };
    return { async: true, value: promise };
  };
  watch({ store: storeWatched, wait: napUntil, waitAsync: sleep });

  let draining = 0;
  consumer.consume(() => {
    expect(draining++).toBe(0);
    producersGoOn();
    const taken = Math.min(ready, 1 + choose(3));
    ready -= taken;
    seen.drained += taken;
    producersGoOn();
    draining -= 1;
    return taken > 0;
  });
  /** One turn of the consumer's event loop, which something has woken; false: it sleeps. */
  const turn = (): boolean => {
    if (wake?.due && choose(2) === 0) {
      const { run } = wake;
      wake = undefined;
      seen.woken += 1;
      run();
    } else if (immediates.length > 0) immediates.shift()!();
    else if (wake?.due) {
      const { run } = wake;
      wake = undefined;
      seen.woken += 1;
      run();
    } else return false;
    return true;
  };
  return {
    seen,
    consumer,
    turn,
    producersGoOn,
    left: () => ready,
    finish(): void {
      while (producers.length > 0) stepOne();
    },
    end(): void {
      consumer.stop();
      unwatch();
    },
  };
}

describe("doorbell among producers that stop anywhere", () => {
  test("naps, polls and sleeps as it may, it is told of all that was published", () => {
    const total = { naps: 0, rung: 0, timedOut: 0, slept: 0, woken: 0 };
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, actions) => {
        words[flagWord] = RUNNING;
        words[napWord] = AWAKE;
        const choose = choices(seed);
        const { wakeups } = signalCounts(global, CONSUMER);
        const it = race(choose);
        try {
          for (let n = 0; n < actions; n += 1) {
            const action = choose(6);
            if (action === 0) it.consumer.nap(0.1);
            else if (action === 1) it.consumer.poll();
            else if (action === 2) it.consumer.take();
            else if (action < 5) it.turn();
            it.producersGoOn();
          }
          it.finish();
          while (it.turn()) it.finish();
          expect(it.left()).toBe(0);
          expect(it.seen.drained).toBe(it.seen.published);
          expect(signalCounts(global, CONSUMER).wakeups - wakeups).toBe(it.seen.rung + it.seen.woken);
          for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += it.seen[key];
        } finally {
          it.end();
        }
      }),
      { numRuns: 500 },
    );
    // The races that it is about have happened.
    expect(Math.min(...Object.values(total))).toBeGreaterThan(20);
  });

  test.each([
    ["running", RUNNING, undefined],
    ["sleeping", SLEEPING, undefined],
    ["napping", NAPPING, undefined],
    ["sleeping, and changed at once", SLEEPING, NAPPING],
    ["napping, and changed at once", NAPPING, SLEEPING],
    ["napping, and rung by another", NAPPING, RUNNING],
  ])("a producer's steps are those of `ring`: %s", (_, flag, changed) => {
    const real = { load, store, compareExchange };
    const trace = (run: (access: Pick<typeof Atomics, "load" | "compareExchange" | "store" | "notify">) => void): unknown[] => {
      const steps: unknown[] = [];
      words[flagWord] = flag;
      words[napWord] = 1;
      run({
        load: (array: Int32Array, word: number) => {
          const value = real.load(array, word);
          steps.push(["load", word, value]);
          if (changed !== undefined) real.store(array, word, changed);
          return value;
        },
        store: (array: Int32Array, word: number, value: number) => {
          steps.push(["store", word, value]);
          return real.store(array, word, value);
        },
        compareExchange: (array: Int32Array, word: number, from: number, to: number) => {
          steps.push(["compareExchange", word, from, to]);
          return real.compareExchange(array, word, from, to);
        },
        notify: (__: Int32Array, word: number) => {
          steps.push(["notify", word]);
          return 0;
        },
      } as never);
      steps.push([words[flagWord], words[napWord]]);
      return steps;
    };
    const modelled = trace((access) => {
      for (const __ of ringSteps(access));
    });
    const done = trace((access) => {
      watch(access);
      new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER }).ring();
      unwatch();
    });
    expect(done).toEqual(modelled);
  });
});

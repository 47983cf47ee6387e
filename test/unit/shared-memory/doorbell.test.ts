import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { BlockingDoorbell, Doorbell, EventLoopDoorbell, signalCounts } from "../../../drivers/shared-memory/doorbell.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const PRODUCER = 0;
const CONSUMER = 1;

const started: EventLoopDoorbell[] = [];
afterEach(() => {
  for (const bell of started.splice(0)) bell.stop();
});

/** A consumer of a counter of pieces of work, started, and asleep after a few turns. */
async function sleepingConsumer(onDrain: () => void = () => {}) {
  const { global } = testGlobalMemory();
  const bell = new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER });
  const consumer = new EventLoopDoorbell(global, CONSUMER);
  started.push(consumer);
  const work = { todo: 0, done: 0, drains: 0 };
  const drain = () => {
    work.drains++;
    onDrain();
    if (work.todo === 0) return false;
    work.todo--;
    work.done++;
    return true;
  };
  consumer.consume(drain);
  await turns();
  return { global, bell, consumer, work, drain };
}

/** Enough turns of the event loop for a promise that is due, and for what it starts. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

describe("doorbell, event loop", () => {
  test("wakes a sleeping consumer by one signal, and counts it on both sides", async () => {
    const { global, bell, work } = await sleepingConsumer();
    work.todo = 3;
    bell.ring();
    await turns();
    expect(work.done).toBe(3);
    expect(signalCounts(global, PRODUCER)).toEqual({ sent: 1, saved: 0, wakeups: 0 });
    expect(signalCounts(global, CONSUMER)).toEqual({ sent: 0, saved: 0, wakeups: 1 });
  });

  test("saves the signals of all who ring before the consumer has slept again", async () => {
    const { global, bell, work } = await sleepingConsumer();
    const other = new Doorbell(global, { consumer: CONSUMER, producer: 2 });
    work.todo = 2;
    bell.ring();
    bell.ring();
    other.ring();
    await turns();
    expect(work.done).toBe(2);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 1, saved: 1 });
    expect(signalCounts(global, 2)).toMatchObject({ sent: 0, saved: 1 });
    expect(signalCounts(global, CONSUMER).wakeups).toBe(1);
  });

  test("wakes it again and again", async () => {
    const { global, bell, work } = await sleepingConsumer();
    for (let i = 1; i <= 50; i++) {
      work.todo = 1;
      bell.ring();
      await turns();
      expect(work.done).toBe(i);
    }
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 50, saved: 0 });
  });

  test("finds what is published after each of its looks, the last before it sleeps included", async () => {
    // A producer that comes at the worst moment: drain has looked and is about to say that there is nothing.
    for (let look = 1; look <= 6; look++) {
      const { global } = testGlobalMemory();
      const bell = new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER });
      const consumer = new EventLoopDoorbell(global, CONSUMER);
      started.push(consumer);
      let looks = 0;
      let published = false;
      let taken = false;
      consumer.consume(() => {
        const found = published && !taken;
        if (found) taken = true;
        if (++looks === look) {
          published = true;
          bell.ring();
        }
        return found;
      });
      // A ring for each look that needs a wake-up to happen.
      for (let i = 0; i < look; i++) {
        await turns();
        if (!published) bell.ring();
      }
      await turns();
      expect(published && taken, `look ${look}`).toBe(true);
    }
  });

  test("poll drains at once, and the wait that was outstanding still works", async () => {
    const { global, bell, consumer, work } = await sleepingConsumer();
    work.todo = 2;
    consumer.poll();
    expect(work.done).toBe(2);
    expect(signalCounts(global, CONSUMER).wakeups).toBe(0);
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(3);
    expect(signalCounts(global, CONSUMER).wakeups).toBe(1);
  });

  test("loses nothing when poll comes between the signal and the wake-up", async () => {
    const { bell, consumer, work } = await sleepingConsumer();
    for (let i = 0; i < 20; i++) {
      const before = work.done;
      work.todo = 1;
      bell.ring();
      consumer.poll();
      work.todo += 1;
      bell.ring();
      await turns();
      expect(work.done).toBe(before + 2);
    }
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.todo).toBe(0);
  });

  test("poll from inside drain does nothing", async () => {
    let depth = 0;
    let deepest = 0;
    const { bell, work } = await sleepingConsumer(() => {
      deepest = Math.max(deepest, ++depth);
      started.at(-1)?.poll();
      depth--;
    });
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(1);
    expect(deepest).toBe(1);
  });

  test("take drains once, and a consumer that sleeps goes on sleeping: who rings then is heard", async () => {
    const { global, bell, consumer, work } = await sleepingConsumer();
    work.todo = 2;
    consumer.take();
    expect(work.done).toBe(1);
    bell.ring();
    await turns();
    expect(work.done).toBe(2);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 1, saved: 0 });
  });

  test("loses nothing when take comes between the signal and the wake-up", async () => {
    const { bell, consumer, work } = await sleepingConsumer();
    for (let i = 0; i < 20; i++) {
      const before = work.done;
      work.todo = 1;
      bell.ring();
      consumer.take();
      work.todo += 1;
      bell.ring();
      await turns();
      expect(work.done).toBe(before + 2);
    }
  });

  test("take does nothing from inside drain, nor once stopped", async () => {
    const { bell, consumer, work } = await sleepingConsumer(() => started.at(-1)?.take());
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(1);
    consumer.stop();
    work.todo = 1;
    consumer.take();
    expect(work.done).toBe(1);
  });

  test("a nap that nobody ends drains, and leaves the consumer asleep: who rings then is heard", async () => {
    const { global, bell, consumer, work } = await sleepingConsumer();
    const { drains } = work;
    expect(consumer.nap(0.1)).toBe(false);
    expect(work.drains).toBeGreaterThan(drains + 1); // before the wait, and after it
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(1);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 1, saved: 0 });
    expect(signalCounts(global, CONSUMER).wakeups).toBe(1);
  });

  test("a nap is over at once when there is work, and takes it all", async () => {
    const { consumer, work } = await sleepingConsumer();
    work.todo = 3;
    expect(consumer.nap(1)).toBe(true);
    expect(work.done).toBe(3);
  });

  test("a nap does not begin when the bell was rung between its look and its wait", async () => {
    let onDrain = () => {};
    const { global, bell, consumer } = await sleepingConsumer(() => onDrain());
    onDrain = () => {
      onDrain = () => {};
      bell.ring(); // by now the flag says napping, and a producer signals
    };
    expect(consumer.nap(1)).toBe(true);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 1, saved: 0 });
    await turns();
    expect(signalCounts(global, CONSUMER).wakeups).toBe(0); // it had not slept
  });

  test("a nap is bounded, whatever is asked for", async () => {
    const { consumer } = await sleepingConsumer();
    // One that took it at its word would outlast the test's time.
    expect(consumer.nap(60_000)).toBe(false);
  }, 5_000);

  test("a nap does nothing from inside drain, nor once stopped", async () => {
    const naps: (boolean | undefined)[] = [];
    const { bell, consumer, work } = await sleepingConsumer(() => naps.push(started.at(-1)?.nap(60_000)));
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(1);
    expect(naps).not.toContain(true);
    consumer.stop();
    work.todo = 1;
    expect(consumer.nap(1)).toBe(false);
    expect(work.done).toBe(1);
  });

  test("loses nothing when a nap comes between the signal and the wake-up", async () => {
    const { bell, consumer, work } = await sleepingConsumer();
    for (let i = 0; i < 20; i++) {
      const before = work.done;
      work.todo = 1;
      bell.ring();
      consumer.nap(0.01);
      work.todo += 1;
      bell.ring();
      await turns();
      expect(work.done).toBe(before + 2);
    }
  });

  test("gives the event loop its turn while there is work without end", async () => {
    const { consumer, work, bell } = await sleepingConsumer();
    work.todo = Number.MAX_SAFE_INTEGER;
    bell.ring();
    await turns();
    const seen = work.done;
    expect(seen).toBeGreaterThan(0);
    expect(seen).toBeLessThan(1000);
    await turns();
    expect(work.done).toBeGreaterThan(seen);
    consumer.stop();
  });

  test("drains no more after stop, and can be started again", async () => {
    const { global, bell, consumer, work, drain } = await sleepingConsumer();
    consumer.stop();
    await turns();
    const { drains } = work;
    work.todo = 1;
    bell.ring();
    consumer.poll();
    await turns();
    expect(work.drains).toBe(drains);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 0, saved: 1 });
    consumer.consume(drain);
    await turns();
    expect(work.done).toBe(1);
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(2);
  });

  test("can be stopped and started in one turn, even from inside drain", async () => {
    let restart = () => {};
    const { consumer, bell, work, drain } = await sleepingConsumer(() => restart());
    restart = () => {
      restart = () => {};
      consumer.stop();
      consumer.consume(drain);
    };
    work.todo = 5;
    bell.ring();
    await turns();
    expect(work.done).toBe(5);
    consumer.stop();
    consumer.consume(drain);
    await turns();
    work.todo = 1;
    bell.ring();
    await turns();
    expect(work.done).toBe(6);
  });

  test("refuses a second consumer", async () => {
    const { consumer } = await sleepingConsumer();
    expect(() => consumer.consume(() => false)).toThrow("consumed already");
  });
});

describe("doorbell, blocking", () => {
  test("does not wait when there is work", () => {
    const { global } = testGlobalMemory();
    expect(new BlockingDoorbell(global, CONSUMER).wait(() => true, 60_000)).toBe(true);
  });

  test("returns false when the time is over, running again, so that producers save their signals", () => {
    const { global } = testGlobalMemory();
    expect(new BlockingDoorbell(global, CONSUMER).wait(() => false, 1)).toBe(false);
    new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER }).ring();
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 0, saved: 1 });
  });

  test("looks again after it said that it sleeps", () => {
    const { global } = testGlobalMemory();
    const bell = new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER });
    let looks = 0;
    const found = new BlockingDoorbell(global, CONSUMER).wait(() => {
      // The second look: by now the flag says sleeping, and a producer would signal.
      if (++looks === 2) bell.ring();
      return looks >= 2;
    }, 60_000);
    expect(found).toBe(true);
    expect(signalCounts(global, PRODUCER)).toMatchObject({ sent: 1, saved: 0 });
  });

  test("does not wait when it was rung between its look and its wait", () => {
    const { global } = testGlobalMemory();
    const bell = new Doorbell(global, { consumer: CONSUMER, producer: PRODUCER });
    let looks = 0;
    // Looks that find nothing, but the bell rings after the second: the wait must end at once, or it outlasts the test's time.
    new BlockingDoorbell(global, CONSUMER).wait(() => {
      if (++looks === 2) bell.ring();
      return false;
    }, 10_000);
    expect(looks).toBe(3);
  }, 5_000);
});

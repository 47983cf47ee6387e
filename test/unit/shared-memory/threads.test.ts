/**
 * The shared-memory driver between real threads. The workers run the build in dist/ (see test/support/shared-memory-worker.mjs);
 * a lost wake-up shows as a test that times out, because no wait in them has a time-out within the test's.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { Doorbell, EventLoopDoorbell, signalCounts } from "../../../drivers/shared-memory/doorbell.ts";
import type { GlobalMemory, GlobalMemoryTransfer } from "../../../drivers/shared-memory/global-memory.ts";
import { JournalSyncRequester } from "../../../drivers/shared-memory/journal-sync.ts";
import { channelRing } from "../../../drivers/shared-memory/layout.ts";
import { RingConsumer, RingProducer } from "../../../drivers/shared-memory/ring.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const workers: Worker[] = [];
const doorbells: EventLoopDoorbell[] = [];
afterEach(async () => {
  for (const doorbell of doorbells.splice(0)) doorbell.stop();
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

function start(transfer: GlobalMemoryTransfer, role: string, data: object = {}): Worker {
  const worker = new Worker(new URL("../../support/shared-memory-worker.mjs", import.meta.url), {
    workerData: { role, transfer, ...data },
  });
  workers.push(worker);
  return worker;
}

/** What a worker posts; its error, if it has one, is the test's. */
async function answer<T>(worker: Worker): Promise<T> {
  const [value] = await once(worker, "message");
  return value as T;
}

interface Produced {
  readonly rung: number;
  readonly full: number;
}
interface Consumed {
  readonly received: number;
  readonly wrong: number;
}

describe("ring and doorbell between threads", () => {
  const COUNT = 30_000;

  test.each([
    ["by waitAsync", "eventLoopConsumer", {}],
    ["by waitAsync, and by poll at its own times", "eventLoopConsumer", { pollEvery: 1 }],
    ["by waitAsync, and by naps at its own times", "eventLoopConsumer", { napEvery: 1 }],
    ["blocking", "blockingConsumer", {}],
  ])(
    "two producers with random pauses, one consumer %s: all arrive in order, once, whole; signals add up",
    async (_, role, more) => {
      const { global, transfer } = testGlobalMemory({ directorCount: 3, channelRingSlots: 64 });
      const consumer = start(transfer, role, { from: [0, 1], to: 2, count: COUNT, seed: 3, ...more });
      const producers = [0, 1].map((from) => start(transfer, "producer", { from, to: 2, count: COUNT, seed: 100 + from }));
      const [consumed, ...produced] = await Promise.all([
        answer<Consumed[]>(consumer),
        ...producers.map((producer) => answer<Produced>(producer)),
      ]);

      expect(consumed).toEqual([
        { received: COUNT, wrong: 0 },
        { received: COUNT, wrong: 0 },
      ]);
      const signals = [0, 1].map((producer) => signalCounts(global, producer));
      // Each ring of the bell is one signal, sent or saved.
      expect(signals.map(({ sent, saved }) => sent + saved)).toEqual(produced.map(({ rung }) => rung));
      const sent = signals[0]!.sent + signals[1]!.sent;
      expect(sent).toBeGreaterThan(0);
      expect(signals[0]!.saved + signals[1]!.saved).toBeGreaterThan(0);
      // Nothing else wakes the consumer.
      expect(signalCounts(global, 2).wakeups).toBeLessThanOrEqual(sent);
      expect(signalCounts(global, 2)).toMatchObject({ sent: 0, saved: 0 });
    },
  );
});

/** Director 0 on this thread, asking a worker that is director 1. */
function asker(global: GlobalMemory) {
  const requests = new RingProducer(global, channelRing(global.layout, 0, 1));
  const replies = new RingConsumer(global, channelRing(global.layout, 1, 0));
  const bell = new Doorbell(global, { consumer: 1, producer: 0 });
  const mine = new EventLoopDoorbell(global, 0);
  doorbells.push(mine);
  let waiter: ((value: number) => void) | undefined;
  mine.consume(() => {
    const slot = replies.peek();
    if (slot < 0) return false;
    const value = global.i32[slot]!;
    replies.advance();
    waiter?.(value);
    return true;
  });
  const send = (value: number) => {
    global.i32[requests.tryReserve()] = value;
    requests.publish();
    bell.ring();
  };
  const ask = (value: number) =>
    new Promise<number>((resolve) => {
      waiter = resolve;
      send(value);
    });
  return { ask, send };
}

describe("a thread that has nothing but its doorbell", () => {
  test("answers thousands of single questions, each of which finds it asleep or falling asleep", async () => {
    const { global, transfer } = testGlobalMemory();
    await answer(start(transfer, "echo"));
    const { ask } = asker(global);
    for (let i = 0; i < 5000; i++) expect(await ask(i)).toBe(i);
  });

  test("does not exit while it sleeps, wakes after a long silence, and exits by itself once stopped", async () => {
    const { global, transfer } = testGlobalMemory();
    const worker = start(transfer, "echo");
    let exited = false;
    const exit = once(worker, "exit").then(([code]) => {
      exited = true;
      return code as number;
    });
    await answer(worker);
    const { ask } = asker(global);
    for (const silence of [1, 20, 300]) {
      await sleep(silence);
      expect(exited).toBe(false);
      expect(await ask(silence)).toBe(silence);
    }
    expect(await ask(-1)).toBe(-1);
    expect(await exit).toBe(0);
  });

  test.each([
    ["sleeps", { naps: false }],
    ["naps", { naps: true }],
  ])("can be terminated while it %s, and its successor takes over ring and doorbell", async (_, how) => {
    const { global, transfer } = testGlobalMemory();
    const { ask, send } = asker(global);
    for (let round = 0; round < 3; round++) {
      const worker = start(transfer, "echo", how);
      await answer(worker);
      expect(await ask(10 + round)).toBe(10 + round);
      await worker.terminate();
    }
    // The dead one may have left its flag at sleeping or napping: this signal goes nowhere, and the successor looks at its ring first.
    send(77);
    await answer(start(transfer, "echo", how));
    expect(await ask(78)).toBeGreaterThanOrEqual(77);
  });

  test("dies of what its drain throws", async () => {
    const { global, transfer } = testGlobalMemory();
    const worker = start(transfer, "thrower");
    await answer(worker);
    const failure = once(worker, "error");
    asker(global).send(1);
    expect((await failure)[0]).toMatchObject({ message: "invariant 7 does not hold" });
  });
});

describe("journal sync between threads", () => {
  test("each request is done in the end, by no more syncs than requests, and each answer rings the director", async () => {
    const { global, transfer } = testGlobalMemory();
    const REQUESTS = 2000;
    const worker = start(transfer, "syncServer", { pool: 1, last: REQUESTS });
    const served = answer<{ served: number }>(worker);
    const requester = new JournalSyncRequester(global, 1, 0);
    const mine = new EventLoopDoorbell(global, 0);
    doorbells.push(mine);
    let asked = 0;
    await new Promise<void>((resolve) => {
      // Three at a time: the later two share a sync, or take the next.
      let waitFor = 0;
      const askThree = () => {
        for (let i = 0; i < 3 && asked < REQUESTS; i++, asked++) waitFor = requester.requestSync();
      };
      mine.consume(() => {
        if (waitFor === 0 || !requester.isDone(waitFor)) return false;
        if (asked === REQUESTS) {
          waitFor = 0;
          resolve();
          return true;
        }
        askThree();
        return true;
      });
      askThree();
    });
    expect(requester.doneTicket()).toBe(REQUESTS);
    expect((await served).served).toBeLessThanOrEqual(REQUESTS);
    expect((await served).served).toBeGreaterThanOrEqual(REQUESTS / 3);
  });

  test("a failure reaches a sleeping director", async () => {
    const { global, transfer } = testGlobalMemory();
    const requester = new JournalSyncRequester(global, 0, 1);
    const mine = new EventLoopDoorbell(global, 1);
    doorbells.push(mine);
    const failed = new Promise<number>((resolve) => {
      mine.consume(() => {
        if (requester.failed() !== 0) resolve(requester.failed());
        return false;
      });
    });
    const ticket = requester.requestSync();
    start(transfer, "syncServer", { pool: 0, failWith: 5 });
    expect(await failed).toBe(5);
    expect(requester.isDone(ticket)).toBe(false);
  });
});

describe("other words between threads", () => {
  test("a frame chunk is claimed by one director only, when two claim at the same time", async () => {
    const CHUNKS = 1024;
    const ROUNDS = 50;
    const { transfer } = testGlobalMemory({ frameCount: 256 * CHUNKS });
    const claimers = [0, 1].map((director) => start(transfer, "claimer", { director, claimers: 2, rounds: ROUNDS }));
    const [first, second] = await Promise.all(claimers.map((claimer) => answer<number[][]>(claimer)));
    for (let round = 0; round < ROUNDS; round++) {
      const claimed = [...first![round]!, ...second![round]!];
      expect(claimed.length).toBe(CHUNKS);
      expect(new Set(claimed).size).toBe(CHUNKS);
    }
  });

  test("a stamp of another thread lies between two of this one's taken around it", async () => {
    const { global, transfer } = testGlobalMemory();
    const worker = start(transfer, "stamp");
    // What calibration may be off by when this machine is busy: far less than the milliseconds that an unrelated origin is.
    const SLACK_MICROSECONDS = 200;
    for (let i = 0; i < 20; i++) {
      const before = global.clock.nowMicroseconds();
      worker.postMessage("stamp");
      const stamp = await answer<number>(worker);
      expect(stamp).toBeGreaterThan(before - SLACK_MICROSECONDS);
      expect(stamp).toBeLessThan(global.clock.nowMicroseconds() + SLACK_MICROSECONDS);
    }
  });
});

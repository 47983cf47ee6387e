/**
 * Worker threads of the shared-memory driver's tests, by role. Plain JavaScript over the build in dist/, because a
 * Worker can't start from TypeScript here. `workerData`: { role, transfer, … } as each role says.
 */
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

const load = (name) => import(new URL(`../../dist/drivers/shared-memory/${name}.js`, import.meta.url).href);
const [{ attachGlobalMemory }, layouts, rings, doorbells, journalSync, { FrameChunks }] = await Promise.all(
  ["global-memory", "layout", "ring", "doorbell", "journal-sync", "frame-chunks"].map(load),
);
const global = attachGlobalMemory(workerData.transfer);
const { layout, i32 } = global;

/** Pauses at random, reproducibly. */
function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A message: a number, repeated over the slot with the place added, so that a torn slot shows. */
function fill(slot, value) {
  for (let word = 0; word < layouts.SLOT_WORDS; word++) i32[slot + word] = value + word;
}

function isWhole(slot) {
  for (let word = 1; word < layouts.SLOT_WORDS; word++) if (i32[slot + word] !== i32[slot] + word) return false;
  return true;
}

/** Takes what lies in a ring and notes what is wrong with it. */
function checker(from, to) {
  const ring = new rings.RingConsumer(global, layouts.channelRing(layout, from, to));
  const seen = { received: 0, wrong: 0 };
  const drain = (most) => {
    let taken = 0;
    for (; taken < most; taken++) {
      const slot = ring.peek();
      if (slot < 0) break;
      if (i32[slot] !== seen.received || !isWhole(slot)) seen.wrong++;
      seen.received++;
      ring.advance();
    }
    return taken;
  };
  return { ring, seen, drain };
}

const roles = {
  /** Director `from` sends `count` messages to director `to`, in bursts with pauses of every kind between. */
  async producer({ from, to, count, seed }) {
    const next = random(seed);
    const ring = new rings.RingProducer(global, layouts.channelRing(layout, from, to));
    const bell = new doorbells.Doorbell(global, { consumer: to, producer: from });
    let rung = 0;
    let full = 0;
    for (let sent = 0; sent < count; ) {
      for (let burst = 1 + next(64); burst > 0 && sent < count; burst--) {
        const slot = ring.tryReserve();
        if (slot < 0) {
          full++;
          break;
        }
        fill(slot, sent++);
        ring.publish();
      }
      bell.ring();
      rung++;
      const pause = next(100);
      if (pause < 2) await sleep(next(4));
      else if (pause < 60) await turn();
    }
    parentPort.postMessage({ rung, full });
  },

  /** Director `to` takes `count` messages from each of `from`; ends when it has them. */
  async eventLoopConsumer({ from, to, count, seed, pollEvery, napEvery }) {
    const next = random(seed);
    const ends = from.map((director) => checker(director, to));
    const doorbell = new doorbells.EventLoopDoorbell(global, to);
    const poller = pollEvery === undefined ? undefined : setInterval(() => doorbell.poll(), pollEvery);
    const napper = napEvery === undefined ? undefined : setInterval(() => doorbell.nap(next(1000) / 1000), napEvery);
    doorbell.consume(() => {
      let taken = 0;
      for (const end of ends) taken += end.drain(1 + next(200));
      if (ends.every((end) => end.seen.received >= count)) {
        doorbell.stop();
        clearInterval(poller);
        clearInterval(napper);
        parentPort.postMessage(ends.map((end) => end.seen));
      }
      return taken > 0;
    });
  },

  /** The same on a thread that blocks. */
  blockingConsumer({ from, to, count, seed }) {
    const next = random(seed);
    const ends = from.map((director) => checker(director, to));
    const doorbell = new doorbells.BlockingDoorbell(global, to);
    const hasWork = () => ends.some((end) => end.ring.size > 0);
    while (ends.some((end) => end.seen.received < count)) {
      // A time-out that a test never reaches: only a signal ends the wait.
      doorbell.wait(hasWork, 60_000);
      for (const end of ends) end.drain(1 + next(200));
    }
    parentPort.postMessage(ends.map((end) => end.seen));
  },

  /** Sends each message of director 0 back to it, by nothing but its doorbell; a negative one ends it. May nap all the time. */
  echo({ naps }) {
    const requests = new rings.RingConsumer(global, layouts.channelRing(layout, 0, 1));
    const replies = new rings.RingProducer(global, layouts.channelRing(layout, 1, 0));
    const bell = new doorbells.Doorbell(global, { consumer: 0, producer: 1 });
    const doorbell = new doorbells.EventLoopDoorbell(global, 1);
    doorbell.consume(() => {
      const slot = requests.peek();
      if (slot < 0) return false;
      if (i32[slot] < 0) doorbell.stop();
      i32[replies.tryReserve()] = i32[slot];
      replies.publish();
      requests.advance();
      bell.ring();
      return true;
    });
    const nap = () => {
      doorbell.nap(1);
      setImmediate(nap);
    };
    if (naps) nap();
    parentPort.postMessage("started");
  },

  /** Throws from `drain` at the first message. */
  thrower() {
    const requests = new rings.RingConsumer(global, layouts.channelRing(layout, 0, 1));
    new doorbells.EventLoopDoorbell(global, 1).consume(() => {
      if (requests.peek() >= 0) throw new Error("invariant 7 does not hold");
      return false;
    });
    parentPort.postMessage("started");
  },

  /** The journal-sync thread of `pool`: serves `tickets` requests, or fails at once when told to. */
  syncServer({ pool, last, failWith }) {
    const server = new journalSync.JournalSyncServer(global, pool);
    let served = 0;
    for (;;) {
      const ticket = server.waitForRequest(60_000);
      if (ticket === -1) continue;
      if (failWith !== undefined) {
        server.fail(failWith);
        break;
      }
      served++;
      server.complete(ticket);
      if (ticket === last) break;
    }
    parentPort.postMessage({ served });
  },

  /**
   * Claims chunks until none is left, at the same time as the other claimers (they meet at a word of the first frame);
   * says which. Then all give theirs back, and go on with the next round.
   */
  claimer({ director, claimers, rounds }) {
    const chunks = new FrameChunks(global);
    const meeting = layout.frames / 4;
    let meetings = 0;
    const meet = () => {
      meetings++;
      Atomics.add(i32, meeting, 1);
      while (Atomics.load(i32, meeting) < meetings * claimers);
    };
    const claimed = [];
    for (let round = 0; round < rounds; round++) {
      meet();
      const mine = [];
      for (let chunk = chunks.claim(director); chunk >= 0; chunk = chunks.claim(director)) mine.push(chunk);
      meet();
      for (const chunk of mine) chunks.release(chunk);
      claimed.push(mine);
    }
    parentPort.postMessage(claimed);
  },

  stamp() {
    parentPort.on("message", () => parentPort.postMessage(global.clock.nowMicroseconds()));
  },
};

await roles[workerData.role](workerData);

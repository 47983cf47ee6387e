/**
 * Micro-benchmark of the shared-memory driver: GB/s of each kernel, ring messages/s, doorbell round trips.
 *
 * `npm run build && node bench/kernels.mjs`. Plain Node on dist/; medians of several runs; nothing is asserted.
 */
import { once } from "node:events";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const dist = new URL("../dist/drivers/shared-memory/", import.meta.url);
const load = (name) => import(new URL(`${name}.js`, dist).href);
const [{ createGlobalMemory, attachGlobalMemory }, { dataCrc32c }, rings, doorbells, layouts] = await Promise.all(
  ["global-memory", "data-crc32c", "ring", "doorbell", "layout"].map(load),
);

const KINDS = ["eventLoop", "blocking"];
const RUNS = 5;

if (isMainThread) await main();
else echo();

async function main() {
  const { global, transfer } = createGlobalMemory({
    directorCount: 2,
    poolCount: 0,
    driveCount: 0,
    poolReachedBy: [],
    frameCount: 4096,
    stagingBytesPerPool: 0,
    mailboxBytes: 0,
  });
  benchKernels(global);
  benchSingles(global);
  for (const kind of KINDS) await benchRings(global, transfer, kind);
  process.exit(0); // the echo threads never end by themselves
}

function benchKernels(global) {
  const { kernels, layout } = global;
  const a = layout.frames;
  const b = a + (4 << 20);
  kernels.fill(a, 0, 8 << 20);
  console.log("kernel, GB/s".padEnd(36), "4 KiB".padStart(8), "64 KiB".padStart(8), "1 MiB".padStart(8));
  const rows = {
    copy: (bytes) => kernels.copy(a, b, bytes),
    "copy, misaligned": (bytes) => kernels.copy(a + 3, b + 1, bytes),
    fill: (bytes) => kernels.fill(a, 0, bytes),
    xor: (bytes) => kernels.xor(a, b, bytes),
    "addToPq: P and Q in one pass": (bytes) => kernels.addToPq(a, a + (2 << 20), b, bytes),
    "multiplyAdd, GF(2^8)": (bytes) => kernels.multiplyAdd(a, b, 0x8e, bytes),
    isZero: (bytes) => kernels.isZero(b, bytes),
    firstDifference: (bytes) => kernels.firstDifference(a, b, bytes),
    crc32c: (bytes) => kernels.crc32c(b, bytes),
  };
  for (const [name, run] of Object.entries(rows)) {
    if (name === "isZero" || name === "firstDifference") kernels.fill(a, 0, 8 << 20);
    printSpeeds(name, run);
  }
  const views = new Map([4096, 65_536, 1 << 20].map((bytes) => [bytes, global.view(b, bytes)]));
  printSpeeds("dataCrc32c (native)", (bytes) => dataCrc32c(views.get(bytes)));
}

function printSpeeds(name, run) {
  const cells = [4096, 65_536, 1 << 20].map((bytes) => {
    const rounds = Math.ceil((64 << 20) / bytes);
    const seconds = median(() => {
      for (let i = 0; i < rounds; i++) run(bytes);
    });
    return ((rounds * bytes) / seconds / 1e9).toFixed(1).padStart(8);
  });
  console.log(name.padEnd(36), ...cells);
}

function benchSingles(global) {
  const { kernels, layout, clock } = global;
  const header = global.view(layout.frames, 48);
  const ring = layouts.channelRing(layout, 0, 1);
  const producer = new rings.RingProducer(global, ring);
  const consumer = new rings.RingConsumer(global, ring);
  const bell = new doorbells.Doorbell(global, { consumer: 1, producer: 0 });
  console.log("\none call, ns");
  const rows = {
    "crc32c of 48 bytes": () => kernels.crc32c(layout.frames, 48),
    "dataCrc32c of 48 bytes (native)": () => dataCrc32c(header),
    "clock.nowMicroseconds": () => clock.nowMicroseconds(),
    "ring: reserve, publish, peek, advance": () => {
      producer.tryReserve();
      producer.publish();
      consumer.peek();
      consumer.advance();
    },
    "doorbell.ring, signal saved": () => bell.ring(),
  };
  for (const [name, run] of Object.entries(rows)) {
    const rounds = 200_000;
    const seconds = median(() => {
      for (let i = 0; i < rounds; i++) run();
    });
    console.log(name.padEnd(40), ((seconds / rounds) * 1e9).toFixed(0).padStart(6));
  }
}

/** This thread is director 0 and asks; the worker is director 1 and echoes. `kind`: how the worker waits. */
async function benchRings(global, transfer, kind) {
  const { layout } = global;
  const out = new rings.RingProducer(global, layouts.channelRing(layout, 0, 1));
  const back = new rings.RingConsumer(global, layouts.channelRing(layout, 1, 0));
  const bell = new doorbells.Doorbell(global, { consumer: 1, producer: 0 });
  const mine = new doorbells.EventLoopDoorbell(global, 0);
  const worker = new Worker(new URL(import.meta.url), { workerData: { transfer, kind } });
  await once(worker, "online");

  console.log(`\nto a thread that waits by ${kind === "blocking" ? "Atomics.wait" : "Atomics.waitAsync"}, and back`);
  for (const [depth, count] of [
    [1, 20_000],
    [32, 400_000],
  ]) {
    let sent = 0;
    let received = 0;
    const before = doorbells.signalCounts(global, 0);
    const started = performance.now();
    const send = () => {
      const before = sent;
      while (sent < count && sent - received < depth) {
        const slot = out.tryReserve();
        if (slot < 0) break;
        global.i32[slot] = sent++;
        out.publish();
      }
      if (sent > before) bell.ring();
    };
    await new Promise((resolve) => {
      mine.consume(() => {
        const first = received;
        while (back.peek() >= 0) {
          back.advance();
          received++;
        }
        if (received === count) {
          mine.stop();
          resolve();
        } else send();
        return received > first;
      });
      send();
    });
    const seconds = (performance.now() - started) / 1000;
    const after = doorbells.signalCounts(global, 0);
    console.log(
      `depth ${depth}`.padEnd(10),
      `${(count / seconds / 1e6).toFixed(3)} M round trips/s`,
      depth === 1 ? `(${((seconds / count) * 1e6).toFixed(1)} µs each)` : "",
      `signals sent ${after.sent - before.sent}, saved ${after.saved - before.saved}`,
    );
  }
  await worker.terminate();
}

function echo() {
  const global = attachGlobalMemory(workerData.transfer);
  const { layout, i32 } = global;
  const requests = new rings.RingConsumer(global, layouts.channelRing(layout, 0, 1));
  const replies = new rings.RingProducer(global, layouts.channelRing(layout, 1, 0));
  const bell = new doorbells.Doorbell(global, { consumer: 0, producer: 1 });
  const drain = () => {
    let any = false;
    for (let slot = requests.peek(); slot >= 0; slot = requests.peek()) {
      i32[replies.tryReserve()] = i32[slot];
      replies.publish();
      requests.advance();
      any = true;
    }
    if (any) bell.ring();
    return any;
  };
  if (workerData.kind === "eventLoop") {
    new doorbells.EventLoopDoorbell(global, 1).consume(drain);
    return;
  }
  const waiter = new doorbells.BlockingDoorbell(global, 1);
  for (;;) {
    waiter.wait(() => requests.size > 0, 1000);
    drain();
  }
}

function median(run) {
  run();
  const seconds = Array.from({ length: RUNS }, () => {
    const started = performance.now();
    run();
    return (performance.now() - started) / 1000;
  });
  return seconds.sort((x, y) => x - y)[RUNS >> 1];
}

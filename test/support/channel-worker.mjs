/**
 * One director's channel in a thread of its own, for test/unit/directors/channel/threads.test.ts: from the build.
 *
 * Each thread keeps 64 blocks for the other, and asks for random reads and writes of the other's, `depth` at a time,
 * checking each read against what it wrote last to that block.
 */
import { parentPort, workerData } from "node:worker_threads";

const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);
const { attachGlobalMemory } = await dist("drivers/shared-memory/global-memory.js");
const { EventLoopDoorbell } = await dist("drivers/shared-memory/doorbell.js");
const { threadEpoch } = await dist("drivers/shared-memory/epoch.js");
const { counterBlock } = await dist("drivers/shared-memory/counters.js");
const { AnswerNap } = await dist("directors/channel/answer-nap.js");
const { Channel } = await dist("directors/channel/channel.js");
const { CHANNEL_COUNTERS } = await dist("directors/channel/channel-counters.js");
const { TurnEnd } = await dist("directors/turn-end.js");
const { threadNumber } = await dist("drivers/shared-memory/layout.js");
const { ScsiTask } = await dist("src/scsi/task.js");

const BLOCK_BYTES = 4096;
const BLOCKS = 64;
const { transfer, director, frameCount, commands, depth } = workerData;
const global = attachGlobalMemory(transfer);

const free = Array.from({ length: frameCount }, (_, n) => director * frameCount + n);
const waiters = [];
const frames = {
  tryTake(count, out, at) {
    if (free.length < count) return false;
    for (let n = 0; n < count; n += 1) out[at + n] = free.shift();
    return true;
  },
  whenAvailable(count, ready) {
    waiters.push({ count, ready });
    return waiters.length;
  },
  cancelWait() {},
  give(frame) {
    free.push(frame);
    while (waiters.length > 0 && waiters[0].count <= free.length) waiters.shift().ready();
  },
  addressOf: (frame) => global.layout.frames + frame * BLOCK_BYTES,
  view: (frame) => global.view(frames.addressOf(frame), BLOCK_BYTES),
};

const store = Array.from({ length: BLOCKS }, () => Buffer.alloc(BLOCK_BYTES));
const server = {
  planDataOut() {},
  submit(task) {
    const block = store[task.cdb[1]];
    task.status = 0;
    task.transferBytes = BLOCK_BYTES;
    if (task.writeFlag) {
      block.set(frames.view(task.dataOut.frames[0]));
      frames.give(task.dataOut.frames[0]);
      task.dataOut.frameCount = 0;
      task.onComplete(task);
      return;
    }
    const answer = () => {
      if (!frames.tryTake(1, task.dataIn.frames, 0)) {
        frames.whenAvailable(1, answer);
        return;
      }
      const frame = task.dataIn.frames[0];
      frames.view(frame).set(block);
      Object.assign(task.dataIn, { frameCount: 1, phase: 0, bytes: BLOCK_BYTES });
      task.onRelease = () => frames.give(frame);
      task.onComplete(task);
    };
    answer();
  },
  resetLogicalUnit: (_nexus, _lun, done) => done(true),
  nexusOpened() {},
  nexusClosed() {},
};

const turnEnd = new TurnEnd();
const partner = { director: 1 - director, epoch: threadEpoch(global, threadNumber(global.layout, "director", 1 - director)) };
const channel = new Channel({ global, directorIndex: director, frames, server, turnEnd, partners: [partner] });
const client = channel.clientTo(1 - director);
const written = new Uint8Array(BLOCKS);
const busy = new Set();
let started = 0;
let completed = 0;
let wrong = 0;

function startOne() {
  if (started === commands) return;
  const block = (started * 29) % BLOCKS;
  if (busy.has(block)) {
    setImmediate(startOne);
    return;
  }
  const write = started % 3 !== 0;
  const task = new ScsiTask(() => {
    if (task.status !== 0) wrong += 1;
    if (!write) {
      const seen = frames.view(task.dataIn.frames[0]);
      if (task.dataIn.frameCount !== 1 || !seen.every((byte) => byte === written[block])) wrong += 1;
      task.release();
    }
    busy.delete(block);
    completed += 1;
    if (completed === commands) finish();
    else startOne();
  });
  if (write && !frames.tryTake(1, task.dataOut.frames, 0)) {
    setImmediate(startOne);
    return;
  }
  task.cdb[1] = block;
  task.writeFlag = write;
  task.readFlag = !write;
  if (write) {
    written[block] = started + 1;
    frames.view(task.dataOut.frames[0]).fill(written[block]);
    Object.assign(task.dataOut, { frameCount: 1, phase: 0, bytes: BLOCK_BYTES });
  }
  busy.add(block);
  started += 1;
  client.submit(task);
}

function finish() {
  channel.publishSignals();
  const block = counterBlock(global, "channel", director);
  const { signalsSent, signalsSaved } = CHANNEL_COUNTERS.slots;
  parentPort.postMessage({ wrong, completed, naps, signals: block[signalsSent] + block[signalsSaved] });
}

const doorbell = new EventLoopDoorbell(global, director);
doorbell.consume(() => channel.drain());
const channelCounters = counterBlock(global, "channel", director);
let naps = 0;
const answerNap = new AnswerNap({
  pdus: () => 0,
  sent: () => channelCounters[CHANNEL_COUNTERS.slots.requestsSent],
  unanswered: () => channel.unanswered,
  nap: (milliseconds) => {
    naps += 1;
    return doorbell.nap(milliseconds);
  },
});
turnEnd.onEnd = () => answerNap.turnEnded();
parentPort.on("message", () => {
  // The partner is done too: nothing but releases can be on the way.
  setTimeout(() => {
    doorbell.stop();
    parentPort.postMessage({ free: free.length, inFlight: client.inFlight });
    parentPort.close();
  }, 50);
});
for (let n = 0; n < depth; n += 1) startOne();

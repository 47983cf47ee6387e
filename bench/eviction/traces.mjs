/**
 * The generated traces, each for a cache of `frames` blocks. All are seeded: a run repeats another to the block.
 *
 * What each is for stands beside it. `far` is where the blocks of scans and streams begin, past all others.
 */
import { Random } from "./random.mjs";
import { KIND, Trace } from "./trace.mjs";

const { read, write, ahead } = KIND;

/** @typedef {{ trace: Trace, random: Random, frames: number, far: number }} Context */

function zipfReads(skew) {
  return ({ trace, random, frames }) => {
    const draw = random.zipf(frames * 16, skew);
    while (!trace.isFull) trace.add(read, draw());
  };
}

function loop(length) {
  return ({ trace, frames }) => {
    const blocks = Math.floor(frames * length);
    for (let n = 0; !trace.isFull; n++) trace.add(read, n % blocks);
  };
}

/**
 * Hosts read by zipf while something reads blocks that nobody reads again.
 * @param touches - reads that come to each block of the scan: 2 when they are not aligned, 8 when they are of 512 bytes
 */
function scanOverZipf({ touches, share }) {
  return ({ trace, random, frames, far }) => {
    const draw = random.zipf(frames * 4, 0.9);
    let at = 0;
    while (!trace.isFull) {
      if (random.chance(share)) trace.add(read, far + Math.floor(at++ / touches));
      else trace.add(read, draw());
    }
  };
}

/** 70/30 by zipf; in its second half a backup reads the whole volume, front to back, as fast as the hosts read. */
function oltpAndBackup({ trace, random, frames }, length) {
  const draw = random.zipf(frames * 8, 0.99);
  let scanned = 0;
  while (!trace.isFull) {
    trace.add(random.chance(0.7) ? read : write, draw());
    const done = trace.length / length;
    if (done > 0.6 && done < 0.85) trace.add(read, scanned++ % (frames * 8));
  }
}

/** 90 % go to half a cache's worth of blocks, and every eighth of the trace that is another half. */
function shiftingHotSet({ trace, random, frames }, length) {
  const hot = frames >> 1;
  while (!trace.isFull) {
    const phase = Math.floor((trace.length * 8) / length);
    if (random.chance(0.9)) trace.add(read, phase * hot + random.below(hot));
    else trace.add(read, frames * 8 + random.below(frames * 8));
  }
}

/** The hot set moves on by a block every few reads: what was hot is never hot again. */
function driftingHotSet({ trace, random, frames }) {
  const draw = random.zipf(frames * 2, 0.8);
  while (!trace.isFull) trace.add(read, draw() + Math.floor(trace.length / 8));
}

/** A block is read again some reads later, sooner rather than later, and no block is more popular than another. */
function recency({ trace, random }) {
  let fresh = 0;
  while (!trace.isFull) {
    const distance = Math.floor(random.next() ** -2.5);
    if (distance >= trace.length || random.chance(0.1)) trace.add(read, fresh++);
    else trace.add(read, trace.blockAt(trace.length - distance));
  }
}

/**
 * Sequential streams with read-ahead beside zipf reads.
 * @param usedShare - of what is read ahead; streams end early, so the rest is never asked for
 */
function streams({ usedShare, windowBlocks }) {
  return ({ trace, random, frames, far }) => {
    const draw = random.zipf(frames * 4, 0.9);
    const count = 8;
    const runBlocks = windowBlocks * 8;
    let nextRun = 0;
    const begin = () => ({ first: far + runBlocks * nextRun++, at: 0, ahead: 0 });
    const all = Array.from({ length: count }, begin);
    while (!trace.isFull) {
      trace.add(read, draw());
      const n = random.below(count);
      const stream = all[n];
      if (stream.ahead - stream.at <= windowBlocks / 2 && stream.ahead < runBlocks) {
        for (let block = 0; block < windowBlocks; block++) trace.add(ahead, stream.first + stream.ahead++);
      }
      trace.add(read, stream.first + stream.at++);
      if (stream.at >= runBlocks * usedShare) all[n] = begin();
    }
  };
}

/** Half reads, half writes of the same blocks; what is written can't leave until it is destaged. */
function mixedZipf({ trace, random, frames }) {
  const draw = random.zipf(frames * 8, 0.9);
  while (!trace.isFull) trace.add(random.chance(0.5) ? read : write, draw());
}

/** A log is written front to back and never read while others read by zipf. */
function logBesideReads({ trace, random, frames, far }) {
  const draw = random.zipf(frames * 4, 0.9);
  let at = 0;
  while (!trace.isFull) {
    if (random.chance(0.4)) trace.add(write, far + at++);
    else trace.add(read, draw());
  }
}

/** Pages are read, and a few reads later some of them are written back. */
function readModifyWrite({ trace, random, frames }) {
  const draw = random.zipf(frames * 8, 0.8);
  while (!trace.isFull) {
    const page = draw();
    trace.add(read, page);
    if (random.chance(0.4)) trace.add(write, page);
  }
}

/** What was written is read once, a quarter of a cache later, as a consumer follows a producer. */
function producerConsumer({ trace, random, frames, far }) {
  const draw = random.zipf(frames * 4, 0.9);
  const lag = frames >> 2;
  for (let at = 0; !trace.isFull; at++) {
    trace.add(write, far + at);
    if (at >= lag) trace.add(read, far + at - lag);
    trace.add(read, draw());
  }
}

/** Name → generator(context, length). */
const GENERATORS = {
  "uniform, 2x": ({ trace, random, frames }) => {
    while (!trace.isFull) trace.add(read, random.below(frames * 2));
  },
  "zipf 0.6, 16x": zipfReads(0.6),
  "zipf 0.9, 16x": zipfReads(0.9),
  "zipf 1.1, 16x": zipfReads(1.1),
  "loop, 1.25x": loop(1.25),
  "loop, 2x": loop(2),
  "recency only": recency,
  "scan over zipf": scanOverZipf({ touches: 1, share: 0.4 }),
  "scan over zipf, 2 reads a block": scanOverZipf({ touches: 2, share: 0.57 }),
  "scan over zipf, 8 reads a block": scanOverZipf({ touches: 8, share: 0.84 }),
  "OLTP and backup": oltpAndBackup,
  "shifting hot set": shiftingHotSet,
  "drifting hot set": driftingHotSet,
  "streams read ahead, all used": streams({ usedShare: 1, windowBlocks: 64 }),
  "streams read ahead, half used": streams({ usedShare: 0.47, windowBlocks: 64 }),
  "zipf, half writes": mixedZipf,
  "log written beside zipf reads": logBesideReads,
  "read, modify, write": readModifyWrite,
  "producer and consumer": producerConsumer,
};

export const TRACE_NAMES = Object.keys(GENERATORS);

export function generate(name, { frames, length, seed }) {
  const trace = new Trace(length);
  GENERATORS[name]({ trace, random: new Random(seed), frames, far: frames * 64 }, length);
  return trace;
}

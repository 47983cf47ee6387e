/**
 * `npm run bench:eviction`: hit ratios of eviction policies on generated block traces, or on one of your own.
 *
 *   --frames N     blocks that the cache holds (4096)      --length N   steps of each trace (600000)
 *   --seed N       of the generated traces (1)             --only TEXT  traces whose name has it
 *   --trace FILE   an MSR Cambridge CSV instead            --json FILE  the figures
 *
 * Only reads count, from the second half of a trace on. Nothing is asserted.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { QUEUE_SHARES } from "../../dist/src/cache/clean-queues.js";
import { readMsrTrace } from "./msr-trace.mjs";
import { Arc } from "./policies/arc.mjs";
import { Clock } from "./policies/clock.mjs";
import { Lirs } from "./policies/lirs.mjs";
import { Lru } from "./policies/lru.mjs";
import { minimumHitRatio } from "./policies/minimum.mjs";
import { S3Fifo } from "./policies/s3-fifo.mjs";
import { Sieve } from "./policies/sieve.mjs";
import { TwoQ } from "./policies/two-q.mjs";
import { PolicySubject, ProductSubject } from "./subjects.mjs";
import { KIND } from "./trace.mjs";
import { generate, TRACE_NAMES } from "./traces.mjs";

const WARM_SHARE = 0.5;
const POLICIES = { LRU: Lru, CLOCK: Clock, "2Q": TwoQ, ARC: Arc, "S3-FIFO": S3Fifo, SIEVE: Sieve, LIRS: Lirs };

const { values: options } = parseArgs({
  options: {
    frames: { type: "string", default: "4096" },
    length: { type: "string", default: "600000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    trace: { type: "string" },
    json: { type: "string" },
    products: { type: "boolean", default: false },
    shares: { type: "string", multiple: true, default: [] },
  },
});
const frames = Number(options.frames);
const length = Number(options.length);

const subjects = new Map(
  Object.entries(options.products ? {} : POLICIES).map(([name, make]) => [name, () => new PolicySubject(make, frames - 1)]),
);
subjects.set("varray", () => new ProductSubject(QUEUE_SHARES, frames));
for (const text of options.shares) {
  const [nursery, probation, ahead, ghosts] = text.split(",").map(Number);
  subjects.set(text, () => new ProductSubject({ nursery, probation, ahead, ghosts }, frames));
}

const results = [];
for (const [name, makeTrace] of tracesWanted()) {
  const trace = await makeTrace();
  const warm = Math.floor(trace.length * WARM_SHARE);
  const hitRatio = {};
  const nanoseconds = {};
  for (const [policy, make] of subjects) {
    const played = play(make(), trace, warm);
    hitRatio[policy] = played.hitRatio;
    nanoseconds[policy] = played.nanoseconds;
  }
  if (!trace.has(KIND.ahead)) hitRatio.MIN = minimumHitRatio(trace, frames - 1, warm);
  results.push({ trace: name, steps: trace.length, hitRatio, nanosecondsPerStep: nanoseconds });
  process.stderr.write(".");
}
process.stderr.write("\n");
printTable();
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify({ frames, length, seed: options.seed, results }, null, 2)}\n`);

function tracesWanted() {
  if (options.trace !== undefined) return [[options.trace, () => readMsrTrace(options.trace, { length })]];
  const seed = Number(options.seed);
  return TRACE_NAMES.filter((name) => name.includes(options.only)).map((name) => [
    name,
    () => generate(name, { frames, length, seed }),
  ]);
}

function play(subject, trace, warm) {
  let reads = 0;
  let hits = 0;
  const started = process.hrtime.bigint();
  for (let n = 0; n < trace.length; n++) {
    const kind = trace.kindAt(n);
    const block = trace.blockAt(n);
    if (kind === KIND.read) {
      const hit = subject.read(block);
      if (n >= warm) {
        reads++;
        if (hit) hits++;
      }
    } else if (kind === KIND.write) subject.write(block);
    else subject.readAhead(block);
  }
  return { hitRatio: hits / reads, nanoseconds: Number(process.hrtime.bigint() - started) / trace.length };
}

function printTable() {
  const names = [...subjects.keys(), "MIN"];
  const cell = (text) => ` ${text} |`;
  console.log(`Reads that hit, %; ${frames} blocks of cache, ${length} steps, seed ${options.seed}\n`);
  console.log(`|${cell("trace")}${names.map(cell).join("")}`);
  console.log(`|${cell("---")}${names.map(() => cell("---:")).join("")}`);
  const percent = (ratio) => cell(ratio === undefined ? "–" : (ratio * 100).toFixed(1));
  for (const { trace, hitRatio } of results)
    console.log(`|${cell(trace)}${names.map((name) => percent(hitRatio[name])).join("")}`);
  // MIN has no figure for some of them, so it has no mean that could be compared.
  const mean = (name) =>
    name === "MIN" ? undefined : results.reduce((sum, { hitRatio }) => sum + hitRatio[name], 0) / results.length;
  console.log(`|${cell("mean")}${names.map((name) => percent(mean(name))).join("")}`);
  const nanoseconds = (name) => results.reduce((sum, result) => sum + (result.nanosecondsPerStep[name] ?? 0), 0) / results.length;
  console.log(`|${cell("ns a step, whole replay")}${names.map((name) => cell(nanoseconds(name).toFixed(0))).join("")}`);
}

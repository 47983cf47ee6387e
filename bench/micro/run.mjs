/**
 * `npm run bench:micro`: what single parts of the built product cost, one thread, warm caches.
 *
 *   --only TEXT    cases whose name has it      --json FILE    the figures
 *   --time MS      for each case (400)
 *
 * Each case does `batch` operations a call, so that the clock is not what is measured. Medians; nothing is asserted.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { Bench } from "tinybench";
import { cases as compaction } from "./compaction.mjs";
import { cases as destage } from "./destage.mjs";
import { cases as eviction } from "./eviction.mjs";
import { cases as index } from "./index.mjs";
import { cases as journal } from "./journal.mjs";
import { cases as journalAside } from "./journal-aside.mjs";
import { cases as kernels } from "./kernels.mjs";
import { cases as pdu } from "./pdu.mjs";
import { cases as raid } from "./raid.mjs";
import { cases as rings } from "./rings.mjs";

const GROUPS = [pdu, index, rings, kernels, raid, journal, journalAside, destage, compaction, eviction];
const WARM_SHARE = 0.25;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    time: { type: "string", default: "400" },
    json: { type: "string" },
  },
});

const results = [];
console.log("| case | ops/s | ns | ± % | GB/s |");
console.log("|---|---:|---:|---:|---:|");
// A group at a time, so that one's memory is gone before the next is made.
for (const group of GROUPS) {
  const made = group();
  for (const one of made.filter(({ name }) => name.includes(options.only))) {
    const result = await measure(one);
    results.push(result);
    const cells = [result.case, rounded(result.perSecond), rounded(result.nanoseconds), result.spreadPercent.toFixed(1)];
    console.log(`| ${[...cells, result.gigabytesPerSecond?.toFixed(2) ?? ""].join(" | ")} |`);
  }
  await made.close?.();
}
if (options.json !== undefined) {
  const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version };
  writeFileSync(options.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}

async function measure({ name, batch, bytes, run }) {
  const time = Number(options.time);
  const bench = new Bench({ time: time * (1 - WARM_SHARE), warmupTime: time * WARM_SHARE, throws: true });
  bench.add(name, run);
  const [task] = await bench.run();
  const { p50, rme } = task.result.latency;
  const nanoseconds = (p50 * 1e6) / batch;
  return {
    case: name,
    perSecond: 1e9 / nanoseconds,
    nanoseconds,
    spreadPercent: rme,
    ...(bytes === undefined ? {} : { bytes, gigabytesPerSecond: bytes / nanoseconds }),
  };
}

function rounded(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

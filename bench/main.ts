/** `npm run bench`: what it does stands in options.ts, how to read what it says in README.md. */
import { BenchRun } from "./bench-run.ts";
import { describeCommit, describeMachine, machineLine, machineLoad } from "./machine.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { type BenchOptions, type PartName, parseOptions, USAGE } from "./options.ts";
import { measureDurable } from "./parts/durable.ts";
import { measureEndless } from "./parts/endless.ts";
import { measurePairs } from "./parts/pairs.ts";
import { measureScrapes } from "./parts/scrapes.ts";
import { missingPrerequisites } from "./prerequisites.ts";
import { RESULTS_VERSION, type Results, writeResults } from "./results.ts";
import { say, sayDurable, sayEndless, sayMemory, sayPairRow, sayScrapes } from "./terminal.ts";

const USAGE_STATUS = 2;

// Whatever still runs is ended by started.ts.
process.exit(await main());

async function main(): Promise<number> {
  let options: BenchOptions | "help";
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${USAGE}`);
    return USAGE_STATUS;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const missing = missingPrerequisites();
  for (const sentence of missing) process.stderr.write(`bench: ${sentence}\n`);
  if (missing.length > 0) return USAGE_STATUS;
  try {
    const results = await measure(options);
    say();
    say(`results: ${writeResults(results, options.out)}`);
    return 0;
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`);
    return 1;
  }
}

async function measure(options: BenchOptions): Promise<Results> {
  const startedAt = new Date();
  const loadBefore = machineLoad();
  const run = await BenchRun.begin(options);
  const machine = describeMachine(options.dataFolder);
  say(`varray ${describeCommit().id} on ${machineLine(machine)}; load before: ${loadBefore}`);
  const memory = new MemoryWatch(run.array);
  await run.touchAll();
  const parts = await measureParts(run);
  await run.array.makeClean();
  await run.array.whenQuiet();
  const memoryResults = await memory.end();
  sayMemory(memoryResults);
  await run.end();
  const { isQuick, reps, seconds, spanMebibytes } = options;
  return {
    version: RESULTS_VERSION,
    startedAt: startedAt.toISOString(),
    minutes: (Date.now() - startedAt.getTime()) / 60_000,
    commit: describeCommit(),
    machine,
    options: { isQuick, reps, seconds, spanMebibytes },
    load: { before: loadBefore, after: machineLoad() },
    memory: memoryResults,
    ...parts,
  };
}

/** In this order: what is measured beside tgt comes while the array is youngest. */
async function measureParts(run: BenchRun): Promise<Pick<Results, "pairs" | "durable" | "scrapes" | "endless">> {
  const wanted = (part: PartName) => run.options.parts.includes(part);
  const pairs = wanted("pairs") ? { pairs: await measurePairs(run, sayPairRow) } : {};
  const durable = wanted("durable") ? { durable: await measureDurable(run) } : {};
  if (durable.durable !== undefined) sayDurable(durable.durable);
  const scrapes = wanted("scrapes") ? { scrapes: await measureScrapes(run) } : {};
  if (scrapes.scrapes !== undefined) sayScrapes(scrapes.scrapes);
  const endless = wanted("endless") ? { endless: await measureEndless(run) } : {};
  if (endless.endless !== undefined) sayEndless(endless.endless);
  return { ...pairs, ...durable, ...scrapes, ...endless };
}

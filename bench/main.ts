/** `npm run bench`: what it does stands in options.ts, how to read what it says in README.md. */
import { BenchRun } from "./bench-run.ts";
import { describeCommit, describeMachine, machineLine, machineLoad } from "./machine.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { type BenchOptions, type PartName, parseOptions, USAGE } from "./options.ts";
import { measureHealing, measureMisses, measureSustained } from "./parts/alone.ts";
import { measureDurable } from "./parts/durable.ts";
import { measureEndless } from "./parts/endless.ts";
import { measurePairs } from "./parts/pairs.ts";
import { measureScrapes } from "./parts/scrapes.ts";
import { missingPrerequisites } from "./prerequisites.ts";
import { RESULTS_VERSION, type Results, writeResults } from "./results.ts";
import {
  say,
  sayDurable,
  sayEndless,
  sayHealing,
  sayMemory,
  sayMisses,
  sayPairRow,
  sayScrapes,
  saySustained,
} from "./terminal.ts";

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
    return results.failures.length === 0 ? 0 : 1;
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
  const alone = await measureAlone(run);
  const { isQuick, reps, seconds, spanMebibytes } = options;
  return {
    version: RESULTS_VERSION,
    startedAt: startedAt.toISOString(),
    minutes: (Date.now() - startedAt.getTime()) / 60_000,
    commit: describeCommit(),
    machine,
    options: { isQuick, reps, seconds, spanMebibytes },
    load: { before: loadBefore, after: machineLoad() },
    failures: run.failures,
    memory: memoryResults,
    ...parts,
    ...alone,
  };
}

/** Measures a part if it is wanted, and says what came out. One that fails is told, and does not take the others along. */
async function attempt<Part>(
  run: BenchRun,
  name: PartName,
  measurePart: () => Promise<Part>,
  tell: (part: Part) => void,
): Promise<Part | undefined> {
  if (!run.options.parts.includes(name)) return undefined;
  try {
    const part = await measurePart();
    tell(part);
    return part;
  } catch (error) {
    run.fail(name, error);
    return undefined;
  }
}

/** In this order: what is measured beside tgt comes while the array is youngest. */
async function measureParts(run: BenchRun) {
  const rowsAreTold = () => {};
  const pairs = await attempt(run, "pairs", () => measurePairs(run, sayPairRow), rowsAreTold);
  const durable = await attempt(run, "durable", () => measureDurable(run), sayDurable);
  const scrapes = await attempt(run, "scrapes", () => measureScrapes(run), sayScrapes);
  const endless = await attempt(run, "endless", () => measureEndless(run), sayEndless);
  return { ...(pairs && { pairs }), ...(durable && { durable }), ...(scrapes && { scrapes }), ...(endless && { endless }) };
}

/** The array of the others is gone by then. */
async function measureAlone(run: BenchRun) {
  const misses = await attempt(run, "misses", () => measureMisses(run.options), sayMisses);
  const healing = await attempt(run, "healing", () => measureHealing(run.options), sayHealing);
  const sustained = await attempt(run, "sustained", () => measureSustained(run.options), saySustained);
  return { ...(misses && { misses }), ...(healing && { healing }), ...(sustained && { sustained }) };
}

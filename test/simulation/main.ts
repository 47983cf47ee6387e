/**
 * `npm run simulate -- --seed N --seeds K --seconds S [--only 26,35] [--jobs 2] [--mirrored] [--healing] [--swarm narrow,slowReads] [--verbose]`
 *
 * In every third seed drives are lost, replaced and rebuilt; with `--healing` in all of them.
 *
 * Runs seeds N, N + 1, … until K are done or S seconds have passed, on as many processes as `--jobs` says. Prints what was
 * run, crashes by site, and for a violation its seed, the last steps and how to repeat it. The exit status says whether all
 * was well; a full run (no violation, at least `SITES_FULL` crashes) must have crashed at every site there is.
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { summarize, Totals } from "./report.ts";
import type { SeedReport } from "./seed-process.ts";
import { crashSites } from "./sites.ts";
import { SWARM_FEATURES } from "./swarm.ts";

/** A seed that takes longer hangs in a loop without an event: its process is ended, and the seed is a violation. */
const SEED_SECONDS_MAX = 300;
/** With fewer crashes a site may be missed by chance. */
const SITES_FULL = 5000;

const USAGE =
  "usage: npm run simulate -- [--seed N] [--seeds K] [--seconds S] [--only N,M] [--jobs J] [--crashes C] [--mirrored] [--healing] " +
  `[--swarm FEATURE,…] [--verbose]\n  features: ${SWARM_FEATURES.join(", ")}\n`;

function refuse(why: string): never {
  process.stderr.write(`simulate: ${why}\n${USAGE}`);
  process.exit(2);
}

/** @param least - of a whole number, or of any number of seconds */
function numberOf(option: string, text: string, least: number, isWhole = true): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= least) || (isWhole && !Number.isSafeInteger(value)))
    refuse(`--${option} ${text}: a ${isWhole ? "whole " : ""}number from ${least} on is wanted`);
  return value;
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const { values } = parsed(() =>
  parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string" },
      seconds: { type: "string" },
      jobs: { type: "string", default: String(Math.min(2, availableParallelism())) },
      only: { type: "string" },
      crashes: { type: "string" },
      mirrored: { type: "boolean", default: false },
      healing: { type: "boolean", default: false },
      swarm: { type: "string", default: "" },
      verbose: { type: "boolean", default: false },
    },
  }),
);

const first = numberOf("seed", values.seed, 0);
const jobs = numberOf("jobs", values.jobs, 1);
const crashes = values.crashes === undefined ? undefined : numberOf("crashes", values.crashes, 1);
const seconds = values.seconds === undefined ? undefined : numberOf("seconds", values.seconds, 0, false);
const seedsMax =
  values.seeds === undefined ? (seconds === undefined ? 1 : Number.POSITIVE_INFINITY) : numberOf("seeds", values.seeds, 1);
const endAt = performance.now() + (seconds ?? Number.POSITIVE_INFINITY) * 1000;
const swarm = values.swarm.split(",").filter((feature) => feature !== "");
const unknown = swarm.find((feature) => !SWARM_FEATURES.some((known) => known === feature));
if (unknown !== undefined) refuse(`--swarm ${unknown}: there is no such feature`);
const totals = new Totals();
let next = first;
const only = values.only?.split(",").map((seed) => numberOf("only", seed, 0));
let stop = false;

function takeSeed(): number | undefined {
  if (only !== undefined) return stop ? undefined : only.shift();
  if (stop || next >= first + seedsMax || performance.now() >= endAt) return undefined;
  return next++;
}

/** One process that runs seed after seed. */
function job(): Promise<void> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL("seed-process.js", import.meta.url)), { execArgv: ["--max-semi-space-size=16"] });
    let running: number | undefined;
    let watchdog: NodeJS.Timeout | undefined;
    const go = (): void => {
      clearTimeout(watchdog);
      running = takeSeed();
      if (running === undefined) {
        child.disconnect();
        return;
      }
      watchdog = setTimeout(() => child.kill("SIGKILL"), SEED_SECONDS_MAX * 1000);
      child.send({
        seed: running,
        mirrored: values.mirrored,
        healing: values.healing,
        swarm,
        ...(crashes === undefined ? {} : { crashes }),
      });
    };
    child.on("message", (report: SeedReport) => {
      totals.add(report);
      if (values.verbose)
        process.stdout.write(
          `seed ${report.seed}: ${report.crashCount} crashes, ${report.events} events, trace ${report.traceHash}\n`,
        );
      if (report.violation !== undefined) stop = true;
      running = undefined;
      go();
    });
    child.on("exit", (code, signal) => {
      clearTimeout(watchdog);
      if (running !== undefined) {
        stop = true;
        totals.add({
          seed: running,
          violation: `the seed's process ended (${signal ?? code}): it hangs in a loop without an event, or ran out of memory`,
          lines: [],
          crashes: [],
          crashCount: 0,
          reached: [],
          events: 0,
          traceHash: 0,
          seen: {},
        });
      }
      resolve();
    });
    go();
  });
}

const began = performance.now();
await Promise.all(Array.from({ length: Math.min(jobs, only?.length ?? seedsMax) }, job));
const { text, ok } = summarize(totals, {
  sites: crashSites(),
  seconds: (performance.now() - began) / 1000,
  full: totals.crashCount >= SITES_FULL,
  verbose: values.verbose,
  flags: [
    ...(values.mirrored ? ["--mirrored"] : []),
    ...(values.healing ? ["--healing"] : []),
    ...(swarm.length > 0 ? ["--swarm", swarm.join(",")] : []),
    ...(crashes === undefined ? [] : ["--crashes", String(crashes)]),
  ],
});
process.stdout.write(text);
process.exitCode = ok ? 0 : 1;

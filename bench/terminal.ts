/** What people see while a run goes on: a block of lines for each test, as soon as it is measured. */
import type { Verdict } from "./goals.ts";
import type { HealingResults } from "./healing-results.ts";
import { specName } from "./load-client.ts";
import { type Measurement, medianOf, roleMedian } from "./measurement.ts";
import type { MemoryResults } from "./memory-watch.ts";
import { pairVerdicts } from "./pair-verdicts.ts";
import type { MissResults, SustainedResults } from "./parts/alone.ts";
import type { DurableResults } from "./parts/durable.ts";
import type { EndlessResults } from "./parts/endless.ts";
import type { PairRow } from "./parts/pairs.ts";
import type { ScrapeRow } from "./parts/scrapes.ts";
import { healingRows } from "./report/healing-section.ts";
import { median, spread } from "./statistics.ts";
import { durableVerdicts, endlessVerdict, healingVerdicts, memoryVerdict, missVerdicts, sustainedVerdicts } from "./verdicts.ts";

/** Roles that use less than this for each operation are not shown. */
const ROLE_MICROSECONDS_LEAST = 0.05;

const HEADINGS =
  "              IOPS  spread    MB/s     p50     p99   p99.9     max µs | CPU µs  calls  sleeps | client  other CPU";

export function say(line = ""): void {
  process.stdout.write(`${line}\n`);
}

export function sayPairRow(row: PairRow): void {
  say();
  say(row.title);
  say(HEADINGS);
  for (const [target, measurements] of Object.entries(row.targets)) say(targetLine(target, measurements));
  const owner = row.targets.owner;
  if (owner !== undefined) say(`  threads, µs each: ${rolesLine(owner)}`);
  for (const verdict of pairVerdicts(row)) say(`  ${verdictLine(verdict)}`);
}

export function sayDurable(results: DurableResults): void {
  say();
  say("4K random writes with FUA, beside the same without and the raw journal");
  say(HEADINGS);
  say(targetLine("FUA q32", results.withFua));
  say(targetLine("FUA q1", results.withFuaDepth1));
  say(targetLine("no FUA", results.withoutFua));
  say(`  raw journal: ${median(results.rawJournal).toFixed(0)} records/s (spread ${percent(spread(results.rawJournal))})`);
  for (const verdict of durableVerdicts(results)) say(`  ${verdictLine(verdict)}`);
}

export function sayEndless(results: EndlessResults): void {
  say();
  say("Sequential writes without end");
  say(HEADINGS);
  for (const row of results.rows) {
    say(targetLine(`${row.spec.bytes / 1024}K`, row.measurements));
    say(`  ${verdictLine(endlessVerdict(results, row))}`);
  }
  const fill = median(results.rawFill) / 1e6;
  say(`  raw zone fill: ${fill.toFixed(0)} MB/s, parity included (spread ${percent(spread(results.rawFill))})`);
}

export function sayScrapes(rows: readonly ScrapeRow[]): void {
  say();
  say("While somebody looks");
  for (const { spec, looking, measurements, requests } of rows) {
    if (looking === rows[0]!.looking) say(`${specName(spec).padEnd(29)}${HEADINGS.slice(10)}`);
    say(`  ${looking.padEnd(26)}${targetLine("", measurements).slice(10)}  ${requests} requests`);
  }
}

export function sayMisses(misses: MissResults): void {
  sayVerdicts("Reads that miss the cache", missVerdicts(misses));
}

export function sayHealing(healing: HealingResults): void {
  say();
  say("Rebuild, copy-back and scrub; 4K 70/30 at depth 8 beside them");
  for (const [name, ...cells] of healingRows(healing))
    say(`  ${name!.padEnd(34)}${cells.map((cell) => cell.padStart(10)).join("")}`);
  for (const verdict of healingVerdicts(healing)) say(`  ${verdictLine(verdict)}`);
}

export function saySustained(sustained: SustainedResults): void {
  sayVerdicts("4K random overwrites for ten minutes", sustainedVerdicts(sustained));
}

function sayVerdicts(title: string, verdicts: readonly Verdict[]): void {
  say();
  say(title);
  for (const verdict of verdicts) say(`  ${verdictLine(verdict)}`);
}

export function sayMemory(memory: MemoryResults): void {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const { atRestBytes, peakBytes, atEndBytes, framesBytes } = memory;
  say();
  say(
    `Memory: ${mebibytes(atRestBytes)} at rest, ${mebibytes(peakBytes)} at most, ${mebibytes(atEndBytes)} at the end; frames ${mebibytes(framesBytes)}`,
  );
  say(`  ${verdictLine(memoryVerdict(memory))}`);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function targetLine(name: string, measurements: readonly Measurement[]): string {
  const middle = (pick: (one: Measurement) => number) => medianOf(measurements, pick);
  const iops = middle((one) => one.iops);
  const uncertain = spread(measurements.map((one) => one.iops));
  return [
    `  ${name.padEnd(8)}`,
    iops.toFixed(0).padStart(7),
    `${(uncertain * 100).toFixed(0)} %`.padStart(7),
    (middle((one) => one.bytesPerSecond) / 1e6).toFixed(0).padStart(7),
    middle((one) => one.p50Microseconds)
      .toFixed(0)
      .padStart(7),
    middle((one) => one.p99Microseconds)
      .toFixed(0)
      .padStart(7),
    middle((one) => one.p999Microseconds)
      .toFixed(0)
      .padStart(7),
    middle((one) => one.maxMicroseconds)
      .toFixed(0)
      .padStart(10),
    "|",
    middle((one) => one.cpuMicroseconds)
      .toFixed(1)
      .padStart(6),
    middle((one) => callsOf(one))
      .toFixed(2)
      .padStart(6),
    middle((one) => sleepsOf(one))
      .toFixed(3)
      .padStart(7),
    "|",
    `${(middle((one) => one.clientCpuShare) * 100).toFixed(0)} %`.padStart(6),
    `${(middle((one) => one.otherCpuShare) * 100).toFixed(0)} %`.padStart(6),
  ].join(" ");
}

function callsOf({ roles }: Measurement): number {
  return roles.reduce((all, { calls }) => all + calls, 0);
}

function sleepsOf({ roles }: Measurement): number {
  return roles.reduce((all, { sleeps }) => all + sleeps, 0);
}

function rolesLine(measurements: readonly Measurement[]): string {
  const roles = new Set(measurements.flatMap((one) => one.roles.map(({ role }) => role)));
  const uses = [...roles].map((role) => ({ role, cpu: roleMedian(measurements, role, (use) => use.cpuMicroseconds) }));
  return uses
    .filter(({ cpu }) => cpu >= ROLE_MICROSECONDS_LEAST)
    .sort((a, b) => b.cpu - a.cpu)
    .map(({ role, cpu }) => `${role} ${cpu.toFixed(1)}`)
    .join(", ");
}

function verdictLine({ name, value, goal, bound, isMet }: Verdict): string {
  return `${isMet ? "met   " : "MISSED"} ${name.padEnd(24)} ${value.toFixed(2).padStart(7)}  (${bound} ${goal})`;
}

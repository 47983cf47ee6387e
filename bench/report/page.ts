/** docs/performance.md, of one run's results. A pure function: the same results make the same page. */
import { machineLine } from "../machine.ts";
import { type Measurement, medianOf } from "../measurement.ts";
import type { Results } from "../results.ts";
import { median, spread } from "../statistics.ts";
import { goalsSection } from "./goals-section.ts";
import { healingSection } from "./healing-section.ts";
import { fixed, mebibytes, percent, rate, table } from "./markdown.ts";
import {
  amplificationTable,
  callsTable,
  copiesTable,
  javaScriptTable,
  latencyTable,
  ratesTable,
  stagesTable,
  threadsTable,
} from "./pairs-section.ts";

/** A page beside this one, written by hand: an experiment, or why a figure is what it is. */
export interface Fragment {
  readonly file: string;
  readonly title: string;
}

export function pageOf(results: Results, fragments: readonly Fragment[], plots: readonly string[]): string {
  const has = (plot: string) => plots.includes(plot);
  const picture = (plot: string, text: string) => (has(plot) ? [`![${text}](performance/${plot}.svg)`] : []);
  return `${[
    "<!-- Made by `npm run bench:report` of docs/performance/results.json. Don't edit: what people write is in docs/performance/*.md. -->",
    "# Performance",
    introduction(results),
    ...failed(results),
    "## Goals",
    goalsSection(results),
    ...pairsSections(results, picture),
    ...durableSection(results),
    ...endlessSection(results),
    ...scrapesSection(results),
    ...healingSection(results),
    ...sustainedSection(results, picture),
    "## Memory",
    memoryText(results),
    ...picture("memory", "Memory of the process during the run"),
    "## Experiments and explanations",
    fragments.map(({ file, title }) => `- [${title}](performance/${file})`).join("\n"),
  ].join("\n\n")}\n`;
}

function introduction({ machine, startedAt, commit, minutes, options, load }: Results): string {
  const quick = options.isQuick ? " **A quick run: for a look, not for a claim.**" : "";
  return [
    `Measured by \`npm run bench\` on ${startedAt.slice(0, 10)}, commit ${commit.id}${commit.isChanged ? " with changes" : ""}, in ${fixed(minutes, 0)} minutes, on ${machineLine(machine)};`,
    `load average ${load.before} before, ${load.after} after.${quick} Medians of ${options.reps} runs of ${options.seconds} s each, spans of ${options.spanMebibytes} MiB, libiscsi client on the same machine.`,
    "The array runs as it comes: journal, RAID-5 3+1, checksums and metrics on, 512 MiB of frames; tgt serves a file in tmpfs, as it comes (*stock*) and as well as it can be set up (*tuned*).",
    "How it is measured, and how to read a row: [bench/README.md](../bench/README.md). Every figure is in [results.json](performance/results.json).",
  ].join("\n");
}

function failed({ failures }: Results): string[] {
  return failures.length === 0 ? [] : [`**Not measured, because it failed:** ${failures.join("; ")}`];
}

function pairsSections({ pairs }: Results, picture: (plot: string, text: string) => string[]): string[] {
  if (pairs === undefined || pairs.length === 0) return [];
  const writes = pairs.filter(({ spec, targets }) => spec.mode.endsWith("write") && targets.owner !== undefined);
  return [
    "## Beside tgt",
    "IOPS, ± half of the spread of the repeats, and p99 in µs. *Owner*: through the director that owns the volume. *Both*: half of the depth through each.",
    ratesTable(pairs),
    ...picture("iops", "Operations per second against stock tgt; ticks are the goals"),
    ...picture("p99", "p99 against stock tgt; ticks are the goals"),
    latencyTable(pairs),
    "## Where the time goes",
    "CPU by thread. *Others* are threads of libuv's pool (LevelDB's writers, file calls), LevelDB's compaction and V8's helpers.",
    threadsTable(pairs),
    ...picture("cpu-by-thread", "CPU time by thread"),
    "Calls are read and write calls and their kin (/proc: syscr, syscw); a sleep is a voluntary context switch. *Bytes through calls / data*: what those calls moved (sockets, journal, drives) over the data of the I/O.",
    callsTable(pairs),
    "Stages of a turn of the director's event loop, each shared by the commands of the turn: PDUs parsed, frames found and data copied (receive); writes checked, published and journaled (storage); replies gathered and handed to the sockets (answers).",
    stagesTable(pairs),
    "JavaScript in the owner's thread; allocation is estimated by young generations filled.",
    javaScriptTable(pairs),
    "Copies of what hosts wrote. Small writes are copied once more, side by side for the journal (not in the table). Data that is read is sent from its frame; of large reads whose frames lie apart the copy kernel makes one piece first.",
    copiesTable(writes),
    "Write amplification, through the owner. What was destaged in the measured time is in it, so a burst that the cache takes shows less than 1 for strips.",
    amplificationTable(
      writes.map(({ title, spec, targets, counted }) => ({
        title,
        bytes: spec.bytes,
        measurements: targets.owner!,
        counted: counted.owner ?? {},
      })),
    ),
  ];
}

function durableSection({ durable }: Results): string[] {
  if (durable === undefined) return [];
  const row = (name: string, measurements: readonly Measurement[]) => [
    name,
    rate(medianOf(measurements, (one) => one.iops)),
    percent(spread(measurements.map((one) => one.iops))),
    rate(medianOf(measurements, (one) => one.p50Microseconds)),
    rate(medianOf(measurements, (one) => one.p99Microseconds)),
  ];
  const { rawJournal } = durable;
  return [
    "## Writes that survive a power cut",
    "4K random writes. *Raw journal*: records of 4 KiB written to a preallocated file in groups of 32, each group followed by fdatasync, nothing above it.",
    table(
      ["", "IOPS", "spread", "p50 µs", "p99 µs"],
      [
        row("FUA, depth 32", durable.withFua),
        row("FUA, depth 1", durable.withFuaDepth1),
        row("without FUA, depth 32", durable.withoutFua),
        ["raw journal", rate(median(rawJournal)), percent(spread(rawJournal)), "", ""],
      ],
    ),
  ];
}

function endlessSection({ endless }: Results): string[] {
  if (endless === undefined) return [];
  const fill = median(endless.rawFill);
  const rows = endless.rows.map(({ spec, measurements }) => [
    `${spec.bytes / 1024}K, depth ${spec.depth}`,
    fixed(medianOf(measurements, (one) => one.bytesPerSecond) / 1e6, 0),
    percent(spread(measurements.map((one) => one.iops))),
    rate(medianOf(measurements, (one) => one.p99Microseconds)),
    rate(medianOf(measurements, (one) => one.maxMicroseconds)),
  ]);
  return [
    "## Sequential writes without end",
    `Over 4 GiB, measured when the cache is as full of dirty blocks as it may be. Four raw LevelDB drives together take ${fixed(fill / 1e6, 0)} MB/s (zones filled with \`sync: true\`, spread ${percent(spread(endless.rawFill))}); three quarters of that are data.`,
    table(["", "MB/s", "spread", "p99 µs", "longest µs"], rows),
    amplificationTable(
      endless.rows.map(({ spec, measurements, counted }) => ({
        title: `${spec.bytes / 1024}K`,
        bytes: spec.bytes,
        measurements,
        counted,
      })),
    ),
  ];
}

function sustainedSection({ sustained }: Results, picture: (plot: string, text: string) => string[]): string[] {
  if (sustained === undefined) return [];
  return [
    "## Random overwrites for ten minutes",
    `4K at depth 32 over 7 GiB of a pool of 12 GiB, compaction included, in windows: ${fixed(sustained.share * 100, 0)} % of the raw fill rate less parity.`,
    ...picture("sustained", "Rate and p99.9 of each window"),
  ];
}

function scrapesSection({ scrapes }: Results): string[] {
  if (scrapes === undefined) return [];
  const rows = scrapes.map(({ spec, looking, measurements }) => [
    `${spec.mode}, ${looking}`,
    rate(medianOf(measurements, (one) => one.iops)),
    percent(spread(measurements.map((one) => one.iops))),
    rate(medianOf(measurements, (one) => one.p99Microseconds)),
    percent(spread(measurements.map((one) => one.p99Microseconds))),
    rate(medianOf(measurements, (one) => one.p999Microseconds)),
  ]);
  return [
    "## While somebody looks",
    "4K at depth 32, through the owner.",
    table(["", "IOPS", "spread", "p99 µs", "its spread", "p99.9 µs"], rows),
  ];
}

function memoryText({ memory }: Results): string {
  const { atRestBytes, peakBytes, atEndBytes, framesBytes, drives } = memory;
  return `RssAnon + RssShmem of the process: ${mebibytes(atRestBytes)} at rest, ${mebibytes(peakBytes)} at most, ${mebibytes(atEndBytes)} at the end; of that ${mebibytes(framesBytes)} are frames. ${drives} drives.`;
}

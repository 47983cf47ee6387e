/** Rebuild, copy-back and scrub as rows: rates beside the raw copy, and what hosts had meanwhile. */
import type { HealingResults, HostsSeen } from "../healing-results.ts";
import type { Results } from "../results.ts";
import { median, spread } from "../statistics.ts";
import { shareReached } from "../verdicts.ts";
import { fixed, percent, rate, table } from "./markdown.ts";

const HEADINGS = [
  "",
  "MB/s",
  "spread",
  "of the raw copy",
  "of the quiet rate",
  "hosts' IOPS",
  "p50 µs",
  "p99 µs",
  "p99.9 µs",
  "longest ms",
];

export function healingSection({ healing, commit }: Results): string[] {
  if (healing === undefined) return [];
  const { run } = healing;
  const apart =
    run === undefined || run.commit.startsWith(commit.id)
      ? []
      : [`Measured by itself, \`npm run bench:healing\`, on ${run.day}, commit ${run.commit}.`];
  return [
    "## Rebuild and scrub",
    ...apart,
    `A pool of RAID-5 3+1 with ${fixed(healing.spanMebibytes / 3, 0)} MiB of data on each drive. *Raw copy*: one LevelDB drive of the same strips, batches and zones copied to another, nothing above it, in the same run. Rebuild and copy-back are counted by what they write to the one drive, the scrub by what it reads of all four. Beside hosts: 4K, 70 % reads, at depth 8, as fast as they can; the share is set in percent of the rate while hosts are quiet.`,
    table(HEADINGS, healingRows(healing)),
  ];
}

export function healingRows(results: HealingResults): string[][] {
  const { raw, quiet, hostsAlone, beside } = results;
  const copy = median(raw.copyBytesPerSecond);
  const row = (name: string, rates: readonly number[], ofQuiet = "", hosts: readonly HostsSeen[] = []): string[] => [
    name,
    ...(rates.length === 0
      ? ["", "", ""]
      : [fixed(median(rates) / 1e6, 0), percent(spread(rates)), fixed(median(rates) / copy, 2)]),
    ofQuiet,
    ...hostCells(hosts),
  ];
  return [
    row("raw copy of a drive", raw.copyBytesPerSecond),
    row("raw read of four drives", raw.readBytesPerSecond),
    row("rebuild, hosts quiet", quiet.rebuild),
    row("copy-back, hosts quiet", quiet.copyBack),
    row("scrub, hosts quiet", quiet.scrub),
    row("hosts alone", [], "", hostsAlone),
    ...beside.map((one) =>
      row(`${one.work} beside hosts, share ${one.share} %`, one.bytesPerSecond, fixed(shareReached(results, one), 2), one.hosts),
    ),
  ];
}

function hostCells(hosts: readonly HostsSeen[]): string[] {
  if (hosts.length === 0) return ["", "", "", "", ""];
  const middle = (pick: (one: HostsSeen) => number) => median(hosts.map(pick));
  return [
    rate(middle((one) => one.iops)),
    rate(middle((one) => one.p50Microseconds)),
    rate(middle((one) => one.p99Microseconds)),
    rate(middle((one) => one.p999Microseconds)),
    fixed(middle((one) => one.maxMicroseconds) / 1000, 1),
  ];
}

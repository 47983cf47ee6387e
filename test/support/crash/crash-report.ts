/** What the crash test says of its rounds: one by one, and as the tables of docs/testing.md. */
import type { LoadCounts } from "./crash-load.ts";
import type { HealingAtKill } from "./healing-driver.ts";
import type { Violation, ViolationKind } from "./write-history.ts";

/** What was going on in one pool a moment before the kill, by /metrics. */
export interface PoolAtDeath {
  readonly journalLiveBytes: number;
  readonly dirtyBlocks: number;
  readonly batchesActive: number;
  readonly compactionActive: number;
}

export interface RoundReport {
  readonly round: number;
  readonly loadMilliseconds: number;
  readonly counts: LoadCounts;
  /** Pool A, pool B. */
  readonly pools: readonly PoolAtDeath[];
  /** By recovery's own report: what the journals held. */
  readonly replayed: string;
  /** Start of the process to ready; reading everything. */
  readonly recoveryMilliseconds: number;
  readonly verifyMilliseconds: number;
  readonly killedInRecovery: boolean;
  readonly diedInDestage: boolean;
  readonly diedInCompaction: boolean;
  /** Drives that were brought up to date at the kill, and how that goes on after the restart. */
  readonly healing: readonly HealingAtKill[];
  /** The first so many of `violations` were found before the kill. */
  readonly violationsInLoad: number;
  readonly violations: readonly Violation[];
}

export function printRound(report: RoundReport): string {
  const { round, counts, pools, replayed, loadMilliseconds } = report;
  const atDeath = pools
    .map((pool, n) => {
      const compaction = pool.compactionActive > 0 ? ", compacting" : "";
      return `${"AB"[n]}: journal ${kib(pool.journalLiveBytes)} KiB, dirty ${pool.dirtyBlocks}, batches ${pool.batchesActive}${compaction}`;
    })
    .join(" | ");
  const recovery = report.killedInRecovery ? ", killed again in recovery" : "";
  const found =
    report.violations.length === 0
      ? "nothing lost"
      : `${report.violations.length} VIOLATIONS, ${report.violationsInLoad} of them before the kill`;
  return (
    `round ${round}: ${loadMilliseconds} ms of load, ${counts.acknowledgedWrites} writes acknowledged (${kib(counts.writtenBytes)} KiB), ` +
    `${counts.heldBack} held back; at death ${atDeath}; ${report.healing.map(printHealing).join("")}replayed ${replayed}${recovery}, ` +
    `ready after ${report.recoveryMilliseconds} ms, read in ${report.verifyMilliseconds} ms; ${found}`
  );
}

function printHealing({ pool, drive, zonesDone, zonesLeft, zonesLeftAfter }: HealingAtKill): string {
  return `${pool}: drive ${drive} had got ${zonesDone} zones and lacked ${zonesLeft}, afterwards ${zonesLeftAfter ?? "another's turn"}; `;
}

/** Drives that lacked more after a kill than before it. */
export function setbacks({ round, healing }: RoundReport): string[] {
  return healing
    .filter(({ zonesLeft, zonesLeftAfter = 0 }) => zonesLeftAfter > zonesLeft)
    .map((seen) => `round ${round}, ${printHealing(seen)}`);
}

function kib(bytes: number): number {
  return Math.round(bytes / 1024);
}

export function replayedText(log: string): string {
  const found = [...log.matchAll(/(\d+) records, (\d+) bytes of the journal were replayed/g)];
  if (found.length === 0) return "nothing";
  return found.map(([, records, bytes]) => `${records} records (${kib(Number(bytes))} KiB)`).join(" and ");
}

/** How the suite's report classifies what is found. */
const CLASSES: Readonly<Record<ViolationKind, "lost" | "stale" | "foreign" | "torn">> = {
  lost: "lost",
  unreachable: "lost",
  disappeared: "stale",
  foreign: "foreign",
  torn: "torn",
  mix: "torn",
};

/** What happened in one state of the pools. */
export interface StateReport {
  readonly label: string;
  readonly rounds: readonly RoundReport[];
  /** Of the reads at the end, without further drives. */
  readonly violationsAtTheEnd: readonly Violation[];
}

const COLUMNS: readonly { readonly head: string; readonly value: (state: StateReport) => number }[] = [
  { head: "rounds", value: ({ rounds }) => rounds.length },
  { head: "died in destage", value: ({ rounds }) => count(rounds, ({ diedInDestage }) => diedInDestage) },
  { head: "in compaction", value: ({ rounds }) => count(rounds, ({ diedInCompaction }) => diedInCompaction) },
  { head: "in either", value: ({ rounds }) => count(rounds, (round) => round.diedInDestage || round.diedInCompaction) },
  { head: "in a rebuild", value: ({ rounds }) => count(rounds, ({ healing }) => healing.length > 0) },
  { head: "killed in recovery too", value: ({ rounds }) => count(rounds, ({ killedInRecovery }) => killedInRecovery) },
  { head: "writes acknowledged", value: ({ rounds }) => sum(rounds, ({ counts }) => counts.acknowledgedWrites) },
  { head: "read under load, MiB", value: ({ rounds }) => sum(rounds, ({ counts }) => counts.readBytes / 2 ** 20) },
  ...(["lost", "stale", "foreign", "torn"] as const).map((head) => ({
    head,
    value: ({ rounds, violationsAtTheEnd }: StateReport) =>
      [...rounds.flatMap(({ violations }) => violations), ...violationsAtTheEnd].filter(({ kind }) => CLASSES[kind] === head)
        .length,
  })),
];

/** In Markdown. */
export function crashTable(states: readonly StateReport[], { seed, seconds }: { seed: number; seconds: number }): string {
  const rows = states.map((state) => ({ label: state.label, cells: COLUMNS.map(({ value }) => Math.round(value(state))) }));
  const total = COLUMNS.map((_, n) => rows.reduce((all, { cells }) => all + cells[n]!, 0));
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  return [
    `Seed ${seed}, ${(seconds / 60).toFixed(1)} minutes:`,
    "",
    line(["pools", ...COLUMNS.map(({ head }) => head)]),
    `|${"---|".repeat(COLUMNS.length + 1)}`,
    ...rows.map(({ label, cells }) => line([label, ...cells])),
    line(["all", ...total]),
    "",
  ].join("\n");
}

function count(rounds: readonly RoundReport[], is: (round: RoundReport) => boolean): number {
  return rounds.filter(is).length;
}

function sum(rounds: readonly RoundReport[], value: (round: RoundReport) => number): number {
  return rounds.reduce((all, round) => all + value(round), 0);
}

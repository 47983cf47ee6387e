/** What the failover test says of its rounds: one by one, and as the table of docs/testing.md. */
import type { RoundFigures } from "./two-path-load.ts";

export interface FaultKind {
  /** What becomes of a director. */
  readonly name: string;
  readonly body: { readonly kind: "kill" | "throw" } | { readonly kind: "hang" | "cutOff"; readonly seconds: number };
}

export interface FaultRound {
  readonly round: number;
  readonly director: string;
  /** Batches were under way to the drives of its pool at the fault. */
  readonly drivesBusy: boolean;
  /** Of its pool's journal, at the fault. */
  readonly journalLiveBytes: number;
  readonly violations: readonly string[];
  readonly figures: RoundFigures;
}

export interface KindReport {
  readonly name: string;
  readonly rounds: readonly FaultRound[];
}

export function printFaultRound(
  name: string,
  { round, director, drivesBusy, journalLiveBytes, violations, figures }: FaultRound,
): string {
  const found = violations.length === 0 ? "no violation" : `${violations.length} VIOLATIONS`;
  return (
    `two paths: ${director} ${name}, round ${round}: drives ${drivesBusy ? "busy" : "at rest"}, journal ${mib(journalLiveBytes)} MiB live; ` +
    `${figures.operations} operations, ${figures.repeated} repeated, longest ${Math.round(figures.longestMilliseconds)} ms ` +
    `(${figures.longest}); ${found}`
  );
}

/** In Markdown. */
export function failoverTable(
  kinds: readonly KindReport[],
  { seed, journal, seconds }: { seed: number; journal: string; seconds: number },
): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  const rows = kinds
    .filter(({ rounds }) => rounds.length > 0)
    .map(({ name, rounds }) => {
      const stalls = rounds.map(({ figures }) => figures.longestMilliseconds);
      const live = rounds.map(({ journalLiveBytes }) => journalLiveBytes);
      return line([
        name,
        rounds.length,
        rounds.filter(({ drivesBusy }) => drivesBusy).length,
        total(rounds, ({ figures }) => figures.operations),
        total(rounds, ({ figures }) => figures.repeated),
        total(rounds, ({ violations }) => violations.length),
        Math.round(Math.max(...stalls)),
        Math.round(median(stalls)),
        `${mib(median(live))} (${mib(Math.max(...live))})`,
      ]);
    });
  const head = [
    "a director is",
    "rounds",
    "drives busy at the fault",
    "operations checked",
    "attempts repeated",
    "violations",
    "longest stall, ms",
    "median of the rounds' longest, ms",
    "live journal at the fault, MiB: median (most)",
  ];
  return [
    `Seed ${seed}, journal ${journal}, ${(seconds / 60).toFixed(1)} minutes:`,
    "",
    line(head),
    `|${"---|".repeat(head.length)}`,
    ...rows,
    "",
  ].join("\n");
}

function total(rounds: readonly FaultRound[], value: (round: FaultRound) => number): number {
  return rounds.reduce((all, round) => all + value(round), 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

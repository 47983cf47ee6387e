/** What a run of many seeds comes to, in words. */
import type { SeedReport } from "./seed-process.ts";

export class Totals {
  seeds = 0;
  events = 0;
  crashCount = 0;
  readonly crashes = new Map<string, number>();
  readonly reached = new Set<string>();
  readonly seen = new Map<string, number>();
  readonly violations: SeedReport[] = [];

  add(report: SeedReport): void {
    this.seeds += 1;
    this.events += report.events;
    this.crashCount += report.crashCount;
    for (const [site, count] of report.crashes) this.crashes.set(site, (this.crashes.get(site) ?? 0) + count);
    for (const site of report.reached) this.reached.add(site);
    for (const [what, times] of Object.entries(report.seen)) this.seen.set(what, (this.seen.get(what) ?? 0) + times);
    if (report.violation !== undefined) this.violations.push(report);
  }
}

const LINES = 60;

export function summarize(
  totals: Totals,
  options: { sites: readonly string[]; seconds: number; full: boolean; verbose: boolean; flags: readonly string[] },
): { text: string; ok: boolean } {
  const lines: string[] = [];
  const { seeds, crashCount, events, crashes } = totals;
  for (const { seed, violation, lines: trace } of totals.violations) {
    lines.push(
      "",
      `seed ${seed}: the last steps`,
      ...trace.slice(options.verbose ? 0 : -LINES),
      "",
      `seed ${seed}: ${violation}`,
    );
    lines.push(`repeat it: npm run simulate -- --seed ${seed} --seeds 1 ${[...options.flags, "--verbose"].join(" ")}`);
  }
  const missed = options.sites.filter((site) => !crashes.has(site));
  lines.push("", "crashes  site");
  const counted = [...crashes].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [site, count] of counted) lines.push(`${String(count).padStart(7)}  ${site}`);
  for (const site of missed) lines.push(`      0  ${site}${totals.reached.has(site) ? "" : " (never reached)"}`);
  lines.push("", [...totals.seen].map(([what, times]) => `${times} ${what}`).join(", "));
  const rate = seeds / options.seconds;
  lines.push(
    `${seeds} seeds, ${crashCount} crashes at ${crashes.size} sites, ${events} events in ${options.seconds.toFixed(1)} s: ${rate.toFixed(1)} seeds/s`,
  );
  const incomplete = options.full && missed.length > 0;
  if (incomplete) lines.push(`no crash at: ${missed.join(", ")}`);
  const ok = totals.violations.length === 0 && !incomplete;
  lines.push(ok ? "no violation" : `${totals.violations.length} violations`, "");
  return { text: lines.join("\n"), ok };
}

import { describe, expect, test } from "vitest";
import { summarize, Totals } from "../../simulation/report.ts";
import type { SeedReport } from "../../simulation/seed-process.ts";

function seed(seed: number, crashes: readonly (readonly [string, number])[], violation?: string): SeedReport {
  return {
    seed,
    violation,
    lines: violation === undefined ? [] : ["one step"],
    crashes: crashes.map(([site, count]) => [site, count]),
    crashCount: crashes.reduce((sum, [, count]) => sum + count, 0),
    reached: crashes.map(([site]) => site),
    events: 10,
    traceHash: 1,
    seen: {},
  };
}

function summaryOf(full: boolean, flags: readonly string[], ...reports: SeedReport[]) {
  const totals = new Totals();
  for (const report of reports) totals.add(report);
  return summarize(totals, { sites: ["a", "b"], seconds: 2, full, verbose: false, flags });
}

describe("what the simulation says of a run", () => {
  test("a full run has crashed at every site, or is not well", () => {
    expect(summaryOf(true, [], seed(1, [["a", 3]]), seed(2, [["b", 1]])).ok).toBe(true);
    const { ok, text } = summaryOf(true, [], seed(1, [["a", 3]]));
    expect(ok).toBe(false);
    expect(text).toContain("no crash at: b");
    expect(text).toContain("0  b (never reached)");
    expect(summaryOf(false, [], seed(1, [["a", 3]])).ok).toBe(true);
  });

  test("a violation is told with its seed, its last steps, and how to repeat it: with all flags that make a run what it is", () => {
    const { ok, text } = summaryOf(false, ["--healing", "--swarm", "uniform"], seed(7, [["a", 1]], "a block is lost"));
    expect(ok).toBe(false);
    expect(text).toContain("seed 7: a block is lost");
    expect(text).toContain("one step");
    expect(text).toContain("npm run simulate -- --seed 7 --seeds 1 --healing --swarm uniform --verbose");
  });
});

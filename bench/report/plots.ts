/** The plots of the page, as Vega-Lite specifications: what is shown stands here, how it is drawn is Vega's. */
import type { TopLevelSpec } from "vega-lite";
import { type Measurement, medianOf, roleMedian } from "../measurement.ts";
import { goalOf } from "../pair-verdicts.ts";
import type { SustainedResults } from "../parts/alone.ts";
import type { PairRow } from "../parts/pairs.ts";
import type { Results } from "../results.ts";

export interface Plot {
  /** The file's, without `.svg`. */
  readonly name: string;
  readonly spec: TopLevelSpec;
}

const COMMON = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  config: { font: "sans-serif", axis: { labelLimit: 300 }, legend: { labelLimit: 300 } },
} as const;
const PATHS = { tuned: "tuned tgt", owner: "owner", other: "other director", both: "both directors" } as const;
const BAR_STEP = { step: 9, for: "offset" } as const;
/** Threads that use less for each operation are drawn as others. */
const ROLE_MICROSECONDS_LEAST = 0.2;

export function plotsOf(results: Results): Plot[] {
  const plots: Plot[] = [{ name: "memory", spec: memoryPlot(results) }];
  if (results.pairs?.some(({ targets }) => targets.stock !== undefined)) {
    plots.push({
      name: "iops",
      spec: ratioPlot(results.pairs, "operations per second, stock tgt = 1", (one) => one.iops, "stock"),
    });
    plots.push({
      name: "p99",
      spec: ratioPlot(results.pairs, "p99 latency, stock tgt = 1 (less is better)", (one) => one.p99Microseconds, "p99"),
    });
  }
  if (results.pairs?.some(({ targets }) => targets.owner !== undefined))
    plots.push({ name: "cpu-by-thread", spec: cpuPlot(results.pairs) });
  if (results.sustained !== undefined) plots.push({ name: "sustained", spec: sustainedPlot(results.sustained) });
  return plots;
}

function ratioPlot(
  rows: readonly PairRow[],
  title: string,
  pick: (one: Measurement) => number,
  goal: "stock" | "p99",
): TopLevelSpec {
  const values = rows.flatMap(({ title: test, targets }) => {
    const { stock } = targets;
    if (stock === undefined) return [];
    return Object.entries(PATHS).flatMap(([target, path]) => {
      const measurements = targets[target as keyof typeof PATHS];
      return measurements === undefined
        ? []
        : [{ test, path, ratio: round(medianOf(measurements, pick) / medianOf(stock, pick)) }];
    });
  });
  const goals = rows.flatMap((row) => {
    const goalOfRow = goalOf(row);
    return goalOfRow === undefined ? [] : [{ test: row.title, path: "owner", goal: goalOfRow[goal] }];
  });
  const y = { field: "test", type: "nominal", sort: null, title: null } as const;
  const yOffset = { field: "path", sort: Object.values(PATHS) } as const;
  return {
    ...COMMON,
    width: 560,
    height: BAR_STEP,
    layer: [
      {
        data: { values },
        mark: "bar",
        encoding: {
          y,
          yOffset,
          x: { field: "ratio", type: "quantitative", title },
          color: { field: "path", type: "nominal", sort: Object.values(PATHS), title: null },
        },
      },
      {
        data: { values: goals },
        mark: { type: "tick", color: "black", thickness: 2, tooltip: "goal" },
        encoding: { y, yOffset, x: { field: "goal", type: "quantitative" } },
      },
    ],
  };
}

function cpuPlot(rows: readonly PairRow[]): TopLevelSpec {
  const values = rows.flatMap(({ title: test, targets: { owner } }) => {
    if (owner === undefined) return [];
    const roles = new Set(owner.flatMap((one) => one.roles.map(({ role }) => role)));
    const uses = [...roles].map((role) => ({ test, role, cpu: roleMedian(owner, role, (use) => use.cpuMicroseconds) }));
    const shown = uses.filter(({ cpu, role }) => cpu >= ROLE_MICROSECONDS_LEAST && role !== "others");
    const rest = uses.filter((use) => !shown.includes(use)).reduce((sum, { cpu }) => sum + (cpu || 0), 0);
    const all = shown.reduce((sum, { cpu }) => sum + cpu, rest);
    return [...shown, { test, role: "others", cpu: rest }].map((use) => ({
      ...use,
      cpu: round(use.cpu),
      share: round(use.cpu / all),
    }));
  });
  return {
    ...COMMON,
    width: 560,
    height: { step: 18 },
    data: { values },
    mark: "bar",
    encoding: {
      y: { field: "test", type: "nominal", sort: null, title: null },
      x: {
        field: "share",
        type: "quantitative",
        title: "share of the process's CPU time, through the owner",
        axis: { format: "%" },
      },
      color: { field: "role", type: "nominal", title: null },
    },
  };
}

function sustainedPlot({ windows }: SustainedResults): TopLevelSpec {
  const values = windows.map(({ atSeconds, iops, p999Milliseconds }) => ({
    minutes: round(atSeconds / 60),
    iops,
    p999Milliseconds,
  }));
  const x = { field: "minutes", type: "quantitative", title: "minutes" } as const;
  return {
    ...COMMON,
    data: { values },
    vconcat: [
      { width: 560, height: 120, mark: "line", encoding: { x, y: { field: "iops", type: "quantitative", title: "IOPS" } } },
      {
        width: 560,
        height: 120,
        mark: "line",
        encoding: { x, y: { field: "p999Milliseconds", type: "quantitative", title: "p99.9, ms" } },
      },
    ],
  };
}

function memoryPlot({ memory }: Results): TopLevelSpec {
  const values = memory.course.map(([seconds, bytes]) => ({
    minutes: round(seconds / 60),
    mebibytes: Math.round(bytes / 2 ** 20),
  }));
  return {
    ...COMMON,
    width: 560,
    height: 160,
    layer: [
      {
        data: { values },
        mark: { type: "line", interpolate: "step-after" },
        encoding: {
          x: { field: "minutes", type: "quantitative", title: "minutes of the run" },
          y: { field: "mebibytes", type: "quantitative", title: "RssAnon + RssShmem, MiB", scale: { zero: true } },
        },
      },
      {
        data: { values: [{ frames: Math.round(memory.framesBytes / 2 ** 20) }] },
        mark: { type: "rule", strokeDash: [4, 4] },
        encoding: { y: { field: "frames", type: "quantitative" } },
      },
    ],
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

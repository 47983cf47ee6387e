import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { histogramQuantile, javaScriptUse, writeAmplification } from "../../../bench/counted-figures.ts";
import { thinned } from "../../../bench/memory-watch.ts";
import { rate } from "../../../bench/report/markdown.ts";
import { pageOf } from "../../../bench/report/page.ts";
import { plotsOf } from "../../../bench/report/plots.ts";
import { renderSvg } from "../../../bench/report/render-svg.ts";
import type { Results } from "../../../bench/results.ts";

const results = JSON.parse(readFileSync("test/golden/bench/results.json", "utf8")) as Results;

describe("docs/performance.md of a run", () => {
  test("is the golden page, for the golden results", async () => {
    const fragments = [{ file: "drive-layout.md", title: "Drive layout" }];
    const plots = plotsOf(results).map(({ name }) => name);
    await expect(pageOf(results, fragments, plots)).toMatchFileSnapshot("../../golden/bench/performance.md");
  });

  test("is whole with the parts that were measured, and silent about the others", () => {
    const { durable: _, scrapes: __, endless: ___, pairs: ____, ...little } = results;
    const page = pageOf(little, [], []);
    expect(page).toContain("memory of the process");
    expect(page).not.toMatch(/NaN|undefined|Infinity|Beside tgt|FUA/);
  });

  test("names neither hosts nor paths", () => {
    expect(pageOf(results, [], [])).not.toMatch(/\/tmp|\/root|\/home|\/work|127\.0/);
  });
});

describe("plots", () => {
  test("are drawn as SVG without a canvas: every test and every path by name", async () => {
    const plots = plotsOf(results);
    expect(plots.map(({ name }) => name)).toEqual(["memory", "iops", "p99", "cpu-by-thread"]);
    const svg = await renderSvg(plots[1]!.spec);
    expect(svg).toMatch(/^<svg/);
    for (const text of ["4K random read hit, depth 32", "owner", "tuned tgt"]) expect(svg).toContain(text);
  });

  test("keep the peaks of a course that they thin", () => {
    const course = Array.from({ length: 1000 }, (_, n) => [n, n === 777 ? 9 : 1] as const);
    const few = thinned(course, 50);
    expect(few.length).toBeLessThanOrEqual(50);
    expect(few).toContainEqual([777, 9]);
    expect(thinned([], 50)).toEqual([]);
  });
});

describe("figures out of counters", () => {
  const thread = 'thread="director 1A"';

  test("a quantile is the bound of the bucket where it is reached, over all series that fit", () => {
    const counted = {
      't_seconds_bucket{kind="a",le="0.001"}': 90,
      't_seconds_bucket{kind="a",le="0.004"}': 99,
      't_seconds_bucket{kind="a",le="+Inf"}': 100,
      't_seconds_bucket{kind="b",le="+Inf"}': 1000,
    };
    expect(histogramQuantile(counted, "t_seconds", { kind: "a" }, 0.5)).toBe(0.001);
    expect(histogramQuantile(counted, "t_seconds", { kind: "a" }, 0.99)).toBe(0.004);
    expect(histogramQuantile(counted, "t_seconds", { kind: "a" }, 1)).toBe(Number.POSITIVE_INFINITY);
    expect(histogramQuantile(counted, "t_seconds", { kind: "c" }, 0.5)).toBeNaN();
  });

  test("allocation is for each command, collection a share of the thread's CPU time", () => {
    const use = javaScriptUse(
      {
        'varray_frontend_commands_total{director="1A",kind="read"}': 800,
        'varray_frontend_commands_total{director="1A",kind="write"}': 200,
        [`varray_thread_allocated_bytes_total{${thread}}`]: 2_000_000,
        'varray_thread_allocated_bytes_total{thread="drives A"}': 9_000_000,
        [`varray_thread_cpu_seconds_total{${thread}}`]: 4,
        [`varray_thread_gc_seconds_total{${thread},kind="minor"}`]: 0.3,
        [`varray_thread_gc_seconds_total{${thread},kind="major"}`]: 0.1,
      },
      "director 1A",
    );
    expect(use.allocatedBytesPerCommand).toBe(2000);
    expect(use.gcShare).toBeCloseTo(0.1);
  });

  test("write amplification is what each layer wrote for each byte of hosts", () => {
    const { journal, strips, metadata } = writeAmplification({
      'varray_frontend_data_bytes_total{director="1A",kind="write"}': 1000,
      'varray_frontend_data_bytes_total{director="1A",kind="read"}': 5000,
      'varray_journal_append_bytes_total{pool="A"}': 1010,
      'varray_drive_write_bytes_total{pool="A",drive="00"}': 700,
      'varray_drive_write_bytes_total{pool="A",drive="01"}': 700,
      'varray_drive_metadata_write_bytes_total{pool="A",drive="00"}': 5,
    });
    expect([journal, strips, metadata]).toEqual([1.01, 1.4, 0.005]);
  });

  test("rates have as many digits as they are worth", () => {
    expect([rate(138_612), rate(9504.6), rate(544), rate(Number.NaN)]).toEqual(["138.6k", "9,505", "544", "–"]);
  });
});

import { describe, expect, test } from "vitest";
import { difference, parseScrape, parseSeries, total } from "../../../bench/prometheus-text.ts";

const TEXT = `# HELP varray_reads_total Reads.
# TYPE varray_reads_total counter
varray_reads_total{director="1A",kind="4 KiB {small}"} 12
varray_reads_total{director="1B",kind="large"} 3e2 1700000000000
varray_ready 1
varray_odd NaN

`;

describe("a scrape's text", () => {
  test("is read whole: labels with blanks and braces, exponents, time stamps; what is no number is left out", () => {
    expect([...parseScrape(TEXT)]).toEqual([
      ['varray_reads_total{director="1A",kind="4 KiB {small}"}', 12],
      ['varray_reads_total{director="1B",kind="large"}', 300],
      ["varray_ready", 1],
    ]);
    expect(parseSeries('varray_reads_total{director="1A",kind="4 KiB {small}"}')).toEqual({
      name: "varray_reads_total",
      labels: { director: "1A", kind: "4 KiB {small}" },
    });
  });

  test("two of them tell what was counted in between, new series too", () => {
    const before = parseScrape("a 5\nb 7\n");
    const after = parseScrape("a 6\nb 7\nc 2\n");
    expect([...difference(before, after)]).toEqual([
      ["a", 1],
      ["c", 2],
    ]);
  });

  test("series add up by name and labels, and names that only begin alike don't", () => {
    const scrape = parseScrape(`${TEXT}varray_reads_total_more 1000\n`);
    expect(total(scrape, "varray_reads_total")).toBe(312);
    expect(total(scrape, "varray_reads_total", { director: "1B" })).toBe(300);
    expect(total(Object.fromEntries(scrape), "varray_reads_total", { kind: "none" })).toBe(0);
  });
});

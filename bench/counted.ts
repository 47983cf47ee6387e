/** What the array counted during measurements, added up over the repeats of one test. */

export function addCounted(sums: Record<string, number>, counted: ReadonlyMap<string, number>): void {
  for (const [series, value] of counted) {
    if (isKept(series)) sums[series] = (sums[series] ?? 0) + value;
  }
}

/** Gauges say nothing between two scrapes, and the API's own figures are the benchmark's. */
function isKept(series: string): boolean {
  return /^varray_(?!api_)\w+_(total|bucket|sum|count)(\{|$)/.test(series);
}

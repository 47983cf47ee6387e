/** What the array counted during measurements, added up over the repeats of one test. */

export function addCounted(sums: Record<string, number>, counted: ReadonlyMap<string, number>): void {
  for (const [series, value] of counted) {
    if (isKept(series)) sums[series] = (sums[series] ?? 0) + value;
  }
}

/** Counters and histograms that the page is made of, or that explain a figure of it; all of them would be half a megabyte. */
const KEPT = [
  "varray_frontend_(commands|data_bytes|backpressure_waits|task_set_full)_total",
  "varray_cache_blocks_total",
  "varray_director_turn_seconds",
  "varray_journal_append_latency_seconds",
  "varray_drive_read_latency_seconds",
  "varray_channel_(requests|copied_bytes|signals|wakeups)_total",
  "varray_journal_(appends|append_bytes|syncs|full_waits)_total",
  "varray_(destaged|destage_padding|compaction|pool_written)_blocks_total",
  "varray_drive_(write|metadata_write|read)_bytes_total",
  "varray_thread_",
];
const KEPT_SERIES = new RegExp(`^(${KEPT.join("|")})\\w*(\\{|$)`);

/** Gauges say nothing between two scrapes. */
function isKept(series: string): boolean {
  return KEPT_SERIES.test(series) && /_(total|bucket|sum|count)(\{|$)/.test(series);
}

/**
 * What is counted of each pool's journal. Written by the director that owns the pool (FileJournal), read by
 * the control plane. How much of it is live stands in the pool's table (src/volume/pool-counters.ts).
 */
import { defineCounters } from "../shared-memory/counters.ts";

export const JOURNAL_COUNTERS = defineCounters("journal", {
  appends: { type: "counter", metric: "varray_journal_appends_total", help: "Writes to the journal's file." },
  appendBytes: { type: "counter", metric: "varray_journal_append_bytes_total", help: "Bytes written to the journal's file." },
  appendLatency: {
    type: "histogram",
    metric: "varray_journal_append_latency_seconds",
    help: "Time of a write to the journal's file, into the page cache.",
  },
  syncs: { type: "counter", metric: "varray_journal_syncs_total", help: "Requests that the journal be made durable." },
  syncErrors: {
    type: "counter",
    metric: "varray_journal_sync_errors_total",
    help: "Failures of the journal's file; each is fatal to it.",
  },
  syncLatency: {
    type: "histogram",
    metric: "varray_journal_sync_latency_seconds",
    help: "Time from the request that the journal be made durable to its end.",
  },
  capacityBytes: { type: "gauge", metric: "varray_journal_file_bytes", help: "Size of the journal's file, its head included." },
});

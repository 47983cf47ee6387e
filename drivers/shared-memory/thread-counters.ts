/**
 * What each thread with an event loop counts of itself: garbage collection, allocation, and how late its loop is.
 * One block for each director and each drive thread, in the order of the thread table; the journal-sync threads,
 * which come last there, only wait and sync.
 */
import { type CounterSpec, defineCounters } from "./counters.ts";

type GcKind = "minor" | "major" | "incremental" | "weakCallbacks";

const runs = (kind: GcKind): CounterSpec => ({
  type: "counter",
  metric: "varray_thread_gc_runs_total",
  help: "Garbage collections of a thread's JavaScript heap, by kind.",
  labels: { kind },
});
const seconds = (kind: GcKind): CounterSpec => ({
  type: "counter",
  metric: "varray_thread_gc_seconds_total",
  help: "Time that garbage collection stopped a thread, by kind.",
  labels: { kind },
});

export const THREAD_COUNTERS = defineCounters("thread", {
  gcMinorRuns: runs("minor"),
  gcMajorRuns: runs("major"),
  gcIncrementalRuns: runs("incremental"),
  gcWeakCallbacksRuns: runs("weakCallbacks"),
  gcMinorSeconds: seconds("minor"),
  gcMajorSeconds: seconds("major"),
  gcIncrementalSeconds: seconds("incremental"),
  gcWeakCallbacksSeconds: seconds("weakCallbacks"),
  gcPause: {
    type: "histogram",
    metric: "varray_thread_gc_pause_seconds",
    help: "Times for which one garbage collection stopped a thread.",
  },
  allocatedBytes: {
    type: "counter",
    metric: "varray_thread_allocated_bytes_total",
    help: "JavaScript objects allocated, estimated: each minor collection follows a young generation that was filled.",
  },
  heapBytes: { type: "gauge", metric: "varray_thread_heap_bytes", help: "A thread's JavaScript heap, used." },
  loopDelay: {
    type: "histogram",
    metric: "varray_thread_event_loop_delay_seconds",
    help: "How late a timer of 50 ms was, at its thread's event loop. Timers count whole milliseconds.",
  },
});
